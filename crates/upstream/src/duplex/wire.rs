//! One pair of pipes, and what it reports to.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domain::{Failure, Inbox};
use http::{HeaderMap, StatusCode};
use protocol::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::failure;
use crate::http::{HttpClient, discard, parse, post};
use crate::ledger::Ledger;
use crate::parcel::Parcel;
use crate::server::Shared;
use crate::session::Miss;
use crate::target::Target;

/// Messages that may wait for the server to read them.
pub(crate) const QUEUE: usize = 64;

/// Where a wire's background work reports to.
pub(crate) struct End {
    wire: u64,
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    inbox: Arc<dyn Inbox>,
    failures: Arc<AtomicU32>,
    /// Whether the server has said anything.
    heard: AtomicBool,
    dead: OnceLock<Failure>,
    over: CancellationToken,
}

impl End {
    /// The end of a wire that is being made.
    pub(crate) fn new(
        wire: u64,
        shared: &Arc<Shared>,
        ledger: &Arc<Ledger>,
        inbox: &Arc<dyn Inbox>,
        failures: &Arc<AtomicU32>,
    ) -> Self {
        Self {
            wire,
            shared: Arc::clone(shared),
            ledger: Arc::clone(ledger),
            inbox: Arc::clone(inbox),
            failures: Arc::clone(failures),
            heard: AtomicBool::new(false),
            dead: OnceLock::new(),
            over: CancellationToken::new(),
        }
    }

    /// Takes what the server sent, message or not.
    pub(crate) async fn receive(&self, body: Bytes) {
        self.heard.store(true, Ordering::Relaxed);
        for message in parse(body) {
            match message {
                Ok(message) => self.deliver(message).await,
                Err(failure) => self.odd(&failure.detail),
            }
        }
    }

    async fn deliver(&self, message: Message) {
        if let Some(message) = self.ledger.route(message).await {
            self.inbox.deliver(message).await;
        }
    }

    /// Notes something that is no message; it is dropped.
    pub(crate) fn odd(&self, what: &str) {
        self.heard.store(true, Ordering::Relaxed);
        self.ledger.odd(what);
    }

    /// The wire died, unasked: what was sent on it fails, once.
    pub(crate) fn died(&self, failure: Failure) {
        if self.dead.set(failure.clone()).is_ok() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.ledger.fail(self.wire, &failure);
            self.over.cancel();
        }
    }

    /// Cancelled when the wire has died.
    pub(crate) fn over(&self) -> CancellationToken {
        self.over.clone()
    }

    /// What all sessions of the server share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// One pair of pipes. Dropping it ends its background work.
pub(crate) struct Wire {
    end: Arc<End>,
    out: Out,
    stop: CancellationToken,
}

/// The way out.
pub(crate) enum Out {
    /// A task that writes to a child or a WebSocket; the token is cancelled when nothing of it is
    /// left.
    Queue(mpsc::Sender<Bytes>, CancellationToken),
    /// POSTs to the endpoint that the server announced.
    Posts(Arc<HttpClient>, Target),
}

impl Wire {
    /// A wire whose background work runs and ends with `stop`.
    pub(crate) fn new(end: &Arc<End>, out: Out, stop: CancellationToken) -> Self {
        Self { end: Arc::clone(end), out, stop }
    }

    /// Its number in the session.
    pub(crate) fn id(&self) -> u64 {
        self.end.wire
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.end.dead.get().is_some()
    }

    /// Whether the server has said nothing on it, valid or not.
    pub(crate) fn is_silent(&self) -> bool {
        !self.end.heard.load(Ordering::Relaxed)
    }

    /// Sends one message: `body`, with the headers that policy sets for `message`.
    ///
    /// # Errors
    ///
    /// The wire is dead, which is a message not taken, or the server refused the message.
    pub(crate) async fn put(&self, body: Bytes, message: Option<Parcel<'_>>) -> Result<(), Miss> {
        if let Some(failure) = self.end.dead.get() {
            return Err(Miss::NotTaken(failure.clone().unsent()));
        }
        match &self.out {
            Out::Queue(queue, _) => {
                queue.send(body).await.map_err(|_| Miss::NotTaken(self.why().unsent()))
            }
            Out::Posts(client, endpoint) => {
                let mut headers = HeaderMap::new();
                if let Some(message) = message {
                    message.label(&mut headers);
                }
                let request = || post(endpoint, headers.clone(), body.clone());
                let sent = client.send(endpoint, request).await;
                let response = sent.inspect_err(|failure| self.end.shared.lost(failure))?;
                self.end.shared.reached();
                match response.status() {
                    status if status.is_success() => {
                        discard(response.into_body());
                        Ok(())
                    }
                    StatusCode::NOT_FOUND => {
                        let failure = failure::forgotten();
                        self.stop.cancel();
                        self.end.died(failure.clone());
                        Err(Miss::NotTaken(failure))
                    }
                    status => Err(failure::status(status, endpoint.shown()).into()),
                }
            }
        }
    }

    fn why(&self) -> Failure {
        let dead = self.end.dead.get().cloned();
        dead.unwrap_or_else(|| failure::broken("the server takes no more messages"))
    }

    /// Ends the wire; returns when nothing of it is left.
    pub(crate) async fn closed(&self) {
        self.stop.cancel();
        if let Out::Queue(_, gone) = &self.out {
            gone.cancelled().await;
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
