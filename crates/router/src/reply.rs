//! What goes back to the client.

use std::pin::Pin;

use bytes::Bytes;
use domain::{Decision, ErrorKind, Failure, Mode, SessionToken};
use futures_core::Stream;
use protocol::{Era, Message, encode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

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
        let told = Told::of(&self.failure);
        Reply::error(told.kind, Era::Legacy, told.body(id, Era::Legacy, self.trace))
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

/// What the sender of a message is told of an error.
pub(crate) struct Told<'a> {
    pub(crate) kind: ErrorKind,
    pub(crate) message: &'a str,
    /// Members for `error.data` besides the gateway's own: a JSON object.
    pub(crate) data: Option<&'a str>,
    pub(crate) decision: Option<(&'a Decision, Mode)>,
}

impl<'a> Told<'a> {
    pub(crate) fn of(failure: &'a Failure) -> Self {
        let Failure { kind, message, data, .. } = failure;
        Self { kind: *kind, message, data: data.as_deref(), decision: None }
    }

    /// A JSON-RPC error reply: the client's id, the code of the kind, and in `data` what an agent
    /// can act on and an operator can look up.
    pub(crate) fn body(&self, id: Option<&str>, era: Era, trace: Trace) -> Bytes {
        let Self { kind, message, .. } = *self;
        let mut data = json!({
            "kind": kind.as_str(),
            "request_id": trace.request_id,
            "retryable": kind.retryable(),
            "docs": format!("mcp-proxy explain {kind}"),
        });
        if let Some(members) = data.as_object_mut() {
            if let Some((decision, mode)) = self.decision {
                let reasons: Vec<_> =
                    decision.reasons.iter().map(|reason| &reason.message).collect();
                members.insert("decision_id".into(), json!(trace.decision_id));
                members.insert("reasons".into(), json!(reasons));
                members.insert("matched_rule".into(), json!(decision.matched_rule));
                members.insert("policy_mode".into(), json!(mode.as_str()));
            }
            let more =
                self.data.and_then(|data| serde_json::from_str::<Map<String, Value>>(data).ok());
            members.extend(more.unwrap_or_default());
        }
        let (code, data) = (kind.code(), data.to_string());
        match (id, era) {
            (None, Era::Modern) => encode::error_without_id(code, message, Some(&data)),
            (id, Era::Modern | Era::Legacy) => encode::error_reply(id, code, message, Some(&data)),
        }
    }
}
