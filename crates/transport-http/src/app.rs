//! From a request to its answer: who may ask, which endpoint is meant, and the body within its limit.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domain::{ErrorKind, Failure, Transport};
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    RETRY_AFTER, USER_AGENT, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use router::{Caller, EventStream, Reply, ReplyBody, Router, ShownHeaders};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::config::{Config, Served};
use crate::content::{self, Content, Outgoing, Unread};
use crate::events::Events;
use crate::gate::{Gate, single};
use crate::progress::{Phase, Progress, Turn};
use crate::refusal::Refusal;
use crate::{media, streamable};

/// How much of `User-Agent` is recorded, in bytes.
const USER_AGENT_BYTES: usize = 256;

/// After how many seconds a client that met a limit may come back (`Retry-After`, RFC 9110, section 10.2.3).
const RETRY_SECONDS: &str = "1";

const SESSION_ID: HeaderName = HeaderName::from_static(protocol::header::SESSION_ID);

/// The transport whose endpoint a path is.
fn transport_at(path: &str) -> Option<Transport> {
    match path {
        "/mcp" => Some(Transport::Http),
        "/sse" | "/message" => Some(Transport::Sse),
        "/ws" => Some(Transport::WebSocket),
        _ => None,
    }
}

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct App(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) router: Arc<Router>,
    /// What no connection waits for: messages that were accepted with 202, requests whose client left, WebSockets.
    pub(crate) behind: TaskTracker,
    /// Cancelled when the time for shutting down is over, or cut short: whoever still works stops.
    pub(crate) abort: CancellationToken,
    gate: Gate,
    served: Served,
    pub(crate) max_body: usize,
    security_headers: bool,
    sse: axum::Router,
}

/// What is served on the data port: Streamable HTTP and WebSocket by this crate, and `sse`, the routes `/sse` and
/// `/message` of HTTP+SSE. A route finds its [`Caller`] among the extensions of the request, and the body complete and
/// within the limit.
#[must_use]
pub fn app(router: Arc<Router>, config: &Config, sse: axum::Router) -> App {
    App(Arc::new(Shared {
        router,
        behind: TaskTracker::new(),
        abort: CancellationToken::new(),
        gate: Gate::new(&config.security, &config.listen.address),
        served: config.transport,
        max_body: config.limits.max_body_bytes,
        security_headers: config.security.enable_security_headers,
        sse,
    }))
}

/// What is known of the client of one connection.
pub(crate) struct Peer {
    /// Its place among the connections, given back when nothing of the connection is left.
    pub(crate) _place: Option<OwnedSemaphorePermit>,
    pub(crate) ip: Option<IpAddr>,
    /// The `User-Agent` of the first request, which is that of all others.
    pub(crate) user_agent: OnceLock<Arc<str>>,
    pub(crate) progress: Arc<Progress>,
    /// Cancelled when the gateway shuts down: streams end.
    pub(crate) draining: CancellationToken,
    /// Whether the connection is one too many.
    pub(crate) excess: bool,
}

impl Peer {
    /// Who sends the request, as the router is told.
    fn caller(&self, transport: Transport, headers: &HeaderMap) -> Caller {
        Caller {
            source_ip: self.ip,
            user_agent: self.user_agent(headers),
            ..Caller::over(transport)
        }
    }

    fn user_agent(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let text = headers.get(USER_AGENT)?.to_str().ok()?;
        let text = text.get(..USER_AGENT_BYTES).unwrap_or(text);
        let first = self.user_agent.get_or_init(|| text.into());
        Some(if **first == *text { Arc::clone(first) } else { text.into() })
    }
}

impl App {
    /// Takes the time for shutting down away: what is under way stops, on every thread, as soon as the gateway shuts
    /// down. The messages that are cut have their rows.
    pub fn cut(&self) {
        self.0.abort.cancel();
    }

    /// Answers one request, whatever it is.
    pub(crate) async fn answer(
        self,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> Response<Outgoing> {
        let turn = Turn::begin(&peer.progress);
        let (parts, body) = request.into_parts();
        let transport = transport_at(parts.uri.path()).unwrap_or(Transport::Http);
        let caller = Caller {
            headers: self.shown(&parts.headers),
            ..peer.caller(transport, &parts.headers)
        };
        let mut response = match self.route(&peer, &caller, parts, body).await {
            Ok(response) => response,
            Err(refusal) => {
                peer.progress.linger();
                self.refuse(&caller, refusal).await
            }
        };
        self.finish(&peer, &mut response);
        response.map(|content| Outgoing::new(content, turn))
    }

    async fn route(
        &self,
        peer: &Arc<Peer>,
        caller: &Caller,
        parts: Parts,
        body: Incoming,
    ) -> Result<Response<Content>, Refusal> {
        if peer.excess {
            return Err(Refusal::overloaded());
        }
        self.0.gate.check(&parts)?;
        let Some(transport) = transport_at(parts.uri.path()) else {
            let message = "nothing is served under this path: MCP is at `/mcp`, HTTP+SSE at `/sse`, WebSocket at `/ws`";
            return Err(Refusal::no_such_path(message));
        };
        if !self.0.served.admits(transport) {
            let message = "the transport of this path is off (`server.transport`)";
            return Err(Refusal::no_such_path(message));
        }
        match transport {
            Transport::Sse => self.other(peer, caller.clone(), parts, body).await,
            Transport::WebSocket => Box::pin(self.upgrade(peer, caller, parts)).await,
            Transport::Http | Transport::Stdio | Transport::Internal => {
                self.streamable(peer, caller, &parts, body).await
            }
        }
    }

    async fn streamable(
        &self,
        peer: &Peer,
        caller: &Caller,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response<Content>, Refusal> {
        match parts.method {
            Method::POST => {
                let ticket = streamable::check_post(parts)?;
                let body = self.read(peer, parts, body).await?;
                self.post(peer, caller.clone(), ticket, body).await
            }
            Method::GET => self.listen(peer, caller, parts),
            Method::DELETE => self.delete(caller, parts).await,
            Method::OPTIONS => Ok(options(streamable::METHODS)),
            _ => Err(Refusal::method(streamable::METHODS)),
        }
    }

    /// Hands a request to the other transport.
    async fn other(
        &self,
        peer: &Peer,
        caller: Caller,
        mut parts: Parts,
        body: Incoming,
    ) -> Result<Response<Content>, Refusal> {
        let body = if parts.method == Method::POST {
            self.read(peer, &parts, body).await?.into()
        } else {
            axum::body::Body::empty()
        };
        parts.extensions.insert(caller);
        let request = Request::from_parts(parts, body);
        match self.0.sse.clone().oneshot(request).await {
            Ok(response) => Ok(response.map(Content::Other)),
            Err(never) => match never {},
        }
    }

    /// The body of a POST.
    async fn read(&self, peer: &Peer, parts: &Parts, body: Incoming) -> Result<Bytes, Refusal> {
        match single(parts, &CONTENT_TYPE)? {
            Some(content_type) if media::is_json(content_type) => {}
            Some(_) | None => {
                return Err(unsupported("the `Content-Type` must be `application/json`"));
            }
        }
        if parts.headers.contains_key(CONTENT_ENCODING) {
            return Err(unsupported("the body must come without a `Content-Encoding`"));
        }
        let limit = self.0.max_body;
        peer.progress.enter(Phase::Body);
        let body = content::read(body, limit).await;
        peer.progress.enter(Phase::Busy);
        body.map_err(|unread| match unread {
            Unread::TooLarge(size) => Refusal::too_large(limit, size),
            Unread::Broken(size) if peer.progress.expired() => Refusal::too_slow(size),
            Unread::Broken(size) => Refusal { size, ..Refusal::bad("the body broke off") },
        })
    }

    /// Those of the headers that policy sees.
    fn shown(&self, headers: &HeaderMap) -> Option<ShownHeaders> {
        let names = self.0.router.headers();
        let shown = names.iter().filter_map(|name| {
            let values = headers.get_all(&**name).iter().map(HeaderValue::to_str);
            let values = values.collect::<Result<Vec<_>, _>>().ok()?;
            // Several lines are one list (RFC 9110, section 5.2).
            (!values.is_empty()).then(|| (name.clone(), values.join(", ").into()))
        });
        (!names.is_empty()).then(|| shown.collect())
    }

    /// Records a refusal and answers it.
    async fn refuse(&self, caller: &Caller, refusal: Refusal) -> Response<Content> {
        let Refusal { status, failure, size, headers } = refusal;
        let status = Some(status.as_u16());
        let mut response =
            respond(self.0.router.refuse(caller, failure, status, size).await, Events::plain);
        response.headers_mut().extend(headers);
        response
    }

    /// Records a request that hyper answered on its own, or cut off, because it is not HTTP or not within the limits.
    pub(crate) async fn record_failure(&self, peer: &Peer, kind: ErrorKind, message: String) {
        let caller = Caller {
            source_ip: peer.ip,
            user_agent: peer.user_agent.get().cloned(),
            ..Caller::over(Transport::Http)
        };
        let _: Reply = self.0.router.refuse(&caller, Failure::new(kind, message), None, 0).await;
    }

    /// The headers that every answer carries.
    fn finish(&self, peer: &Peer, response: &mut Response<Content>) {
        let busy = response.status() == StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        if busy {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        if peer.excess {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.0.security_headers {
            // First, as `entry` makes room for one more even if it adds none: each idle stream would keep that.
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
    }
}

fn unsupported(message: &str) -> Refusal {
    Refusal::misfit(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
}

/// The answer to `OPTIONS`: what there is, and no permission for other web pages.
fn options(methods: &'static str) -> Response<Content> {
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

pub(crate) fn empty(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::Empty);
    *response.status_mut() = status;
    response
}

/// The router's reply as HTTP; messages become events as `events` has it.
pub(crate) fn respond(
    reply: Reply,
    events: impl FnOnce(EventStream) -> Events,
) -> Response<Content> {
    let mut response = match reply.body {
        ReplyBody::Empty => Response::new(Content::Empty),
        ReplyBody::Json(body) => json(body),
        ReplyBody::Events(messages) => streamable::stream(events(messages)),
    };
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let session = reply.session.and_then(|token| HeaderValue::from_str(token.expose()).ok());
    if let Some(session) = session {
        response.headers_mut().insert(SESSION_ID, session);
    }
    response
}

/// A body of JSON.
pub(crate) fn json(body: Bytes) -> Response<Content> {
    let mut response = Response::new(Content::Full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media::JSON));
    response
}
