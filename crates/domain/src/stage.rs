//! Where in a message's life a decision falls, what the gateway does with it, and how it travelled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is being decided: `input.stage` in policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// A message from the client, on its way to the server.
    Request,
    /// The server's answer to a request, on its way to the client.
    Response,
    /// One entry of a list answer. `input.method` is the method that would use the entry
    /// (`tools/call` for a tool), so a rule about calls also decides what is seen.
    List,
    /// A request or notification from the server, on its way to the client.
    ServerRequest,
    /// A client that opens a session or a connection, before its first message is looked at.
    Connect,
    /// No message, and nothing that policy is asked: an act of the gateway (a reload, a lockdown) that
    /// the log keeps.
    Gateway,
}

impl Stage {
    /// Every stage that policy is asked at.
    pub const ALL: [Self; 5] =
        [Self::Request, Self::Response, Self::List, Self::ServerRequest, Self::Connect];

    /// The name in policy, metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::List => "list",
            Self::ServerRequest => "server_request",
            Self::Connect => "connect",
            Self::Gateway => "gateway",
        }
    }
}

/// What the gateway does with a denial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Forward, and record what would have been denied.
    Audit,
    /// Deny.
    #[default]
    Enforce,
}

impl Mode {
    /// The name in configuration, metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

/// What a rule's word counts: `policy.rules` in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleMode {
    /// Nothing: as if the rule were not there.
    Off,
    /// Record what it would deny.
    Observe,
    /// Record what it would deny, and write a line into the log.
    Warn,
    /// Deny.
    #[default]
    Enforce,
}

impl RuleMode {
    /// The name in configuration and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }

    /// Whether the rule denies.
    #[must_use]
    pub const fn is_enforce(&self) -> bool {
        matches!(self, Self::Enforce)
    }
}

/// How a message reached the gateway: `input.context.transport` in policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Streamable HTTP (MCP 2025-03-26 and later).
    Http,
    /// HTTP+SSE (MCP 2024-11-05).
    Sse,
    /// WebSocket, one JSON-RPC message a text frame.
    WebSocket,
    /// Standard input and output of the gateway itself.
    Stdio,
    /// No message: the gateway itself acted.
    Internal,
}

impl Transport {
    /// Every transport of clients.
    pub const ALL: [Self; 4] = [Self::Http, Self::Sse, Self::WebSocket, Self::Stdio];

    /// The name in policy, metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::Stdio => "stdio",
            Self::Internal => "internal",
        }
    }
}
