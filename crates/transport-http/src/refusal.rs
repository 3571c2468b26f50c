//! What the transport refuses on its own, before the router sees a message.

use domain::{ErrorKind, Failure};
use http::header::{ALLOW, HeaderName};
use http::{HeaderValue, StatusCode};

/// A request that is not let through. [`App`](crate::App) records it and answers with a JSON-RPC error.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// More exact than the status of the kind.
    pub(crate) status: StatusCode,
    pub(crate) failure: Failure,
    /// Bytes of the body that were read or announced.
    pub(crate) size: usize,
    /// What the answer says besides.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { status, failure: Failure::new(kind, message), size: 0, headers: Vec::new() }
    }

    /// The request does not fit the transport, in a way that has a status of its own.
    pub(crate) fn misfit(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, ErrorKind::BadTransport, message)
    }

    /// The request does not fit the transport: 400.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::misfit(StatusCode::BAD_REQUEST, message)
    }

    /// A header of 2026-07-28 that repeats the body cannot be read: 400.
    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorKind::HeaderMismatch, message)
    }

    /// Host or Origin is not allowed: 403.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorKind::Forbidden, message)
    }

    /// Nothing is served under that path: 404.
    pub(crate) fn no_such_path(message: impl Into<String>) -> Self {
        Self::misfit(StatusCode::NOT_FOUND, message)
    }

    /// The path has other methods: 405.
    pub(crate) fn method(allow: &'static str) -> Self {
        let message = format!("the method is not served here: use one of {allow}");
        let headers = vec![(ALLOW, HeaderValue::from_static(allow))];
        Self { headers, ..Self::misfit(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    /// The session is unknown or over: 404, upon which the client initializes anew.
    pub(crate) fn no_session() -> Self {
        let message = "the session is unknown or has ended: send `initialize` to open a new one";
        Self::new(StatusCode::NOT_FOUND, ErrorKind::SessionNotFound, message)
    }

    /// The body is over the limit: 413. `size` is what is known of it.
    pub(crate) fn too_large(limit: usize, size: usize) -> Self {
        let message =
            format!("the body is larger than {limit} bytes (`server.limits.max_body_bytes`)");
        Self { size, ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge, message) }
    }

    /// Every place for a connection is taken: 503.
    pub(crate) fn overloaded() -> Self {
        let message = "too many open connections (`server.max_connections`): try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Overloaded, message)
    }

    /// What the router refuses: the status of the failure.
    pub(crate) fn of(failure: Failure) -> Self {
        let status = StatusCode::from_u16(failure.kind.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, failure, size: 0, headers: Vec::new() }
    }

    /// The body did not come in time: 408.
    pub(crate) fn too_slow(size: usize) -> Self {
        let message = "the body took longer than `server.read_timeout`";
        Self { size, ..Self::misfit(StatusCode::REQUEST_TIMEOUT, message) }
    }
}
