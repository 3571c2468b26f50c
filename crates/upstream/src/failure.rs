//! The failures of this crate: what the client is told, and what the operator is told.
//!
//! Client texts name no address and no path; details do, and neither holds a secret (user, password
//! and query of a URL, session ids, values of environment variables).

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use domain::{ErrorKind, Failure};

const UPSTREAM: ErrorKind = ErrorKind::UpstreamError;
const NOT_MCP: &str = "the server's answer is not valid MCP";
const STATUS: &str = "the server answered with HTTP status";

/// The server could not be connected to or started; nothing was sent.
pub(crate) fn unreachable(detail: impl Display) -> Failure {
    Failure::new(UPSTREAM, "the server cannot be reached").detail(detail).unsent()
}

/// The connection ended between the message and its answer.
pub(crate) fn broken(detail: impl Display) -> Failure {
    Failure::new(UPSTREAM, "the connection to the server broke before it answered").detail(detail)
}

/// What came back is not MCP.
pub(crate) fn protocol(detail: impl Display) -> Failure {
    Failure::new(UPSTREAM, NOT_MCP).detail(detail)
}

/// The answer is over `upstream.max_message_bytes`.
pub(crate) fn too_large(limit: usize) -> Failure {
    let text = format!("the server's answer is over {limit} bytes (`upstream.max_message_bytes`)");
    Failure::new(UPSTREAM, text)
}

/// No answer in time.
pub(crate) fn timeout(limit: Duration, server: &str) -> Failure {
    Failure::new(ErrorKind::UpstreamTimeout, "the server did not answer in time")
        .detail(format!("server `{server}` did not answer within {limit:?} (`upstream.timeout`)"))
}

/// No answer in time from a child that has not written anything.
pub(crate) fn silent(limit: Duration, server: &str) -> Failure {
    let failure = timeout(limit, server);
    let detail = format!(
        "{}; its process has written nothing yet: if it needs a variable of the environment (a \
         proxy, a certificate, a token), name it in `upstream.env_allow` or set it in `upstream.env`",
        failure.detail
    );
    failure.detail(detail)
}

/// An HTTP status that is no answer.
pub(crate) fn status(status: http::StatusCode, detail: impl Display) -> Failure {
    let code = status.as_u16();
    Failure::new(UPSTREAM, format!("{STATUS} {code}"))
        .detail(format!("HTTP status {code} from {detail}"))
}

/// Whether the server answered with something that is no answer: [`protocol`] or [`status`].
pub(crate) fn is_refusal(failure: &Failure) -> bool {
    // 5xx and 429 are said by servers and balancers that will do better in a moment.
    let passing = |code: &str| code.starts_with('5') || code == "429";
    let status = failure.message.strip_prefix(STATUS).map(str::trim);
    failure.message == NOT_MCP || status.is_some_and(|code| !passing(code))
}

/// The server no longer knows the session it minted, and did not take the message.
pub(crate) fn forgotten() -> Failure {
    Failure::new(UPSTREAM, "the server has forgotten this session; try again")
}

/// A server that has forgotten a session does not open it again.
pub(crate) fn not_again() -> Failure {
    Failure::new(UPSTREAM, "the server has forgotten this session and refuses to open it again")
}

/// The server is older than is allowed.
pub(crate) fn too_old(settled: &str, least: &str) -> Failure {
    let text =
        format!("the server speaks MCP {settled}, and {least} is the oldest that is allowed");
    Failure::new(UPSTREAM, text.clone()).detail(format!("{text} (`upstream.min_protocol_version`)"))
}

/// Updates of a subscription were lost because nobody read them in time.
pub(crate) fn too_slow() -> Failure {
    Failure::new(UPSTREAM, "updates came faster than they were read: subscribe again")
}

/// The child process has exited.
pub(crate) fn ended(status: &std::process::ExitStatus) -> Failure {
    // `exit status: 3` or `signal: 9 (SIGKILL)`.
    Failure::new(UPSTREAM, format!("the server process ended ({status})"))
}

/// The session was closed on our side.
pub(crate) fn closed() -> Failure {
    Failure::new(UPSTREAM, "the session is closed")
}

/// The client cancelled the request.
pub(crate) fn cancelled() -> Failure {
    Failure::new(ErrorKind::Abandoned, "the request was cancelled")
}

/// The limit of requests at once was reached for as long as a request may take.
pub(crate) fn overloaded(limit: usize) -> Failure {
    Failure::new(ErrorKind::Overloaded, "too many requests wait for the server")
        .detail(format!("`upstream.connection_pool.max_open` ({limit}) requests are in flight"))
        .unsent()
}

/// The client reuses an id that is in flight.
pub(crate) fn in_flight(id: impl Display) -> Failure {
    let text = format!("a request with id `{id}` is already in flight in this session");
    Failure::new(ErrorKind::InvalidRequest, text).unsent()
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
