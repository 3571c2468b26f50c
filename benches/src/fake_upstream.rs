//! A minimal MCP server with one tool, `echo`, as cheap as hyper allows: the load that a gateway is
//! measured against must not hide the gateway's own cost.
//!
//! `/mcp` is Streamable HTTP (no GET stream), `/sse` with `/messages` is HTTP+SSE of 2024-11-05. Ids,
//! progress tokens and texts are copied as raw JSON, so what came is what goes back. Events of one
//! answer are ready at once and may share a packet.

mod body;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use self::body::Answer;
use crate::{Error, listen};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const MAX_BODY: usize = 64 << 20;
/// Answers that wait for a slow reader of one HTTP+SSE stream.
const QUEUE: usize = 256;
const TOOLS: &str = r#"{"tools":[{"name":"echo","description":"Echoes the message.","inputSchema":{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}}]}"#;

/// How the server answers.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Behaviour {
    /// Issue no session ids over Streamable HTTP.
    #[arg(long)]
    pub stateless: bool,
    /// Answer calls with text/event-stream instead of JSON.
    #[arg(long)]
    pub sse: bool,
    /// Progress events before each result, when the call has a token (implies --sse).
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub stream: usize,
    /// Answer each Nth call with the text of the call before it, to see that it is noticed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub cross_every: u64,
}

/// Serves until the process ends, on this thread.
///
/// # Errors
/// When the listener fails.
pub fn serve(listener: TcpListener, behaviour: Behaviour) -> Result<Infallible, Error> {
    let server = Arc::new(Server { behaviour, state: Mutex::default() });
    listen::serve(listener, move |request| {
        let server = Arc::clone(&server);
        async move { Ok(server.answer(request).await) }
    })
}

struct Server {
    behaviour: Behaviour,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_session: u64,
    sessions: HashSet<String>,
    streams: HashMap<String, mpsc::Sender<Bytes>>,
    calls: u64,
    last_text: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    name: &'a str,
    #[serde(borrow)]
    arguments: Arguments<'a>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
}

/// What a message leads to.
struct Outcome {
    /// Progress notifications, then the answer; none for a notification.
    messages: Vec<String>,
    is_initialize: bool,
    is_call: bool,
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        match (request.method().clone(), request.uri().path()) {
            (Method::POST, "/mcp") => self.streamable(request).await,
            (Method::DELETE, "/mcp") => self.end_session(&request),
            (Method::GET, "/sse") => self.open_stream(),
            (Method::POST, "/messages") => self.post_to_stream(request).await,
            (_, "/mcp") => {
                let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, DELETE"));
                response
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    async fn streamable(&self, request: Request<Incoming>) -> Response<Answer> {
        let session = request.headers().get(SESSION).cloned();
        let Some(body) = read(request).await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let Some(outcome) = self.handle(&body) else {
            return status(StatusCode::BAD_REQUEST);
        };
        if !self.behaviour.stateless && !outcome.is_initialize {
            let Some(session) = session else {
                return status(StatusCode::BAD_REQUEST);
            };
            if !session.to_str().is_ok_and(|id| self.state().sessions.contains(id)) {
                return status(StatusCode::NOT_FOUND);
            }
        }
        let mut response = if outcome.messages.is_empty() {
            status(StatusCode::ACCEPTED)
        } else if outcome.is_call && (self.behaviour.sse || self.behaviour.stream > 0) {
            let events: Vec<_> = outcome.messages.iter().map(|message| event(message)).collect();
            typed(Answer::Events(events.into_iter()), "text/event-stream")
        } else {
            let body = outcome.messages.concat();
            typed(Answer::Whole(Some(body.into())), "application/json")
        };
        if outcome.is_initialize && !self.behaviour.stateless {
            let mut state = self.state();
            let id = state.next_session();
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(SESSION, value);
            }
            state.sessions.insert(id);
        }
        response
    }

    fn end_session(&self, request: &Request<Incoming>) -> Response<Answer> {
        let id = request.headers().get(SESSION).and_then(|id| id.to_str().ok());
        match id {
            Some(id) if self.state().sessions.remove(id) => status(StatusCode::NO_CONTENT),
            Some(_) => status(StatusCode::NOT_FOUND),
            None => status(StatusCode::BAD_REQUEST),
        }
    }

    fn open_stream(&self) -> Response<Answer> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut state = self.state();
        state.streams.retain(|_, stream| !stream.is_closed());
        let id = state.next_session();
        let endpoint = format!("event: endpoint\ndata: /messages?sessionId={id}\n\n");
        // The queue is empty and its reader in hand: this cannot fail.
        if sender.try_send(endpoint.into()).is_ok() {
            state.streams.insert(id, sender);
        }
        typed(Answer::Open(receiver), "text/event-stream")
    }

    async fn post_to_stream(&self, request: Request<Incoming>) -> Response<Answer> {
        let id = request.uri().query().and_then(|query| query.strip_prefix("sessionId="));
        let stream = id.and_then(|id| self.state().streams.get(id).cloned());
        let Some(stream) = stream else {
            return status(StatusCode::NOT_FOUND);
        };
        let Some(body) = read(request).await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let Some(outcome) = self.handle(&body) else {
            return status(StatusCode::BAD_REQUEST);
        };
        for message in &outcome.messages {
            if stream.send(event(message)).await.is_err() {
                return status(StatusCode::GONE);
            }
        }
        status(StatusCode::ACCEPTED)
    }

    /// What follows from a message; `None` when it is not one.
    fn handle(&self, body: &[u8]) -> Option<Outcome> {
        let message: Message<'_> = serde_json::from_slice(body).ok()?;
        let method = message.method.unwrap_or_default();
        let mut outcome = Outcome {
            messages: Vec::new(),
            is_initialize: method == "initialize",
            is_call: method == "tools/call",
        };
        // A notification, or an answer to a request that this server never made.
        let Some(id) = message.id.filter(|_| message.method.is_some()) else {
            return Some(outcome);
        };
        let reply = match method {
            "initialize" => initialize(message.params),
            "ping" => Ok("{}".to_owned()),
            "tools/list" => Ok(TOOLS.to_owned()),
            "tools/call" => self.call(message.params, &mut outcome.messages),
            _ => Err(r#"{"code":-32601,"message":"method not found"}"#),
        };
        outcome.messages.push(match reply {
            Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
            Err(error) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
        });
        Some(outcome)
    }

    /// The result of a call; its progress notifications go to `messages`.
    fn call(
        &self,
        params: Option<&RawValue>,
        messages: &mut Vec<String>,
    ) -> Result<String, &'static str> {
        let call = params.and_then(|params| serde_json::from_str::<Call<'_>>(params.get()).ok());
        let Some(call) = call.filter(|call| call.name == "echo") else {
            return Err(r#"{"code":-32602,"message":"the one tool is echo, with a message"}"#);
        };
        if let Some(token) = call.meta.and_then(|meta| meta.token) {
            let total = self.behaviour.stream;
            messages.extend((1..=total).map(|done| {
                format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{done},"total":{total}}}}}"#
                )
            }));
        }
        let crossed = self.crossed(call.arguments.message);
        let text = crossed.as_deref().unwrap_or(call.arguments.message);
        Ok(format!(r#"{{"content":[{{"type":"text","text":{text}}}],"isError":false}}"#))
    }

    /// Another call's text, when it is time for a wrong answer.
    fn crossed(&self, text: &RawValue) -> Option<Box<RawValue>> {
        let every = self.behaviour.cross_every;
        if every == 0 {
            return None;
        }
        let mut state = self.state();
        state.calls += 1;
        let before = state.last_text.replace(text.to_owned());
        before.filter(|_| state.calls.is_multiple_of(every))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_session(&mut self) -> String {
        self.last_session += 1;
        format!("session-{}", self.last_session)
    }
}

/// The answer to initialize, in the client's revision.
fn initialize(params: Option<&RawValue>) -> Result<String, &'static str> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "protocolVersion")]
        version: &'a RawValue,
    }
    let params = params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok());
    let Some(Params { version }) = params else {
        return Err(r#"{"code":-32602,"message":"protocolVersion is missing"}"#);
    };
    Ok(format!(
        r#"{{"protocolVersion":{version},"capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"fake-upstream","version":"1"}}}}"#
    ))
}

async fn read(request: Request<Incoming>) -> Option<Bytes> {
    Some(Limited::new(request.into_body(), MAX_BODY).collect().await.ok()?.to_bytes())
}

fn event(message: &str) -> Bytes {
    format!("data: {message}\n\n").into()
}

fn status(code: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(None));
    *response.status_mut() = code;
    response
}

fn typed(body: Answer, content_type: &'static str) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
