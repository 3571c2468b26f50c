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
}

impl Stage {
    /// Every stage, in the order of a message's life.
    pub const ALL: [Self; 4] = [Self::Request, Self::Response, Self::List, Self::ServerRequest];

    /// The name in policy, metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::List => "list",
            Self::ServerRequest => "server_request",
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
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 4] = [Self::Http, Self::Sse, Self::WebSocket, Self::Stdio];

    /// The name in policy, metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::Stdio => "stdio",
        }
    }
}
