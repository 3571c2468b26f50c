//! HTTP+SSE, the transport of MCP 2024-11-05: `GET /sse` opens a session and carries everything to the client,
//! `POST /message?sessionId=` takes everything from it.
//!
//! These are routes for the listener of the data port, which has checked Host, Origin, media type and size, read the
//! body, and put the [`router::Caller`] among the extensions. Invariants:
//!
//! - **The stream is the session.** Either ends with the other, here and upstream.
//! - **A message is accepted at once**, with 202; whatever comes of it goes over the stream.
//! - **Nothing accepted is lost at shutdown**: the stream ends after the answers that are under way.
//!
//! What this crate deliberately does not do: resuming a stream that broke off, which this transport does not know.

mod feed;
mod message;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use axum::routing::any;
use domain::{ErrorKind, Failure};
use http::{Method, StatusCode};
use router::{Caller, Router};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How the routes behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between two comments on a stream, which show proxies that it is alive.
    pub keep_alive: Duration,
    /// Cancelled when the gateway shuts down: streams end when the calls under way are answered.
    pub shutdown: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep_alive: Duration::from_secs(15), shutdown: CancellationToken::new() }
    }
}

/// What the routes share.
pub(crate) struct Shared {
    pub(crate) router: Arc<Router>,
    pub(crate) options: Options,
    /// Messages that were accepted and whose answers are not on their streams yet.
    pub(crate) calls: TaskTracker,
}

/// The routes `/sse` and `/message`.
pub fn routes(router: Arc<Router>, options: Options) -> axum::Router {
    let calls = TaskTracker::new();
    axum::Router::new()
        .route("/sse", any(stream))
        .route("/message", any(message))
        .with_state(Arc::new(Shared { router, options, calls }))
}

async fn stream(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    // Matched here and not by axum, which would serve HEAD by opening a session.
    match *request.method() {
        Method::GET => feed::open(&shared, &caller).await,
        Method::OPTIONS => reply::methods(StatusCode::NO_CONTENT, "GET, OPTIONS"),
        _ => wrong_method(&shared, &caller, "GET, OPTIONS").await,
    }
}

async fn message(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    match *request.method() {
        Method::POST => message::accept(&shared, caller, request).await,
        Method::OPTIONS => reply::methods(StatusCode::NO_CONTENT, "POST, OPTIONS"),
        _ => wrong_method(&shared, &caller, "POST, OPTIONS").await,
    }
}

async fn wrong_method(shared: &Shared, caller: &Caller, methods: &'static str) -> Response {
    let text = format!("the method is not served here: use one of {methods}");
    let failure = Failure::new(ErrorKind::BadTransport, text);
    let status = Some(StatusCode::METHOD_NOT_ALLOWED);
    let mut response = reply::refuse(&shared.router, caller, status, failure, 0).await;
    reply::allow(&mut response, methods);
    response
}

#[cfg(test)]
mod tests;
