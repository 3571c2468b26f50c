//! What goes back to the client.

use std::pin::Pin;

use bytes::Bytes;
use domain::{ErrorKind, Failure, SessionToken};
use futures_core::Stream;
use protocol::{Era, Message};
use uuid::Uuid;

use crate::told::Told;

/// JSON-RPC messages in order, each complete.
pub type EventStream = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The reply to one message, for the transport to write.
pub struct Reply {
    /// HTTP status, for transports that have one.
    pub status: u16,
    /// The session that was opened by this message, to be announced as `Mcp-Session-Id`.
    pub session: Option<SessionToken>,
    /// Whether the body is a stream of notifications that one of the sides has to end: nobody waits
    /// for its end, and it ends when the gateway shuts down.
    pub lasting: bool,
    /// The body.
    pub body: ReplyBody,
}

/// The body of a [`Reply`].
pub enum ReplyBody {
    /// Nothing: the message was a notification or an answer.
    Empty,
    /// One JSON-RPC message.
    Json(Bytes),
    /// Several, the response last.
    Events(EventStream),
}

impl Reply {
    pub(crate) fn accepted() -> Self {
        Self { status: 202, session: None, lasting: false, body: ReplyBody::Empty }
    }

    pub(crate) fn json(body: Bytes) -> Self {
        Self { status: 200, session: None, lasting: false, body: ReplyBody::Json(body) }
    }

    pub(crate) fn events(events: EventStream) -> Self {
        Self { status: 200, session: None, lasting: false, body: ReplyBody::Events(events) }
    }

    pub(crate) fn error(kind: ErrorKind, era: Era, body: Bytes) -> Self {
        Self { status: status_of(kind, era), ..Self::json(body) }
    }

    /// The same, announcing a session.
    pub(crate) fn announcing(self, session: Option<SessionToken>) -> Self {
        Self { session, ..self }
    }
}

/// The names under which a message is found again in the log.
#[derive(Clone, Copy)]
pub(crate) struct Trace {
    pub(crate) request_id: Uuid,
    pub(crate) decision_id: Uuid,
}

/// A message for which the log has no room. It goes no further.
pub(crate) struct Unrecorded {
    pub(crate) failure: Failure,
    pub(crate) trace: Trace,
}

impl Unrecorded {
    /// The reply to a message that was not looked at yet: its sender waits under its id.
    pub(crate) fn reply_to(&self, body: Bytes) -> Reply {
        match Message::parse(body) {
            Ok(message) => self.reply(message.id()),
            Err(error) => self.reply(error.id.as_ref().map(protocol::RequestId::as_raw)),
        }
    }

    /// The reply under that id.
    pub(crate) fn reply(&self, id: Option<&str>) -> Reply {
        let body = Told::of(&self.failure).body(id, Era::Legacy, self.trace);
        Reply::error(self.failure.kind, Era::Legacy, body)
    }
}

/// The HTTP status of a reply that carries an error: the stateless era has some of its own
/// (2026-07-28, "Protocol Error Responses").
fn status_of(kind: ErrorKind, era: Era) -> u16 {
    match (era, kind.http_status()) {
        (Era::Modern, 200) if kind == ErrorKind::InvalidParams => 400,
        (Era::Modern, 200) => protocol::http_status(kind.code().into()),
        (Era::Modern | Era::Legacy, status) => status,
    }
}
