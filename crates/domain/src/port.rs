//! The three ports of the router (policy, upstream, recorder), and the probe of readiness.
//!
//! They are trait objects on purpose: a dynamic call costs nanoseconds, and the router needs no
//! generics.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use protocol::{Message, ProtocolVersion};

use crate::{
    Approval, ApprovalRequest, AuditEvent, Decision, Failure, Handshake, Permit, PolicyInput,
    ServerView, Stage,
};

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

    /// Whether a rule reads the counters and taints of the session.
    fn reads_state(&self) -> bool {
        true
    }

    /// Whether its denials count in audit mode too: an operator who locks the gateway down means it.
    fn holds_in_audit_mode(&self) -> bool {
        false
    }
}

/// The policy in force. It changes when a set is reloaded or the gateway is locked down; a message
/// asks once and keeps what it got, so that one revision decides all of it.
pub trait Policies: Send + Sync {
    /// What decides from now on.
    fn current(&self) -> Arc<dyn Policy>;
}

/// One policy for ever.
pub struct Fixed(pub Arc<dyn Policy>);

impl Policies for Fixed {
    fn current(&self) -> Arc<dyn Policy> {
        Arc::clone(&self.0)
    }
}

/// Asks people.
pub trait Approvals: Send + Sync {
    /// Whether somebody has granted such a message; asks if nobody has, and waits for the answer up to
    /// the request's limit.
    ///
    /// # Errors
    ///
    /// `Internal` when the question cannot be kept.
    fn ask(&self, request: ApprovalRequest) -> BoxFuture<'_, Result<Approval, Failure>>;
}

/// One MCP server behind the gateway.
pub trait Upstream: Send + Sync {
    /// Opens the upstream side of a client session, or of stateless clients. No I/O happens before
    /// the first message. Messages that answer no request of the client go to `inbox`.
    fn connect(&self, inbox: Arc<dyn Inbox>, party: Party) -> Arc<dyn Connection>;

    /// What policy sees of the server.
    fn view(&self) -> ServerView<'_>;
}

/// Who sends over a [`Connection`].
#[derive(Clone, Debug, Default)]
pub enum Party {
    /// One client: no two of its requests in flight have the same id, and it cancels by id.
    #[default]
    One,
    /// One client, whose session was opened by another replica, or by this one before it restarted.
    Resumed(Box<Handshake>),
    /// Any number of stateless clients (MCP 2026-07-28 over HTTP). Their ids may be equal, and mean
    /// nothing: what a client gives up is dropped, and dropping cancels.
    Many,
}

/// The upstream side of one client session, or of stateless clients. It numbers requests itself:
/// nothing upstream is keyed by a client's id.
pub trait Connection: Send + Sync {
    /// Passes one message on.
    ///
    /// # Errors
    ///
    /// `UpstreamError` or `UpstreamTimeout`; `InvalidRequest` for a request whose id is in flight and
    /// `Overloaded` when there are too many, both before anything is sent; `SessionNotFound` when the
    /// session cannot go on at the server, upon which the client's ends too; `NotBridged` and the
    /// like for what the other era has no counterpart of.
    fn send(&self, permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>>;

    /// Answers a request of the server with an error in the gateway's own name. It carries nothing
    /// of the client, hence needs no permit.
    fn refuse<'a>(&'a self, request: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()>;

    /// Says that a response which asks the client for input (2026-07-28, "Multi Round-Trip
    /// Requests") did not reach it, and why: what waits for the answers need not.
    fn dismiss<'a>(&'a self, _response: &'a Message, _failure: &'a Failure) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Ends the session upstream and frees what it holds. Calling it again does nothing.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Frees what the session holds here. What the server keeps of it stays for whoever goes on with
    /// it, another replica or this one; what cannot be gone on with ends.
    fn leave(&self) -> BoxFuture<'_, ()> {
        self.close()
    }

    /// The client's own stream is open: what the server says outside of answers is wanted. Returns
    /// when that is under way; calling it again does nothing.
    fn listen(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// What another replica needs to go on with the session; `None` before `initialize` succeeded,
    /// and for connections that cannot be resumed.
    fn handshake(&self) -> Option<Handshake> {
        None
    }

    /// The revision of MCP that is spoken with the server, once that is known.
    fn version(&self) -> Option<ProtocolVersion> {
        None
    }
}

/// What comes back for a message. Responses carry the upstream's own id; the router puts the
/// client's back.
#[expect(
    clippy::large_enum_variant,
    reason = "most answers are messages, and a box would cost each"
)]
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

    /// Whether somebody reads what is handed over.
    fn has_reader(&self) -> bool {
        true
    }

    /// Says that the server has lost the session, and with it what it kept for it (subscriptions, the
    /// log level), and whether the session was opened there again.
    fn lost_session(&self, _reopened: bool) {}
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

    /// What an operator wants to know of a part that can do its work.
    fn note(&self) -> Option<String> {
        None
    }
}
