//! The router's replies as HTTP answers.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use domain::Failure;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use router::{Caller, Reply, ReplyBody, Router};

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The answer that says which methods there are.
pub(crate) fn methods(status: StatusCode, methods: &'static str) -> Response {
    let mut response = empty(status);
    allow(&mut response, methods);
    response
}

pub(crate) fn allow(response: &mut Response, methods: &'static str) {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
}

/// A reply that goes to the sender of the message and not to its stream.
pub(crate) fn respond(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = empty(status);
    if let ReplyBody::Json(body) = reply.body {
        *response.body_mut() = Body::from(body);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
    response
}

/// Records what this transport refuses on its own, and answers it, with `status` where that of its kind is not exact
/// enough.
pub(crate) async fn refuse(
    router: &Arc<Router>,
    caller: &Caller,
    status: Option<StatusCode>,
    failure: Failure,
    size: usize,
) -> Response {
    let status = status.map(|status| status.as_u16());
    respond(router.refuse(caller, failure, status, size).await)
}
