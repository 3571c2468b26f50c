//! Scripted HTTP servers: any behaviour by a handler, and an MCP server over both transports.
//!
//! Nothing here waits for time to pass: tests wait for what a server received, and hold its answers
//! back through channels.

#![expect(clippy::expect_used, reason = "a fake that cannot start fails its test")]

mod mcp;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use domain::BoxFuture;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use protocol::Message;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

pub use self::mcp::{Answers, McpServer, Step, answer};

/// One HTTP request, read whole.
#[derive(Clone, Debug)]
pub struct Received {
    /// The HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Received {
    /// The body as a message, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<Message> {
        Message::parse(self.body.clone()).ok()
    }

    /// The name of the MCP method in the body; empty when there is none.
    #[must_use]
    pub fn mcp_method(&self) -> String {
        self.message().map(|message| message.method_name().into_owned()).unwrap_or_default()
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// How long a test waits for what must come, before it fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

type Handler = dyn Fn(Received) -> BoxFuture<'static, Response> + Send + Sync;

/// An HTTP server on a free loopback port, whose connections end with it.
pub struct FakeServer {
    address: SocketAddr,
    received: Arc<watch::Sender<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl FakeServer {
    /// Serves every request by a handler.
    ///
    /// # Panics
    ///
    /// No loopback port is free.
    pub async fn start<R>(handler: impl Fn(Received) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Response> + Send + 'static,
    {
        let handler: Arc<Handler> = Arc::new(move |received| Box::pin(handler(received)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let received = Arc::new(watch::Sender::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(
            listener,
            handler,
            Arc::clone(&received),
            Arc::clone(&connections),
        ));
        Self { address, received, connections, accepting }
    }

    /// The address of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// Waits for the first request that fits.
    ///
    /// # Panics
    ///
    /// None comes for a long time.
    pub async fn until(&self, fits: impl Fn(&Received) -> bool) -> Received {
        self.until_nth(1, fits).await
    }

    /// Waits for the `nth` request that fits, counted from 1.
    ///
    /// # Panics
    ///
    /// It does not come for a long time.
    pub async fn until_nth(&self, nth: usize, fits: impl Fn(&Received) -> bool) -> Received {
        let mut received = self.received.subscribe();
        let find = |all: &Vec<Received>| all.iter().filter(|one| fits(one)).nth(nth - 1).cloned();
        let come = received.wait_for(|all| find(all).is_some());
        let all = timeout(PATIENCE, come).await.expect("the request comes in time");
        find(&all.expect("the sender lives in `self`")).expect("it was just found")
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes the port and every connection, as a server that was killed.
    pub async fn kill(mut self) -> SocketAddr {
        self.accepting.abort();
        drop((&mut self.accepting).await);
        self.address
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    handler: Arc<Handler>,
    received: Arc<watch::Sender<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
) {
    let mut serving = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let (handler, received) = (Arc::clone(&handler), Arc::clone(&received));
        let service = service_fn(move |request| {
            let (handler, received) = (Arc::clone(&handler), Arc::clone(&received));
            async move {
                let request = read(request).await;
                received.send_modify(|all| all.push(request.clone()));
                Ok::<_, Infallible>(handler(request).await)
            }
        });
        serving.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn read(request: http::Request<Incoming>) -> Received {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Received { method: head.method, path, headers: head.headers, body }
}

/// A response with a body of some type.
///
/// # Panics
///
/// The status or the type is not valid in HTTP.
#[must_use]
pub fn response(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response {
    let response = Response::builder().status(status).header("content-type", content_type);
    response.body(Body::from(body.into())).expect("a valid head")
}

/// A response without a body.
///
/// # Panics
///
/// The status is not valid in HTTP.
#[must_use]
pub fn empty(status: u16) -> Response {
    Response::builder().status(status).body(Body::empty()).expect("a valid status")
}

/// An event stream that stays open as long as its sender lives.
///
/// # Panics
///
/// Never: the head is constant.
#[must_use]
pub fn event_stream() -> (EventSender, Response) {
    let (sender, receiver) = mpsc::channel(64);
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let chunk: Result<Bytes, std::io::Error> = receiver.recv().await?;
        Some((chunk, receiver))
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    let response = response.body(Body::from_stream(chunks)).expect("a valid head");
    (EventSender(sender), response)
}

/// Writes to an open event stream; dropping it ends the stream.
#[derive(Clone, Debug)]
pub struct EventSender(mpsc::Sender<Result<Bytes, std::io::Error>>);

impl EventSender {
    /// Sends raw text. That the reader is gone is no fault of the server.
    pub async fn raw(&self, text: &str) {
        drop(self.0.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).await);
    }

    /// Sends one message as an event.
    pub async fn message(&self, message: &str) {
        self.raw(&format!("data: {message}\n\n")).await;
    }

    /// Breaks the connection in the middle of the body.
    pub async fn fail(&self) {
        drop(self.0.send(Err(std::io::Error::other("broken on purpose"))).await);
    }

    /// Waits until nobody reads the stream any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}
