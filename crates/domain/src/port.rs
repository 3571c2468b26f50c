//! The three ports of the router (policy, upstream, recorder), and the probe of readiness.
//!
//! They are trait objects on purpose: a dynamic call costs nanoseconds, and the router needs no
//! generics.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use protocol::Message;

use crate::{AuditEvent, Decision, Failure, Permit, PolicyInput, ServerView, Stage};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The messages of one streamed answer, in order; the response comes last.
pub type MessageStream = Pin<Box<dyn Stream<Item = Result<Message, Failure>> + Send>>;

/// Decides. Synchronous and infallible: what goes wrong inside is a denial with an error text.
pub trait Policy: Send + Sync {
    /// Decides one message at one stage.
    fn decide(&self, input: &PolicyInput<'_>) -> Decision;

    /// Whether a decision at `stage` can differ from the one already made on the request. When it
    /// cannot (no rule reads what the stage adds), the router need not ask.
    fn examines(&self, stage: Stage) -> bool;
}

/// One MCP server behind the gateway.
pub trait Upstream: Send + Sync {
    /// Opens the upstream side of one client session. No I/O happens before the first message.
    /// Messages that answer no request of the client go to `inbox`.
    fn connect(&self, inbox: Arc<dyn Inbox>) -> Arc<dyn Connection>;

    /// What policy sees of the server.
    fn view(&self) -> ServerView<'_>;
}

/// The upstream side of one client session. It numbers requests itself: nothing upstream is keyed
/// by a client's id.
pub trait Connection: Send + Sync {
    /// Passes one message on.
    ///
    /// # Errors
    ///
    /// `UpstreamError` or `UpstreamTimeout`; `InvalidRequest` for a request whose id is in flight and
    /// `Overloaded` when there are too many, both before anything is sent; `SessionNotFound` when the
    /// server has ended the session, upon which the client's session ends too.
    fn send(&self, permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>>;

    /// Answers a request of the server with an error in the gateway's own name. It carries nothing
    /// of the client, hence needs no permit.
    fn refuse<'a>(&'a self, request: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()>;

    /// Ends the session upstream and frees what it holds. Calling it again does nothing.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What comes back for a message. Responses carry the upstream's own id; the router puts the
/// client's back.
pub enum Answer {
    /// Nothing: the message was a notification or an answer.
    Accepted,
    /// One response.
    Message(Message),
    /// Notifications and requests that belong to the request, then the response.
    Stream(MessageStream),
}

/// Takes messages from the server that answer no request.
pub trait Inbox: Send + Sync {
    /// Hands over one notification or request; waits while the client's queue is full.
    fn deliver(&self, message: Message) -> BoxFuture<'_, ()>;
}

/// Keeps what happened. Room is reserved before a message is forwarded, so that writing cannot fail
/// afterwards: back-pressure instead of loss.
pub trait Recorder: Send + Sync {
    /// Reserves room for one event, waiting for it up to the recorder's limit.
    ///
    /// # Errors
    ///
    /// `AuditUnavailable` when the log takes no more.
    fn reserve(&self) -> BoxFuture<'_, Result<Box<dyn Slot>, Failure>>;
}

/// Room for one event.
pub trait Slot: Send {
    /// Hands the event over. It never blocks and cannot fail.
    fn record(self: Box<Self>, event: Box<AuditEvent>);
}

/// Whether a part of the gateway can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Up,
    /// It cannot; the text says why.
    Down(String),
}

/// A part of the gateway that readiness depends on.
pub trait Probe: Send + Sync {
    /// The component's name in `/ready`.
    fn name(&self) -> &'static str;

    /// Its state now; never waits.
    fn health(&self) -> Health;
}
