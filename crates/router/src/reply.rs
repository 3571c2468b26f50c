//! What goes back to the client.

use std::pin::Pin;

use bytes::Bytes;
use domain::{Decision, ErrorKind, Failure, Mode, SessionToken};
use futures_core::Stream;
use protocol::Message;
use serde_json::json;
use uuid::Uuid;

/// JSON-RPC messages in order, each complete.
pub type EventStream = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The reply to one message, for the transport to write.
pub struct Reply {
    /// HTTP status, for transports that have one.
    pub status: u16,
    /// The session that was opened by this message, to be announced as `Mcp-Session-Id`.
    pub session: Option<SessionToken>,
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
        Self { status: 202, session: None, body: ReplyBody::Empty }
    }

    pub(crate) fn json(body: Bytes) -> Self {
        Self { status: 200, session: None, body: ReplyBody::Json(body) }
    }

    pub(crate) fn events(events: EventStream) -> Self {
        Self { status: 200, session: None, body: ReplyBody::Events(events) }
    }

    pub(crate) fn error(kind: ErrorKind, body: Bytes) -> Self {
        Self { status: kind.http_status(), session: None, body: ReplyBody::Json(body) }
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
        let Failure { kind, message, .. } = &self.failure;
        Reply::error(*kind, error_body(id, *kind, message, None, self.trace))
    }
}

/// A JSON-RPC error reply: the client's id, the code of the kind, and in `data` what an agent can
/// act on and an operator can look up.
pub(crate) fn error_body(
    id: Option<&str>,
    kind: ErrorKind,
    message: &str,
    decision: Option<(&Decision, Mode)>,
    trace: Trace,
) -> Bytes {
    let mut data = json!({
        "kind": kind.as_str(),
        "request_id": trace.request_id,
        "retryable": kind.retryable(),
        "docs": format!("mcp-proxy explain {kind}"),
    });
    if let (Some((decision, mode)), Some(members)) = (decision, data.as_object_mut()) {
        let reasons: Vec<_> = decision.reasons.iter().map(|reason| &reason.message).collect();
        members.insert("decision_id".into(), json!(trace.decision_id));
        members.insert("reasons".into(), json!(reasons));
        members.insert("matched_rule".into(), json!(decision.matched_rule));
        members.insert("policy_mode".into(), json!(mode.as_str()));
    }
    protocol::encode::error_reply(id, kind.code(), message, Some(&data.to_string()))
}
