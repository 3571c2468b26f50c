//! What the server says to a message, whatever carries it: the tool `echo` in both eras.
//!
//! Ids, progress tokens and texts are copied as raw JSON, so what came is what goes back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{Behaviour, Era};

const TOOLS: &str = r#""tools":[{"name":"echo","description":"Echoes the message.","inputSchema":{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}}]"#;
const CAPABILITIES: &str = r#""capabilities":{"tools":{},"resources":{"subscribe":true}}"#;
const SERVER: &str = r#"{"name":"fake-upstream","version":"1"}"#;

/// The server behind its transports.
pub(super) struct Echo {
    pub(super) behaviour: Behaviour,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: u64,
    last_text: Option<Box<RawValue>>,
    listeners: Vec<Listener>,
    next_listener: usize,
}

/// Who asked by `subscriptions/listen` to hear of one resource.
pub(super) struct Listener {
    /// The id of the request, which every update repeats.
    id: Box<RawValue>,
    uri: Box<RawValue>,
    /// Its own stream; `None` where all share one pipe.
    pub(super) stream: Option<mpsc::Sender<Bytes>>,
}

/// What a message leads to.
pub(super) struct Outcome {
    pub(super) kind: Kind,
    /// The message carries the envelope of 2026-07-28, and this server speaks it.
    pub(super) is_modern: bool,
    /// What belongs to the answer and comes before it.
    pub(super) notes: Vec<String>,
    /// None for a notification, and for a stream that has begun.
    pub(super) answer: Option<String>,
    /// What HTTP says with the answer.
    pub(super) status: StatusCode,
    /// A notification for somebody who listens.
    pub(super) update: Option<Update>,
}

/// What kind of message it was.
pub(super) enum Kind {
    Initialize,
    Call,
    /// Becomes active with [`Echo::listen`].
    Listen(Listener),
    Other,
}

/// A notification, and the stream that it goes to.
pub(super) struct Update {
    pub(super) message: String,
    pub(super) stream: Option<mpsc::Sender<Bytes>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<&'a str>,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params<'a> {
    name: Option<&'a str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Meta<'a>,
    #[serde(borrow, rename = "protocolVersion")]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    notifications: Filter<'a>,
    #[serde(borrow, rename = "requestId")]
    cancelled: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Filter<'a> {
    #[serde(borrow, rename = "resourceSubscriptions")]
    uris: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

/// An error to answer with: its status in 2026-07-28, and the object.
type Refusal = (StatusCode, &'static str);

const UNSUPPORTED: Refusal = (
    StatusCode::BAD_REQUEST,
    r#"{"code":-32022,"message":"unsupported protocol version","data":{"supported":["2026-07-28"]}}"#,
);
const NO_METHOD: Refusal =
    (StatusCode::NOT_FOUND, r#"{"code":-32601,"message":"method not found"}"#);
const NO_VERSION: Refusal =
    (StatusCode::BAD_REQUEST, r#"{"code":-32602,"message":"protocolVersion is missing"}"#);
const NO_ECHO: Refusal =
    (StatusCode::OK, r#"{"code":-32602,"message":"the one tool is echo, with a message"}"#);
const NO_URI: Refusal =
    (StatusCode::OK, r#"{"code":-32602,"message":"listen to exactly one resource"}"#);

impl Echo {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, state: Mutex::default() }
    }

    /// What follows from a message; `None` when it is not one.
    pub(super) fn handle(&self, body: &[u8]) -> Option<Outcome> {
        let message: Message<'_> = serde_json::from_slice(body).ok()?;
        let mut outcome = Outcome {
            kind: Kind::Other,
            is_modern: message.params.meta.version.is_some() && self.behaviour.era != Era::Legacy,
            notes: Vec::new(),
            answer: None,
            status: StatusCode::OK,
            update: None,
        };
        let Some(method) = message.method else {
            // An answer to a request that this server never made.
            return Some(outcome);
        };
        let Some(id) = message.id else {
            if let ("notifications/cancelled", Some(id)) = (method, message.params.cancelled) {
                self.state().listeners.retain(|listener| listener.id.get() != id.get());
            }
            return Some(outcome);
        };
        match self.reply(method, id, &message.params, &mut outcome) {
            Ok(Some(result)) => {
                let complete = if outcome.is_modern { r#""resultType":"complete","# } else { "" };
                outcome.answer = Some(format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{{complete}{result}}}}}"#
                ));
            }
            Ok(None) => {}
            Err((status, error)) => {
                outcome.answer = Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
                if outcome.is_modern || self.behaviour.era == Era::Modern {
                    outcome.status = status;
                }
            }
        }
        Some(outcome)
    }

    /// The members of the result; `None` when a stream begins instead.
    fn reply(
        &self,
        method: &str,
        id: &RawValue,
        params: &Params<'_>,
        outcome: &mut Outcome,
    ) -> Result<Option<String>, Refusal> {
        let modern = outcome.is_modern;
        if !modern && self.behaviour.era == Era::Modern {
            return Err(UNSUPPORTED);
        }
        Ok(Some(match method {
            "initialize" if !modern => {
                outcome.kind = Kind::Initialize;
                let version = params.version.ok_or(NO_VERSION)?;
                format!(r#""protocolVersion":{version},{CAPABILITIES},"serverInfo":{SERVER}"#)
            }
            "ping" if !modern => String::new(),
            "server/discover" if modern => format!(
                r#""supportedVersions":["2026-07-28"],{CAPABILITIES},"ttlMs":0,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{SERVER}}}"#
            ),
            "tools/list" if modern => format!(r#"{TOOLS},"ttlMs":0,"cacheScope":"private""#),
            "tools/list" => TOOLS.to_owned(),
            "tools/call" => {
                outcome.kind = Kind::Call;
                self.call(params, outcome)?
            }
            "subscriptions/listen" if modern => {
                let [uri] = params.notifications.uris[..] else {
                    return Err(NO_URI);
                };
                outcome.notes.push(format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{{"resourceSubscriptions":[{uri}]}}}}}}"#
                ));
                let (id, uri) = (id.to_owned(), uri.to_owned());
                outcome.kind = Kind::Listen(Listener { id, uri, stream: None });
                return Ok(None);
            }
            _ => return Err(NO_METHOD),
        }))
    }

    /// The members of the result of a call; its progress, which repeats the text, becomes notes.
    fn call(&self, params: &Params<'_>, outcome: &mut Outcome) -> Result<String, Refusal> {
        let arguments = params.arguments.filter(|_| params.name == Some("echo"));
        let arguments =
            arguments.and_then(|raw| serde_json::from_str::<Arguments<'_>>(raw.get()).ok());
        let text = arguments.ok_or(NO_ECHO)?.message;
        if let Some(token) = params.meta.token {
            let total = self.behaviour.stream;
            outcome.notes.extend((1..=total).map(|done| {
                format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{done},"total":{total},"message":{text}}}}}"#
                )
            }));
        }
        let crossed = self.count(text, outcome);
        let text = crossed.as_deref().unwrap_or(text);
        Ok(format!(r#""content":[{{"type":"text","text":{text}}}],"isError":false"#))
    }

    /// Does what is due after so many calls: another call's text, when it is time for a wrong
    /// answer, is returned; an update of the listener whose turn it is goes to the outcome.
    fn count(&self, text: &RawValue, outcome: &mut Outcome) -> Option<Box<RawValue>> {
        let Behaviour { cross_every, update_every, .. } = self.behaviour;
        if cross_every == 0 && update_every == 0 {
            return None;
        }
        let mut state = self.state();
        state.calls += 1;
        if update_every != 0 && state.calls.is_multiple_of(update_every) {
            outcome.update = state.update();
        }
        let before = state.last_text.replace(text.to_owned());
        before.filter(|_| cross_every != 0 && state.calls.is_multiple_of(cross_every))
    }

    /// From now on the listener is told of updates.
    pub(super) fn listen(&self, listener: Listener) {
        let mut state = self.state();
        state.listeners.retain(|known| known.stream.as_ref().is_none_or(|s| !s.is_closed()));
        state.listeners.push(listener);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An update for the next listener in turn, when there is one.
    fn update(&mut self) -> Option<Update> {
        let number = self.next_listener % self.listeners.len().max(1);
        let Listener { id, uri, stream } = self.listeners.get(number)?;
        self.next_listener = number + 1;
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"uri":{uri}}}}}"#
        );
        Some(Update { message, stream: stream.clone() })
    }
}
