//! One client over one pair of pipes: HTTP+SSE, WebSocket, stdio.
//!
//! What the client sends is read and identified in the order in which it came, and handled beside: reading never waits
//! for an answer, so that a cancellation overtakes the call it ends. Whatever comes of a message goes to the outbox of
//! the session, whose other end ([`Session::attach`]) the transport writes to the client. A client that does not read
//! fills the outbox; its answers then wait, counted among its calls in flight, until it is refused further ones.
//!
//! What this deliberately does not do: framing, and writing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{ErrorKind, Failure};
use futures_util::StreamExt;
use protocol::ProtocolVersion;
use session::{Pushed, Session};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::{Caller, Refused, Reply, ReplyBody, Router, Ticket};

/// One client, its session, and the calls it waits for.
pub struct Conversation {
    router: Arc<Router>,
    caller: Caller,
    session: Arc<Session>,
    /// Messages that were taken and whose answers are not in the outbox yet.
    calls: TaskTracker,
}

impl Conversation {
    /// Opens a session and begins its conversation, which [`finish`](Self::finish) ends.
    ///
    /// # Errors
    ///
    /// As [`Router::open`].
    pub async fn open(router: &Arc<Router>, caller: Caller) -> Result<Self, Refused> {
        let session = router.open(&caller).await?;
        Ok(Self::on(router, caller, session, TaskTracker::new()))
    }

    /// The conversation of an open session, for a transport that meets its client anew with each message. Calls are
    /// tracked by `calls`.
    #[must_use]
    pub fn on(
        router: &Arc<Router>,
        caller: Caller,
        session: Arc<Session>,
        calls: TaskTracker,
    ) -> Self {
        Self { router: Arc::clone(router), caller, session, calls }
    }

    /// The session, whose [`attach`](Session::attach) is the way to the client.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Takes one message, or a batch where the revision has them. Returns as soon as it is clear whose it is; waits
    /// longer only while the client is behind with reading what was refused.
    pub async fn take(&self, body: Bytes) {
        if let Err(reply) = self.accept(body).await {
            self.deliver(reply).await;
        }
    }

    /// The same, for transports that can tell the sender at once what was not accepted.
    ///
    /// # Errors
    ///
    /// The reply to what could not be read or is refused. It is recorded.
    pub async fn accept(&self, body: Bytes) -> Result<(), Reply> {
        // No other revision has batches: the parser refuses them.
        if self.session.negotiated() != Some(ProtocolVersion::V2025_03_26) {
            return self.accept_one(body).await;
        }
        let items = match protocol::batch(&body) {
            Some(Ok(items)) => items,
            Some(Err(error)) => {
                let failure = Failure::from(&error);
                return Err(self.router.refuse(&self.caller, failure, None, body.len()).await);
            }
            None => return self.accept_one(body).await,
        };
        for item in items {
            if let Err(reply) = self.accept_one(item).await {
                self.deliver(reply).await;
            }
        }
        Ok(())
    }

    /// Refuses a message of `size` bytes or more, which is over the `limit` and was not read.
    pub async fn oversized(&self, size: usize, limit: usize) {
        let text = format!("the message is larger than {limit} bytes");
        let failure = Failure::new(ErrorKind::TooLarge, text);
        self.deliver(self.router.refuse(&self.caller, failure, None, size).await).await;
    }

    /// Waits for the calls in flight, at most `grace`, and ends the session. What is in the outbox by then can be read.
    pub async fn finish(&self, grace: Duration) {
        self.calls.close();
        if timeout(grace, self.calls.wait()).await.is_err() {
            tracing::debug!(session = %self.session.id(), "calls in flight are cut");
        }
        self.router.close(&self.session).await;
        // Those that are cut have their rows when this returns.
        self.calls.wait().await;
    }

    async fn accept_one(&self, body: Bytes) -> Result<(), Reply> {
        let ticket = Ticket::Session(Arc::clone(&self.session));
        let received = self.router.receive(body, self.caller.clone(), ticket).await?;
        let (router, session) = (Arc::clone(&self.router), Arc::clone(&self.session));
        self.calls.spawn(async move {
            let answer = async {
                let reply = router.handle(received).await;
                if reply.lasting {
                    return subscribe(&session, reply);
                }
                // An answer that nobody reads counts on: too many of them, and further requests are refused.
                let _unread = session.enter();
                deliver(&session, reply).await;
            };
            tokio::select! {
                // First, as the end of the session fails its calls: nobody is left to read the answer.
                biased;
                () = session.closed() => {}
                () = answer => {}
            }
        });
        Ok(())
    }

    /// Puts a reply into the outbox, for as long as it takes: to a client that does not read, the call is in flight.
    pub async fn deliver(&self, reply: Reply) {
        deliver(&self.session, reply).await;
    }
}

/// Delivers a stream of notifications for as long as the session is open. Nobody waits for its end: it is no call.
fn subscribe(session: &Arc<Session>, reply: Reply) {
    let session = Arc::clone(session);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = session.closed() => {}
            () = deliver(&session, reply) => {}
        }
    });
}

/// Puts a reply into the session's outbox.
async fn deliver(session: &Session, reply: Reply) {
    match reply.body {
        ReplyBody::Empty => {}
        ReplyBody::Json(message) => push(session, message).await,
        ReplyBody::Events(mut messages) => {
            while let Some(message) = messages.next().await {
                push(session, message).await;
            }
        }
    }
}

async fn push(session: &Session, message: Bytes) {
    match session.outbox().push(message).await {
        Pushed::Queued => {}
        Pushed::Dropped => tracing::debug!(session = %session.id(), "an answer came too late"),
    }
}
