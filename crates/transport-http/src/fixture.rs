//! What the tests of this crate share: a gateway over scripted ports, and a client that says exactly what it is told.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use domain::{AuditEvent, Clock, Policies, SystemClock, Transport, Upstream};
use futures_util::{StreamExt, stream};
use limits::RateLimiter;
use observability::Metrics;
use protocol::Message;
use router::{Caller, Options, Ports, Router};
use serde_json::Value;
use session::{Keys, Session, Sessions};
use testkit::ports::{AllowAll, MemoryRecorder, ScriptedUpstream, result};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, DuplexStream,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::app::Peer;
use crate::connection::Speech;
use crate::progress::Progress;
use crate::{App, Config, app};

/// What an ordinary client sends with a message.
pub(crate) const USUAL: &str =
    "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
pub(crate) const CALL: &str =
    r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo"}}"#;
/// A call of 2026-07-28, under the id `m`.
pub(crate) const MODERN: &str = r#"{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
/// The headers that repeat it.
pub(crate) const MIRRORED: &str =
    "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n";
pub(crate) const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

pub(crate) struct Gateway {
    pub(crate) app: App,
    pub(crate) router: Arc<Router>,
    pub(crate) recorder: MemoryRecorder,
    pub(crate) upstream: Arc<ScriptedUpstream>,
    pub(crate) shutdown: CancellationToken,
    speech: Arc<Speech>,
}

impl Gateway {
    /// A gateway before that server, without a port.
    pub(crate) fn new(config: &Config, upstream: Arc<ScriptedUpstream>) -> Self {
        Self::with_sse(config, upstream, axum::Router::new())
    }

    pub(crate) fn with_sse(
        config: &Config,
        upstream: Arc<ScriptedUpstream>,
        sse: axum::Router,
    ) -> Self {
        Self { upstream: Arc::clone(&upstream), ..Self::before(config, upstream, sse) }
    }

    /// A gateway before any server.
    pub(crate) fn before(config: &Config, upstream: Arc<dyn Upstream>, sse: axum::Router) -> Self {
        Self::under(Arc::new(AllowAll), Options::default(), (config, upstream, sse))
    }

    /// A gateway under a policy.
    pub(crate) fn under(
        policy: Arc<dyn Policies>,
        options: Options,
        (config, upstream, sse): (&Config, Arc<dyn Upstream>, axum::Router),
    ) -> Self {
        let recorder = MemoryRecorder::default();
        let clock = Arc::new(SystemClock);
        let ports = Ports {
            policy,
            upstream,
            recorder: Arc::new(recorder.clone()),
            metrics: Arc::new(Metrics::new("scripted").unwrap()),
            approvals: None,
            limiter: Arc::new(RateLimiter::new(&limits::Config::default(), clock.monotonic())),
            clock: Arc::clone(&clock) as _,
        };
        let options = Options { environment: "test".into(), ..options };
        let settings = session::Config::default();
        let keys = Keys::load(&settings).unwrap();
        let sessions = Sessions::new(settings, clock, keys);
        let router = Router::new(ports, options, sessions);
        Self {
            app: app(Arc::clone(&router), config, sse),
            router,
            recorder,
            upstream: ScriptedUpstream::obliging(),
            shutdown: CancellationToken::new(),
            speech: Arc::new(Speech::from(config)),
        }
    }

    /// A connection without a network, whose buffers are large.
    pub(crate) fn connect(&self) -> Client<DuplexStream> {
        self.connect_through(1 << 20)
    }

    /// A connection whose buffers hold so many bytes.
    pub(crate) fn connect_through(&self, buffer: usize) -> Client<DuplexStream> {
        let (near, far) = tokio::io::duplex(buffer);
        let peer = self.peer();
        let (speech, app) = (Arc::clone(&self.speech), self.app.clone());
        tokio::spawn(async move { speech.serve(far, &app, peer).await });
        Client::over(near)
    }

    /// A client of this machine.
    pub(crate) fn peer(&self) -> Arc<Peer> {
        Arc::new(Peer {
            _place: None,
            ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            user_agent: OnceLock::new(),
            progress: Arc::new(Progress::default()),
            draining: self.shutdown.child_token(),
            excess: false,
        })
    }

    /// A connection with an initialized session, and its id.
    pub(crate) async fn session(&self) -> (Client<DuplexStream>, String) {
        self.session_of("2025-11-25").await
    }

    /// The same under that revision.
    pub(crate) async fn session_of(&self, version: &str) -> (Client<DuplexStream>, String) {
        let mut client = self.connect();
        let initialize = INITIALIZE.replace("2025-11-25", version);
        let answer = client.ask(&post(USUAL, &initialize)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let id = answer.header("mcp-session-id").unwrap().to_owned();
        (client, id)
    }

    /// The session of that id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Session>> {
        self.router.find(id, &caller(Transport::Http))
    }

    /// The one row that there is, once there is one.
    pub(crate) async fn row(&self) -> AuditEvent {
        let mut rows = within(self.recorder.wait_for(1)).await;
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }
}

/// A server whose answer to every call is a stream, told message by message.
pub(crate) struct Story {
    pub(crate) upstream: Arc<ScriptedUpstream>,
    telling: mpsc::Sender<Message>,
    ended: watch::Receiver<bool>,
}

impl Story {
    /// A story that goes on once for the first call.
    pub(crate) fn new() -> Self {
        let (telling, messages) = mpsc::channel::<Message>(1);
        let (end, ended) = watch::channel(false);
        let untold = Mutex::new(Some((messages, end)));
        let upstream = ScriptedUpstream::new(move |message, _| {
            let untold = untold.lock().unwrap().take();
            Box::pin(async move {
                let Some((messages, end)) = untold else { return Ok(result(&message, "{}")) };
                let end = Ending(end);
                let messages = stream::unfold((messages, end), |(mut messages, end)| async {
                    Some((Ok(messages.recv().await?), (messages, end)))
                });
                Ok(domain::Answer::Stream(messages.boxed()))
            })
        });
        Self { upstream, telling, ended }
    }

    /// The server sends this, as soon as what it sent before was taken.
    pub(crate) async fn tell(&self, message: &str) {
        let message = Message::parse(message.to_owned().into()).unwrap();
        within(self.telling.send(message)).await.unwrap();
    }

    /// Waits until nobody listens to the story any more.
    pub(crate) async fn is_dropped(&mut self) {
        within(self.ended.wait_for(|ended| *ended)).await.unwrap();
    }

    /// Whether somebody listens, or may still begin to.
    pub(crate) fn is_heard(&self) -> bool {
        !*self.ended.borrow()
    }
}

/// Tells when the answer is over or dropped.
struct Ending(watch::Sender<bool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Who asks the router.
pub(crate) fn caller(transport: Transport) -> Caller {
    Caller::over(transport)
}

/// A `POST` of a message.
pub(crate) fn post(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The usual headers and the session.
pub(crate) fn in_session(id: &str) -> String {
    format!("{USUAL}Mcp-Session-Id: {id}\r\n")
}

/// A request without a body.
pub(crate) fn bare(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// Fails a test that hangs.
#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        // Longer than every deadline of the gateway. The clock is paused wherever one is waited for.
        let waited = tokio::time::timeout(Duration::from_secs(600), future).await;
        waited.unwrap_or_else(|_| panic!("{place}: nothing happened"))
    }
}

pub(crate) struct Client<S> {
    stream: BufStream<S>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream: BufStream::new(stream) }
    }

    /// The connection, for what is not HTTP.
    pub(crate) fn into_stream(self) -> BufStream<S> {
        self.stream
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends if the gateway still listens.
    pub(crate) async fn try_send(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Sends a request and reads the whole answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &str) -> impl Future<Output = Answer> {
        within(async move {
            self.send(request).await;
            self.answer().await
        })
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        if let Some(length) = answer.header("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut body).await.unwrap();
            answer.body = String::from_utf8(body).unwrap();
        } else if answer.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk().await {
                answer.body.push_str(&chunk);
            }
        }
        answer
    }

    /// Status and headers alone.
    pub(crate) async fn head(&mut self) -> Answer {
        let line = self.line().await;
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: `{line}`"));
        let status = status.parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Answer { status, headers, body: String::new() }
    }

    /// One chunk of a chunked body, as the gateway wrote it; `None` after the last.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let size = usize::from_str_radix(&self.line().await, 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await.unwrap();
        chunk.truncate(size);
        (size > 0).then(|| String::from_utf8(chunk).unwrap())
    }

    /// Whether the gateway closes the connection, saying nothing more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        within(self.rest()).await.is_empty()
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset ends the connection as well.
        drop(self.stream.read_to_end(&mut rest).await);
        rest
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}
