//! An MCP server over Streamable HTTP (`/mcp`) and HTTP+SSE (`/sse`, `/messages`).

use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use http::{HeaderValue, Method};
use protocol::{Kind, Message, encode};
use tokio::sync::Semaphore;

use super::{EventSender, FakeServer, Received, empty, event_stream, response};

/// The session id that a stateful server mints.
const SESSION: &str = "fake-session-1";

/// How Streamable HTTP answers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// One JSON body.
    Json,
    /// An event stream.
    Events,
}

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends a message. Over JSON the last one is the body.
    Send(String),
    /// Waits for [`McpServer::release`].
    Hold,
    /// Breaks the connection.
    Break,
}

type Script = dyn Fn(&Message) -> Vec<Step> + Send + Sync;

/// A scripted MCP server. It answers `initialize` itself.
pub struct McpServer {
    server: FakeServer,
    inner: Arc<Inner>,
}

struct Inner {
    answers: Answers,
    stateful: bool,
    script: Box<Script>,
    gate: Semaphore,
    standalone: Mutex<Vec<EventSender>>,
}

/// The answer to a request: `{}` for `tools/list`, else a text that names the tool or method.
///
/// # Panics
///
/// The message is no request.
#[must_use]
pub fn answer(request: &Message) -> String {
    let id = request.id().expect("a request has an id");
    let said = request.name().unwrap_or_else(|| request.method_name());
    let mut text = String::new();
    encode::string(&mut text, &said);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":{text}}}]}}}}"#
    )
}

impl McpServer {
    /// A server that answers every request at once.
    pub async fn obliging(answers: Answers, stateful: bool) -> Self {
        Self::start(answers, stateful, |request| vec![Step::Send(answer(request))]).await
    }

    /// A server with a script for every request but `initialize`. A stateful one mints a session id
    /// and insists on it.
    pub async fn start(
        answers: Answers,
        stateful: bool,
        script: impl Fn(&Message) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let inner = Arc::new(Inner {
            answers,
            stateful,
            script: Box::new(script),
            gate: Semaphore::new(0),
            standalone: Mutex::default(),
        });
        let handling = Arc::clone(&inner);
        let server = FakeServer::start(move |request| {
            let inner = Arc::clone(&handling);
            async move { inner.handle(request).await }
        })
        .await;
        Self { server, inner }
    }

    /// What it received, and where it is.
    #[must_use]
    pub fn http(&self) -> &FakeServer {
        &self.server
    }

    /// The address of Streamable HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url("/mcp")
    }

    /// The address of HTTP+SSE.
    #[must_use]
    pub fn sse_url(&self) -> String {
        self.server.url("/sse")
    }

    /// Lets so many [`Step::Hold`] go on.
    pub fn release(&self, count: usize) {
        self.inner.gate.add_permits(count);
    }

    /// The event streams opened by GET so far, in order.
    #[must_use]
    pub fn streams(&self) -> Vec<EventSender> {
        self.inner.streams().clone()
    }

    /// Ends the event streams opened by GET.
    pub fn end_streams(&self) {
        self.inner.streams().clear();
    }

    /// Closes the port and every connection, as a server that was killed.
    pub async fn kill(self) -> std::net::SocketAddr {
        self.server.kill().await
    }
}

impl Inner {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<EventSender>> {
        self.standalone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(self: Arc<Self>, request: Received) -> Response {
        let path = request.path.split('?').next().unwrap_or_default();
        match (request.method.clone(), path) {
            (Method::POST, "/mcp") => self.post(&request).await,
            (Method::GET, "/mcp") => {
                let (events, response) = event_stream();
                self.streams().push(events);
                response
            }
            (Method::DELETE, "/mcp") => empty(200),
            (Method::GET, "/sse") => {
                let (events, response) = event_stream();
                events.raw("event: endpoint\ndata: /messages?sessionId=1\n\n").await;
                self.streams().push(events);
                response
            }
            (Method::POST, "/messages") => self.post_beside(&request),
            (_, "/mcp" | "/sse" | "/messages") => empty(405),
            _ => empty(404),
        }
    }

    async fn post(self: Arc<Self>, request: &Received) -> Response {
        let Some(message) = request.message() else { return empty(400) };
        let initialize = message.method() == Some(protocol::Method::Initialize);
        if self.stateful && !initialize && request.header("mcp-session-id") != Some(SESSION) {
            return empty(404);
        }
        if message.kind() != Kind::Request {
            return empty(202);
        }
        let mut response = match self.answers {
            Answers::Json => self.json(&message).await,
            Answers::Events => {
                let (events, response) = event_stream();
                let playing = Arc::clone(&self);
                tokio::spawn(async move { playing.play(&message, &events).await });
                response
            }
        };
        if self.stateful && initialize {
            let session = HeaderValue::from_static(SESSION);
            response.headers_mut().insert("mcp-session-id", session);
        }
        response
    }

    async fn json(&self, message: &Message) -> Response {
        let mut body = String::new();
        for step in self.steps(message) {
            match step {
                Step::Send(message) => body = message,
                Step::Hold => self.hold().await,
                Step::Break => {
                    let (events, mut response) = event_stream();
                    let json = HeaderValue::from_static("application/json");
                    response.headers_mut().insert("content-type", json);
                    events.fail().await;
                    return response;
                }
            }
        }
        response(200, "application/json", body)
    }

    /// HTTP+SSE: the answer comes over the stream that was opened last.
    fn post_beside(self: Arc<Self>, request: &Received) -> Response {
        let Some(events) = self.streams().last().cloned() else { return empty(404) };
        if let Some(message) = request.message().filter(|m| m.kind() == Kind::Request) {
            tokio::spawn(async move { self.play(&message, &events).await });
        }
        empty(202)
    }

    async fn play(&self, message: &Message, events: &EventSender) {
        for step in self.steps(message) {
            match step {
                Step::Send(message) => events.message(&message).await,
                Step::Hold => self.hold().await,
                Step::Break => events.fail().await,
            }
        }
    }

    fn steps(&self, message: &Message) -> Vec<Step> {
        if message.method() != Some(protocol::Method::Initialize) {
            return (self.script)(message);
        }
        let version = message.protocol_version().unwrap_or_default();
        let id = message.id().unwrap_or_default();
        vec![Step::Send(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{version}","capabilities":{{}},"serverInfo":{{"name":"fake","version":"1"}}}}}}"#
        ))]
    }

    async fn hold(&self) {
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
    }
}
