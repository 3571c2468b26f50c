//! HTTP to the server: one pool of connections, bounded bodies, and the Streamable HTTP client.
//!
//! Redirects are never followed and no proxy is used: what the configuration names is what is
//! dialled. Nothing that may have reached the server is sent a second time.

mod events;
mod link;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::Failure;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_rustls::builderstates::WantsProtocols1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

pub(crate) use self::events::{EventReader, parse};
pub(crate) use self::link::HttpLink;
use crate::config::{ConnectionPool, Retry};
use crate::target::Target;
use crate::{Config, Error, failure};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// How much of a body that nobody needs is read, in bytes, and for how long.
const LEFT_OVER: usize = 64 << 10;
const LINGER: Duration = Duration::from_secs(1);

const SESSION_ID: HeaderName = HeaderName::from_static(protocol::header::SESSION_ID);
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static(protocol::header::PROTOCOL_VERSION);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static(protocol::header::LAST_EVENT_ID);

type Pool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends requests to the server of one configuration.
///
/// There is a pool for each thread that serves: a connection is driven by the thread that opened
/// it, and a request over another thread's would have to wake it.
pub(crate) struct HttpClient {
    pools: Box<[Pool]>,
    retry: Retry,
    max_message: usize,
}

/// Counts the threads that send, so that each finds its pool.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

impl HttpClient {
    /// A client with an empty pool; nothing is dialled.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let https = tls()?.enable_http1().enable_http2().wrap_connector(tcp());
        let ConnectionPool { max_idle, idle_timeout, .. } = config.connection_pool;
        let keep = if idle_timeout.duration().is_zero() { 0 } else { max_idle };
        let pool = || {
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(keep)
                .pool_idle_timeout(idle_timeout.duration())
                .pool_timer(TokioTimer::new())
                .build(https.clone())
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let pools = std::iter::repeat_with(pool).take(threads).collect();
        Ok(Self { pools, retry: config.retry.clone(), max_message: config.max_message_bytes })
    }

    /// The pool of this thread.
    fn pool(&self) -> Option<&Pool> {
        self.pools.get(THREAD.with(|thread| thread % self.pools.len()))
    }

    /// Largest message in bytes.
    pub(crate) fn max_message(&self) -> usize {
        self.max_message
    }

    /// Sends the request that `build` makes; connecting is tried again as configured. The caller
    /// bounds the time.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or the connection broke before the head of the response.
    pub(crate) async fn send(
        &self,
        target: &Target,
        build: impl Fn() -> Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let Some(pool) = self.pool() else {
            return Err(failure::unreachable("no pool of connections"));
        };
        let mut failures = 0;
        loop {
            let error = match pool.request(build()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            failures += 1;
            let detail = format!("{}: {}", target.shown(), failure::chain(&error));
            if !error.is_connect() {
                return Err(failure::broken(detail));
            }
            if failures >= self.retry.attempts() {
                return Err(failure::unreachable(detail));
            }
            tracing::debug!(detail, failures, "connecting to the server failed, trying again");
            tokio::time::sleep(self.retry.delay(failures)).await;
        }
    }

    /// Reads a whole body of at most the largest message.
    pub(crate) async fn collect(&self, body: Incoming) -> Result<Bytes, Failure> {
        let limit = self.max_message;
        if body.size_hint().lower() > limit as u64 {
            return Err(failure::too_large(limit));
        }
        match Limited::new(body, limit).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(failure::too_large(limit)),
            Err(error) => Err(failure::broken(failure::chain(&*error))),
        }
    }
}

/// Makes connections.
pub(crate) fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    tcp
}

/// TLS over them where the address asks for it, with the roots of the web.
pub(crate) fn tls() -> Result<HttpsConnectorBuilder<WantsProtocols1>, Error> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider)?.https_or_http())
}

/// A POST of one message.
pub(crate) fn post(target: &Target, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = request(Method::POST, target, headers, body);
    request.headers_mut().insert(CONTENT_TYPE, JSON);
    request.headers_mut().insert(ACCEPT, BOTH);
    request
}

/// A GET of an event stream.
pub(crate) fn get_events(target: &Target, headers: HeaderMap) -> Request<Full<Bytes>> {
    let mut request = request(Method::GET, target, headers, Bytes::new());
    request.headers_mut().insert(ACCEPT, EVENTS);
    request
}

/// The end of a session.
fn delete(target: &Target, headers: HeaderMap) -> Request<Full<Bytes>> {
    request(Method::DELETE, target, headers, Bytes::new())
}

fn request(
    method: Method,
    target: &Target,
    headers: HeaderMap,
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.uri().clone();
    *request.headers_mut() = headers;
    request
}

/// Reads the little that is left of a body: a connection is used again only after its end.
pub(crate) fn discard(body: Incoming) {
    if !body.is_end_stream() {
        let rest = Limited::new(body, LEFT_OVER).collect();
        tokio::spawn(async move { drop(timeout(LINGER, rest).await) });
    }
}

/// What the body of a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`.
    Json,
    /// `text/event-stream`.
    Events,
    /// Anything else, or not said.
    Other,
}

impl Media {
    /// Reads `Content-Type`, whatever its case and parameters (RFC 9110, section 8.3).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else if essence.eq_ignore_ascii_case("text/event-stream") {
            Self::Events
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests;
