//! What a decision asks for besides its verdict.

use std::time::Duration;

use serde::Serialize;

/// One obligation: the gateway carries it out, or the message is denied. Its JSON is that of the
/// audit column `obligations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Obligation {
    /// Replace the values at a path of the arguments (stage request) or of the result (stage
    /// response).
    Redact {
        /// JSON pointer (RFC 6901) into the arguments or the result; `*` stands for every member.
        path: Box<str>,
        /// What is put there.
        with: Box<str>,
    },
    /// Remove the members at a path of the arguments or of the result.
    Strip {
        /// JSON pointer (RFC 6901) into the arguments or the result; `*` stands for every member.
        path: Box<str>,
    },
    /// Let nothing pass until a person has granted it.
    RequireApproval {
        /// What the person is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<Box<str>>,
    },
    /// Tell the operator, loudly.
    Alert {
        /// Where to; `log` is the only channel.
        channel: Box<str>,
        /// How bad it is.
        severity: Box<str>,
    },
    /// Write a line into the log.
    Log {
        /// The level: `debug`, `info`, `warn` or `error`.
        level: Box<str>,
    },
    /// Let only so many messages pass in any span of time.
    RateLimit(RateLimit),
    /// Mark the session.
    Taint {
        /// The mark, from then on in `input.session.taints`.
        label: Box<str>,
    },
    /// Send an HTTP header with the message to the server.
    SetHeader {
        /// The header's name, in lower case.
        name: Box<str>,
        /// Its value.
        value: Box<str>,
    },
    /// Deny with this error instead of the gateway's own.
    DenyAs {
        /// The JSON-RPC error code, outside of -32768 to -32000.
        code: i32,
        /// The error's message.
        message: Box<str>,
    },
}

/// At most `limit` messages in any window of `per`, counted apart for each combination of the values
/// that `key` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct RateLimit {
    /// What is counted apart.
    pub key: Vec<RateKey>,
    /// Length of the sliding window.
    #[serde(serialize_with = "as_seconds")]
    pub per: Duration,
    /// Messages that may pass in a window.
    pub limit: u64,
}

/// What messages are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RateKey {
    /// The session; stateless clients of one agent share one.
    Session,
    /// The agent's id: survives reconnects.
    Agent,
    /// What the agent has proven to be.
    Identity,
    /// The tool.
    Tool,
    /// The server behind the gateway.
    Server,
    /// The client's address; of IPv6 the first 64 bits.
    SourceIp,
}

impl RateKey {
    /// Every key.
    pub const ALL: [Self; 6] =
        [Self::Session, Self::Agent, Self::Identity, Self::Tool, Self::Server, Self::SourceIp];

    /// The name in policy.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Agent => "agent",
            Self::Identity => "identity",
            Self::Tool => "tool",
            Self::Server => "server",
            Self::SourceIp => "source_ip",
        }
    }
}

fn as_seconds<S: serde::Serializer>(per: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(per.as_secs_f64())
}
