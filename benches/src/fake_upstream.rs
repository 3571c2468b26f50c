//! A minimal MCP server with one tool, `echo`, as cheap as hyper allows: the load that a gateway is
//! measured against must not hide the gateway's own cost.
//!
//! `/mcp` is Streamable HTTP of both eras, `/sse` with `/messages` is HTTP+SSE of 2024-11-05, and
//! [`serve_stdio`] is the same server as a child process. Events of one answer are ready at once and
//! may share a packet.

mod body;
mod echo;
mod stdio;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::mpsc;

use self::body::Answer;
use self::echo::{Echo, Kind, Outcome};
pub use self::stdio::serve_stdio;
use crate::{Error, listen};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const MAX_BODY: usize = 64 << 20;
/// Messages that wait for a slow reader of one stream.
const QUEUE: usize = 256;
/// What servers of the sessions say to a request without one.
const NO_SESSION: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no valid session: initialize first"}}"#;

/// How the server answers.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Behaviour {
    /// Which revisions it speaks.
    #[arg(long, value_enum, default_value_t)]
    pub era: Era,
    /// Issue no session ids over Streamable HTTP.
    #[arg(long)]
    pub stateless: bool,
    /// Offer the GET stream of Streamable HTTP, on which nothing ever comes.
    #[arg(long)]
    pub get_stream: bool,
    /// Answer calls with text/event-stream instead of JSON.
    #[arg(long)]
    pub sse: bool,
    /// Progress events before each result, when the call has a token (implies --sse).
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub stream: usize,
    /// With each Nth call tell one of those who listen that its resource was updated.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub update_every: u64,
    /// Answer each Nth call with the text of the call before it, to see that it is noticed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub cross_every: u64,
}

/// The revisions of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Era {
    /// All of them, each message in its own.
    #[default]
    Both,
    /// Those with sessions, up to 2025-11-25.
    Legacy,
    /// 2026-07-28.
    Modern,
}

/// Serves until the process ends, on this thread.
///
/// # Errors
/// When the listener fails.
pub fn serve(listener: TcpListener, behaviour: Behaviour) -> Result<Infallible, Error> {
    let server = Arc::new(Server { echo: Echo::new(behaviour), state: Mutex::default() });
    listen::serve(listener, move |request| {
        let server = Arc::clone(&server);
        async move { Ok(server.answer(request).await) }
    })
}

struct Server {
    echo: Echo,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_session: u64,
    sessions: HashSet<String>,
    streams: HashMap<String, mpsc::Sender<Bytes>>,
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        match (request.method().clone(), request.uri().path()) {
            (Method::POST, "/mcp") => self.streamable(request).await,
            (Method::GET, "/mcp") if self.echo.behaviour.get_stream => self.silence(&request),
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
        let Some(outcome) = self.echo.handle(&body) else {
            return status(StatusCode::BAD_REQUEST);
        };
        let behaviour = self.echo.behaviour;
        let opens = matches!(outcome.kind, Kind::Initialize);
        let has_sessions =
            !behaviour.stateless && behaviour.era != Era::Modern && !outcome.is_modern;
        if has_sessions && !opens {
            let Some(session) = session else {
                let mut response = json(NO_SESSION.to_owned());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                return response;
            };
            if !session.to_str().is_ok_and(|id| self.state().sessions.contains(id)) {
                return status(StatusCode::NOT_FOUND);
            }
        }
        let mut response = self.respond(outcome);
        if has_sessions && opens {
            let mut state = self.state();
            let id = state.next_session();
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(SESSION, value);
            }
            state.sessions.insert(id);
        }
        response
    }

    fn respond(&self, outcome: Outcome) -> Response<Answer> {
        if let Some((stream, message)) = outcome.update.and_then(|u| Some((u.stream?, u.message))) {
            // A listener that has gone, or reads too slowly, misses it and says so.
            drop(stream.try_send(event(&message)));
        }
        let behaviour = self.echo.behaviour;
        let mut response = match (outcome.kind, outcome.answer) {
            (Kind::Listen(mut listener), _) => {
                let (sender, receiver) = mpsc::channel(QUEUE);
                for note in outcome.notes {
                    // The queue is empty and its reader in hand: this cannot fail.
                    drop(sender.try_send(event(&note)));
                }
                listener.stream = Some(sender);
                self.echo.listen(listener);
                events(Answer::Open(receiver))
            }
            (_, None) => status(StatusCode::ACCEPTED),
            (Kind::Call, answer) if behaviour.sse || behaviour.stream > 0 => {
                let all: Vec<_> = outcome.notes.iter().chain(&answer).map(|m| event(m)).collect();
                events(Answer::Events(all.into_iter()))
            }
            (_, Some(answer)) => json(answer),
        };
        if outcome.status != StatusCode::OK {
            *response.status_mut() = outcome.status;
        }
        response
    }

    fn end_session(&self, request: &Request<Incoming>) -> Response<Answer> {
        let mut state = self.state();
        match session_of(request) {
            Some(id) if state.sessions.remove(id) => {
                state.streams.remove(id);
                status(StatusCode::NO_CONTENT)
            }
            Some(_) => status(StatusCode::NOT_FOUND),
            None => status(StatusCode::BAD_REQUEST),
        }
    }

    /// The GET stream of a session.
    fn silence(&self, request: &Request<Incoming>) -> Response<Answer> {
        let mut state = self.state();
        let Some(id) = session_of(request).filter(|id| state.sessions.contains(*id)) else {
            return status(StatusCode::NOT_FOUND);
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        state.streams.insert(id.to_owned(), sender);
        events(Answer::Open(receiver))
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
        events(Answer::Open(receiver))
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
        let Some(outcome) = self.echo.handle(&body) else {
            return status(StatusCode::BAD_REQUEST);
        };
        for message in outcome.notes.iter().chain(&outcome.answer) {
            if stream.send(event(message)).await.is_err() {
                return status(StatusCode::GONE);
            }
        }
        status(StatusCode::ACCEPTED)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_session(&mut self) -> String {
        self.last_session += 1;
        format!("session-{}", self.last_session)
    }
}

fn session_of(request: &Request<Incoming>) -> Option<&str> {
    request.headers().get(SESSION)?.to_str().ok()
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

fn json(body: String) -> Response<Answer> {
    typed(Answer::Whole(Some(body.into())), "application/json")
}

fn events(body: Answer) -> Response<Answer> {
    typed(body, "text/event-stream")
}

fn typed(body: Answer, content_type: &'static str) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
