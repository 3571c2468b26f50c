//! The upstream side of one client session: finds the way with the first message, then keeps to it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domain::{Answer, BoxFuture, Connection, Failure, Inbox, Permit};
use protocol::{Kind, Message, Method, encode};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::duplex::{Dialler, Duplex};
use crate::failure;
use crate::http::HttpLink;
use crate::route::Route;
use crate::server::{Shared, boxed};

/// One client session's connection to the server.
pub(crate) struct Session {
    shared: Arc<Shared>,
    inbox: Arc<dyn Inbox>,
    link: OnceLock<Link>,
    /// Held while the way is being found.
    finding: Mutex<()>,
    /// Ends all background work.
    stop: CancellationToken,
}

/// The way that was found.
enum Link {
    Http(Arc<HttpLink>),
    Duplex(Arc<Duplex>),
}

/// Why a message got no answer.
pub(crate) enum Miss {
    /// The server does not speak this transport at this address; the message did nothing.
    NotHere(Failure),
    /// The message failed.
    Failed(Failure),
}

impl Miss {
    /// The failure, whichever it is.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::NotHere(failure) | Self::Failed(failure) => failure,
        }
    }

    /// The same for a message of which nothing left the gateway.
    fn unsent(self) -> Self {
        match self {
            Self::NotHere(failure) => Self::NotHere(failure.unsent()),
            Self::Failed(failure) => Self::Failed(failure.unsent()),
        }
    }
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Session {
    /// A session that has sent nothing.
    pub(crate) fn new(shared: Arc<Shared>, inbox: Arc<dyn Inbox>) -> Self {
        Self {
            shared,
            inbox,
            link: OnceLock::new(),
            finding: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Passes a message on, and learns from `initialize` whether the server speaks MCP.
    async fn pass_on(&self, message: &Message) -> Result<Answer, Failure> {
        let passed = self.find_and_send(message).await;
        if message.method() == Some(Method::Initialize) {
            match &passed {
                Ok(Answer::Message(_)) => self.shared.spoke(),
                Err(failure) if failure::is_refusal(failure) => self.shared.not_mcp(failure),
                // A stream tells with its response, a broken connection where it broke.
                Ok(Answer::Stream(_) | Answer::Accepted) | Err(_) => {}
            }
        }
        passed
    }

    async fn find_and_send(&self, message: &Message) -> Result<Answer, Failure> {
        if self.stop.is_cancelled() {
            return Err(failure::closed().unsent());
        }
        if let Some(link) = self.link.get() {
            return link.send(message, false).await.map_err(Miss::into_failure);
        }
        let finding = self.finding.lock().await;
        if self.link.get().is_none()
            && let Some(answer) = self.find_or_stop(message).await?
        {
            return Ok(answer);
        }
        drop(finding);
        let link = self.link.get().ok_or_else(|| failure::closed().unsent())?;
        link.send(message, false).await.map_err(Miss::into_failure)
    }

    async fn find_or_stop(&self, message: &Message) -> Result<Option<Answer>, Failure> {
        let found = self.stop.run_until_cancelled(self.find(message)).await;
        found.unwrap_or_else(|| Err(failure::closed()))
    }

    /// Tries the routes until one is open. Streamable HTTP is tried with the message itself, which
    /// a server that is not there does not read; then its answer comes back. A failure counts as
    /// unsent only if no route took the message.
    async fn find(&self, message: &Message) -> Result<Option<Answer>, Failure> {
        let (mut first, mut unsent) = (None, true);
        for (index, route) in self.shared.routes() {
            let link = self.link_to(route);
            let tried = match &link {
                Link::Http(http) => http.send(message, true).await.map(Some),
                Link::Duplex(duplex) => duplex.open().await.map(|()| None).map_err(Miss::unsent),
            };
            match tried {
                Err(Miss::NotHere(failure)) => {
                    unsent &= failure.unsent;
                    tracing::debug!(error = %failure, "not this way, trying the next");
                    first.get_or_insert(failure);
                }
                Err(Miss::Failed(failure)) => {
                    unsent &= failure.unsent;
                    return Err(Failure { unsent, ..failure });
                }
                Ok(answer) => {
                    self.shared.found(index);
                    self.link.get_or_init(|| link);
                    return Ok(answer);
                }
            }
        }
        Err(Failure { unsent, ..first.unwrap_or_else(failure::closed) })
    }

    fn link_to(&self, route: &Route) -> Link {
        let (shared, inbox, stop) = (&self.shared, &self.inbox, &self.stop);
        match route {
            Route::Http(client, target) => {
                Link::Http(HttpLink::new(shared, client, target, inbox, stop))
            }
            Route::Sse(client, target) => {
                let dialler = Dialler::Events(Arc::clone(client), target.clone());
                Link::Duplex(Duplex::new(shared, dialler, inbox, stop))
            }
            Route::Stdio(command) => {
                let dialler = Dialler::Child(Arc::clone(command));
                Link::Duplex(Duplex::new(shared, dialler, inbox, stop))
            }
        }
    }
}

impl Link {
    async fn send(&self, message: &Message, probing: bool) -> Result<Answer, Miss> {
        match self {
            Self::Http(link) => link.send(message, probing).await,
            Self::Duplex(link) => link.send(message).await.map_err(Miss::Failed),
        }
    }

    /// Sends what only means something to the server that runs now.
    async fn reply(&self, body: Bytes) -> Result<Answer, Failure> {
        match self {
            Self::Http(link) => link.notify(body, false).await.map_err(Miss::into_failure),
            Self::Duplex(link) => link.reply(body).await,
        }
    }
}

impl Connection for Session {
    fn send(&self, _permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        boxed(async move { self.pass_on(&message).await })
    }

    fn refuse<'a>(&'a self, request: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()> {
        boxed(async move {
            let id = request.id().filter(|_| request.kind() == Kind::Request);
            let (Some(id), Some(link)) = (id, self.link.get()) else { return };
            let code = failure.kind.code();
            let body = encode::error_reply(Some(id), code, &failure.message, None);
            if let Err(lost) = link.reply(body).await {
                tracing::debug!(error = %lost, "a refusal did not reach the server");
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        boxed(async {
            self.stop.cancel();
            match self.link.get() {
                Some(Link::Http(link)) => link.close().await,
                Some(Link::Duplex(link)) => link.close().await,
                None => {}
            }
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
