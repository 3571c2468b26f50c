//! Everything that can become of a message other than an answer, in one table.

use std::fmt;

use protocol::{ParseError, ParseErrorKind};

/// Who caused a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The client, or what it sent.
    Downstream,
    /// The server behind the gateway.
    Upstream,
    /// The gateway itself, its policy or its audit log.
    Internal,
}

impl Origin {
    /// The name in logs and documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $code:literal, $status:literal, $origin:ident, $retryable:literal;)*) => {
        /// The kind of a failure or denial: the single source of JSON-RPC code, HTTP status, metric
        /// label, audit column (`error_kind`) and page (`docs/errors/<kind>.md`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorKind { $($(#[$doc])* $variant,)* }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in replies, metrics, the audit log and the documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// The JSON-RPC error code. The gateway's own codes lie outside −32768…−32000, as
            /// MCP 2026-07-28 asks.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status of a reply that carries this failure over Streamable HTTP. A denial
            /// is a JSON-RPC answer, hence 200: SDK clients take other statuses for a broken
            /// connection and hide the reason.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Who caused it.
            #[must_use]
            pub const fn origin(self) -> Origin {
                match self { $(Self::$variant => Origin::$origin,)* }
            }

            /// Whether the same message may succeed when it is sent again later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }
        }
    };
}

error_kinds! {
    /// The body is not JSON.
    ParseError = "parse_error", -32700, 400, Downstream, false;
    /// The JSON is not one JSON-RPC message with one meaning.
    InvalidRequest = "invalid_request", -32600, 400, Downstream, false;
    /// The parameters do not fit the method.
    InvalidParams = "invalid_params", -32602, 200, Downstream, false;
    /// There is no such method in the revision that the client speaks.
    MethodNotFound = "method_not_found", -32601, 200, Downstream, false;
    /// The client's revision of MCP asks for something that the server's has no counterpart of.
    NotBridged = "not_bridged", -32601, 200, Downstream, false;
    /// A header does not say what the body says (2026-07-28, `HeaderMismatch`).
    HeaderMismatch = "header_mismatch", -32020, 400, Downstream, false;
    /// The request needs something that the client did not declare (2026-07-28).
    MissingCapability = "missing_capability", -32021, 200, Downstream, false;
    /// The client names a revision that the gateway does not speak (2026-07-28).
    UnsupportedVersion = "unsupported_version", -32022, 400, Downstream, false;
    /// The HTTP request does not fit the transport (method, path, media type, version header).
    BadTransport = "bad_transport", -32600, 400, Downstream, false;
    /// The message is larger than the configured limit.
    TooLarge = "too_large", -32600, 413, Downstream, false;
    /// Host or Origin is not allowed.
    Forbidden = "forbidden", -31010, 403, Downstream, false;
    /// The session is unknown, ended, or missing where one is needed.
    SessionNotFound = "session_not_found", -32600, 404, Downstream, false;
    /// A limit on sessions, connections or messages in flight is reached.
    Overloaded = "overloaded", -31009, 503, Internal, true;
    /// Policy denied the message.
    PolicyDenied = "policy_denied", -31001, 200, Internal, false;
    /// Policy could not be evaluated, which in enforce mode is a denial.
    PolicyError = "policy_error", -31001, 200, Internal, false;
    /// More messages than a policy lets pass in a span of time.
    RateLimited = "rate_limited", -31003, 200, Internal, true;
    /// A person has to grant the message first.
    ApprovalRequired = "approval_required", -31007, 200, Internal, true;
    /// The server could not be reached, ended, or answered with something that is not MCP.
    UpstreamError = "upstream_error", -31004, 200, Upstream, true;
    /// The server did not answer in time.
    UpstreamTimeout = "upstream_timeout", -31005, 200, Upstream, true;
    /// The audit log takes no more rows.
    AuditUnavailable = "audit_unavailable", -31008, 503, Internal, true;
    /// The client went away before the answer.
    Abandoned = "abandoned", -32603, 499, Downstream, true;
    /// A defect of the gateway.
    Internal = "internal", -32603, 500, Internal, true;
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure with its two texts: one for the client, one for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What the client is told: never an address, a path or another internal.
    pub message: String,
    /// What the log and the audit row say.
    pub detail: String,
    /// Members that the client finds in `error.data` besides the gateway's own: a JSON object.
    pub data: Option<String>,
    /// Whether it is certain that no byte of the message left the gateway.
    pub unsent: bool,
}

impl Failure {
    /// A failure that the client may know in full.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, detail: message.clone(), message, data: None, unsent: false }
    }

    /// The same failure with a text for the operator alone.
    #[must_use]
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = detail.to_string();
        self
    }

    /// The same failure with members for `error.data`, a JSON object.
    #[must_use]
    pub fn data(self, object: impl Into<String>) -> Self {
        Self { data: Some(object.into()), ..self }
    }

    /// The same failure of a message of which nothing left the gateway.
    #[must_use]
    pub fn unsent(self) -> Self {
        Self { unsent: true, ..self }
    }
}

impl From<&ParseError> for Failure {
    /// What the sender of a message is told that cannot be read.
    fn from(error: &ParseError) -> Self {
        let kind = match error.kind {
            ParseErrorKind::Syntax => ErrorKind::ParseError,
            ParseErrorKind::InvalidRequest => ErrorKind::InvalidRequest,
            ParseErrorKind::InvalidParams => ErrorKind::InvalidParams,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests;
