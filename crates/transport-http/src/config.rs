//! The section `server` of the configuration.

use std::time::Duration;

use domain::{Span, Transport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::host::{Authority, Origin};

/// Every connection may hold that much: no client needs more.
const MAX_HEADER_BYTES: usize = 256 * 1024;
/// More than any client sends, and far below what a header map can hold.
const MAX_HEADERS: usize = 4096;

/// Where and how clients are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address that clients connect to.
    pub listen: Listen,
    /// Which endpoints are served: `http` is Streamable HTTP (`/mcp`), `sse` is HTTP+SSE of MCP 2024-11-05 (`/sse` and
    /// `/message`), `websocket` is WebSocket (`/ws`), `all` is these three. `stdio` opens no port: the one client is the
    /// process that started the gateway, and speaks over its standard input and output.
    pub transport: Served,
    /// Longest time to receive the body of a request, from the end of its headers. Then: status 408.
    pub read_timeout: Span,
    /// Longest time a write to the client may make no progress. Then: the connection is closed. A quiet stream is not a
    /// stalled write.
    pub write_timeout: Span,
    /// Longest time a connection is kept open without a request.
    pub idle_timeout: Span,
    /// Longest time to receive the headers of a request, from their first byte, and longest time a new connection may
    /// stay silent.
    pub header_timeout: Span,
    /// Longest time that calls in flight are given to finish at shutdown. Zero cuts them at once.
    pub graceful_shutdown: Span,
    /// Connections that are served at the same time. A few more are accepted to be answered with status 503, the rest
    /// are closed.
    #[schemars(range(min = 1))]
    pub max_connections: usize,
    /// Bounds on one request.
    pub limits: Limits,
    /// Who may ask, and what browsers are told.
    pub security: Security,
}

/// The address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// IP address or host name. `0.0.0.0` serves every IPv4 network of the machine; the names by which clients then
    /// reach it must be listed under `server.security.allowed_hosts`.
    pub address: String,
    /// TCP port; 0 takes a free one.
    pub port: u16,
}

/// Which endpoints are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Served {
    /// Streamable HTTP, HTTP+SSE and WebSocket.
    #[default]
    All,
    /// Streamable HTTP alone.
    Http,
    /// HTTP+SSE alone.
    Sse,
    /// WebSocket alone.
    WebSocket,
    /// One client, over standard input and output; no port.
    Stdio,
}

impl Served {
    /// Whether clients of that transport are served on the port.
    pub(crate) fn admits(self, transport: Transport) -> bool {
        match self {
            Self::All => !matches!(transport, Transport::Stdio | Transport::Internal),
            Self::Http => transport == Transport::Http,
            Self::Sse => transport == Transport::Sse,
            Self::WebSocket => transport == Transport::WebSocket,
            Self::Stdio => false,
        }
    }
}

/// Bounds on one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest body in bytes. Above: status 413.
    #[schemars(range(min = 1))]
    pub max_body_bytes: usize,
    /// Largest request line and headers together, in bytes, up to 262144. Above: status 431.
    #[schemars(range(min = 1, max = 262_144))]
    pub max_header_bytes: usize,
    /// Most header lines, up to 4096. Above: status 431.
    #[schemars(range(min = 1, max = 4096))]
    pub max_headers: usize,
}

/// Who may ask, and what browsers are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Names by which clients may address the gateway, beside `localhost`, `127.0.0.1`, `[::1]` and the listen address:
    /// `mcp.example.com` (any port) or `mcp.example.com:8443`. Other `Host` headers get status 403, which stops DNS
    /// rebinding.
    pub allowed_hosts: Vec<String>,
    /// Web pages that may call the gateway, beside those of this machine: `https://app.example.com`. Other `Origin`
    /// headers get status 403; clients that are not browsers send none.
    pub allowed_origins: Vec<String>,
    /// Whether answers carry `X-Content-Type-Options`, `X-Frame-Options`, `Referrer-Policy` and `Cache-Control: no-store`.
    pub enable_security_headers: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            transport: Served::All,
            read_timeout: Span::secs(30),
            write_timeout: Span::secs(30),
            idle_timeout: Span::secs(120),
            header_timeout: Span::secs(10),
            graceful_shutdown: Span::secs(30),
            max_connections: 1000,
            limits: Limits::default(),
            security: Security::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: "127.0.0.1".into(), port: 3000 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body_bytes: 4 * 1024 * 1024, max_header_bytes: 64 * 1024, max_headers: 100 }
    }
}

impl Default for Security {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            enable_security_headers: true,
        }
    }
}

impl Config {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    ///
    /// The first key whose value makes no sense, with what to write instead.
    pub fn validate(&self) -> Result<(), Error> {
        let spans = [
            ("read_timeout", self.read_timeout),
            ("write_timeout", self.write_timeout),
            ("idle_timeout", self.idle_timeout),
            ("header_timeout", self.header_timeout),
        ];
        for (key, span) in spans {
            if span.duration() == Duration::ZERO {
                let problem = format!("`{span}` leaves no time; write for example `30s`");
                return Err(Error::config(key, problem));
            }
        }
        let sizes = [
            ("max_connections", self.max_connections, usize::MAX),
            ("limits.max_body_bytes", self.limits.max_body_bytes, usize::MAX),
            ("limits.max_header_bytes", self.limits.max_header_bytes, MAX_HEADER_BYTES),
            ("limits.max_headers", self.limits.max_headers, MAX_HEADERS),
        ];
        for (key, size, most) in sizes {
            if size == 0 || size > most {
                let range =
                    if most == usize::MAX { "1 or more".into() } else { format!("1 to {most}") };
                return Err(Error::config(key, format!("`{size}` is out of range; write {range}")));
            }
        }
        self.security.validate()
    }
}

impl Security {
    fn validate(&self) -> Result<(), Error> {
        for (index, host) in self.allowed_hosts.iter().enumerate() {
            if Authority::parse(host).is_none() {
                let problem = format!(
                    "`{host}` is not a host; write `mcp.example.com` or `mcp.example.com:8443`"
                );
                return Err(Error::config(format!("security.allowed_hosts[{index}]"), problem));
            }
        }
        for (index, origin) in self.allowed_origins.iter().enumerate() {
            if Origin::parse(origin).is_none() {
                let problem =
                    format!("`{origin}` is not an origin; write `https://app.example.com`");
                return Err(Error::config(format!("security.allowed_origins[{index}]"), problem));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
