//! The pages for operators: which policy decides, and loading it again.
//!
//! The port has no login, so three things keep web pages away that a browser on this machine has open: the port listens on
//! loopback only, the header `Host` must name loopback (a name that was rebound to 127.0.0.1 does not), and a request with
//! an `Origin` is refused. What changes something takes a body of type `application/json` only, which no form can send.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use domain::BoxFuture;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};

use crate::endpoint;

/// Where these pages are.
pub(crate) const PREFIX: &str = "/api/v1/";

/// Longest body of a request; no page takes anything yet.
const MAX_BODY: usize = 1024;

/// What the pages show and do.
pub trait PolicyControl: Send + Sync {
    /// The policy in force and what is known of it, a JSON object.
    fn status(&self) -> Value;

    /// Loads the files again now, and says what became of it.
    fn reload(&self) -> BoxFuture<'_, Reloaded>;
}

/// What became of a reload that somebody asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Reloaded {
    /// The files decide, or wait for approval; the body says which.
    Done(Value),
    /// The files make no policy, and the old one decides; the body says why.
    Refused(Value),
    /// Nobody can tell yet: too many ask, loading takes too long, or the gateway is about to end.
    Unavailable,
}

pub(crate) fn routes(policy: &Arc<dyn PolicyControl>) -> Router {
    let (shown, reloaded) = (Arc::clone(policy), Arc::clone(policy));
    let show = async move || endpoint::json(StatusCode::OK, &shown.status());
    let reload = async move |body: Body| reload(&*reloaded, body).await;
    Router::new()
        .route("/api/v1/policy", get(show))
        .route("/api/v1/policy/reload", post(reload))
        .route_layer(middleware::from_fn(guard))
}

async fn reload(policy: &dyn PolicyControl, body: Body) -> Response {
    let read = Limited::new(body, MAX_BODY).collect().await.map(|body| body.to_bytes());
    let says_nothing = read.is_ok_and(|body| {
        let members = || serde_json::from_slice::<Map<String, Value>>(&body);
        body.is_empty() || members().is_ok_and(|members| members.is_empty())
    });
    if !says_nothing {
        return refused(StatusCode::BAD_REQUEST, "the body must be `{}` or empty");
    }
    match policy.reload().await {
        Reloaded::Done(body) => endpoint::json(StatusCode::OK, &body),
        Reloaded::Refused(body) => endpoint::json(StatusCode::UNPROCESSABLE_ENTITY, &body),
        Reloaded::Unavailable => refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy with other reloads, or stopping; ask again",
        ),
    }
}

/// Keeps web pages away.
async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !names_loopback(headers) {
        let why = "the header `Host` must name this machine: `127.0.0.1`, `[::1]` or `localhost`";
        return refused(StatusCode::FORBIDDEN, why);
    }
    if headers.contains_key(header::ORIGIN) {
        return refused(StatusCode::FORBIDDEN, "web pages are not served; send no header `Origin`");
    }
    if !request.method().is_safe() && !is_json(headers) {
        let why = "send the header `Content-Type: application/json`";
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    next.run(request).await
}

fn refused(status: StatusCode, why: &str) -> Response {
    endpoint::json(status, &json!({ "error": why }))
}

/// Whether there is one `Host`, and it is loopback.
fn names_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    let is_port = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || is_loopback(name)
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let media = declared.and_then(|it| it.split(';').next()).unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/json")
}

/// Whether an address is one that only this machine reaches.
pub(crate) fn is_loopback(address: &str) -> bool {
    domain::bare_host(address).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
pub(crate) mod tests;
