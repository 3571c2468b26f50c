//! The section `upstream` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use domain::{Secret, Span};
use protocol::ProtocolVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What most programs need to run, and to reach the network behind a proxy or a private CA.
const INHERITED: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TERM",
    "TMPDIR",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The MCP server behind the gateway. Exactly one of `url` and `command` says where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the server in policy (`input.server.name`), metrics and the audit log.
    pub name: String,
    /// Address of the server, `http://` or `https://`, for a WebSocket `ws://` or `wss://`. Without a
    /// path, the address as given is tried first, then the usual paths `/mcp` and `/sse`, or `/ws`.
    pub url: Option<String>,
    /// Program that is the server, and its arguments: started once for each client session and
    /// spoken to over standard input and output. The program is an absolute path or found on
    /// `PATH`; no shell reads the line.
    pub command: Vec<String>,
    /// Environment variables that `command` gets besides those of `env_allow`.
    pub env: BTreeMap<String, Secret<String>>,
    /// Environment variables of the gateway that `command` inherits; it sees no other, but
    /// `MCP_PROXY_CHILD`, by which the gateway finds and ends what the program leaves behind.
    pub env_allow: Vec<String>,
    /// Working directory of `command`; that of the gateway when absent.
    pub cwd: Option<PathBuf>,
    /// How to speak to the server: `http` (Streamable HTTP), `sse` (HTTP+SSE of 2024-11-05),
    /// `websocket` (subprotocol `mcp`), `stdio`, or `auto`: `stdio` for a `command`, `websocket` for
    /// a `ws://` or `wss://` url, and for any other Streamable HTTP with HTTP+SSE as the way back.
    pub transport: TransportKind,
    /// Longest wait for the answer of a request, or for the next event of a streamed answer.
    pub timeout: Span,
    /// Connections to a `url`.
    pub connection_pool: ConnectionPool,
    /// Connecting and starting again, before a message was sent. What may have reached the server
    /// is never sent twice.
    pub retry: Retry,
    /// Largest message from the server in bytes: a JSON answer, one event, one WebSocket
    /// message, or one line.
    pub max_message_bytes: usize,
    /// Oldest revision of MCP that the server may settle on, for example `2025-06-18`: a server
    /// that offers less is refused. Any revision when absent.
    pub min_protocol_version: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            url: None,
            command: Vec::new(),
            env: BTreeMap::new(),
            env_allow: INHERITED.map(str::to_owned).to_vec(),
            cwd: None,
            transport: TransportKind::Auto,
            timeout: Span::secs(30),
            connection_pool: ConnectionPool::default(),
            retry: Retry::default(),
            max_message_bytes: 8 << 20,
            min_protocol_version: None,
        }
    }
}

/// How to speak to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// Find out.
    #[default]
    Auto,
    /// Streamable HTTP (2025-03-26 and later).
    Http,
    /// HTTP+SSE (2024-11-05).
    Sse,
    /// WebSocket with the subprotocol `mcp`.
    WebSocket,
    /// Standard input and output of a child process.
    Stdio,
}

/// Connections to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionPool {
    /// Idle connections that are kept for later requests; 0 keeps none.
    pub max_idle: usize,
    /// Requests that may wait for their answers at once, over all sessions; others wait for their
    /// turn up to `upstream.timeout`. 0 is no limit.
    pub max_open: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Span,
}

impl Default for ConnectionPool {
    fn default() -> Self {
        Self { max_idle: 32, max_open: 0, idle_timeout: Span::secs(90) }
    }
}

/// Connecting and starting again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Whether to try again at all, and to reopen event streams that broke.
    pub enabled: bool,
    /// Attempts at one connection or start, the first included.
    pub max_attempts: u32,
    /// Wait before the second attempt.
    pub initial_delay: Span,
    /// Longest wait between two attempts.
    pub max_delay: Span,
    /// How the wait grows.
    pub backoff: Backoff,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            enabled: true,
            max_attempts: 3,
            initial_delay: Span::millis(100),
            max_delay: Span::secs(5),
            backoff: Backoff::Exponential,
        }
    }
}

/// How the wait between attempts grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// It doubles.
    #[default]
    Exponential,
    /// It stays.
    Constant,
}

impl Retry {
    /// Attempts at one connection or start, the first included.
    pub(crate) fn attempts(&self) -> u32 {
        if self.enabled { self.max_attempts } else { 1 }
    }

    /// The wait after that many failures in a row.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        let factor = match self.backoff {
            Backoff::Constant => 1,
            Backoff::Exponential => {
                1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)
            }
        };
        self.initial_delay.duration().saturating_mul(factor).min(self.max_delay.duration())
    }
}

impl Config {
    /// Refuses what serde cannot see: values that make no sense, alone or together.
    ///
    /// # Errors
    ///
    /// The message names the key and the remedy.
    pub fn validate(&self) -> Result<(), Error> {
        match (&self.url, self.command.first(), self.transport) {
            (Some(_), Some(_), _) => return Err(Error::TwoServers),
            (None, None, _) => return Err(Error::NoServer),
            (Some(_), None, TransportKind::Stdio) => {
                return invalid(
                    "upstream.transport",
                    "`stdio` needs `upstream.command`, not a url",
                );
            }
            (
                None,
                Some(_),
                TransportKind::Http | TransportKind::Sse | TransportKind::WebSocket,
            ) => {
                return invalid(
                    "upstream.transport",
                    "`http`, `sse` and `websocket` need `upstream.url`",
                );
            }
            (_, Some(program), _) if program.is_empty() => {
                return invalid("upstream.command", "the program is empty");
            }
            (Some(_), None, _) | (None, Some(_), _) => {}
        }
        self.validate_values()
    }

    /// Refuses what makes no sense whichever server is named, so that it can be told before one is.
    ///
    /// # Errors
    ///
    /// The message names the key and the remedy.
    pub fn validate_values(&self) -> Result<(), Error> {
        if self.name.is_empty() {
            return invalid("upstream.name", "the name is empty");
        }
        if self.timeout.duration().is_zero() {
            return invalid("upstream.timeout", "`0s` leaves no time; write for example `30s`");
        }
        if self.max_message_bytes == 0 {
            return invalid("upstream.max_message_bytes", "0 lets nothing pass; write 1 or more");
        }
        if self.retry.max_attempts == 0 {
            return invalid(
                "upstream.retry.max_attempts",
                "0 never connects; write 1 or more, or set `upstream.retry.enabled: false`",
            );
        }
        let unknown = |name: &&String| ProtocolVersion::from_str(name).is_none();
        if self.min_protocol_version.as_ref().filter(unknown).is_some() {
            return invalid(
                "upstream.min_protocol_version",
                "no such revision of MCP; write for example `2025-06-18`",
            );
        }
        let bad = |name: &String| name.is_empty() || name.contains(['=', '\0']);
        if self.env.keys().any(bad) {
            return invalid("upstream.env", "a name of a variable is empty or contains `=` or NUL");
        }
        Ok(())
    }
}

fn invalid(key: &'static str, what: &'static str) -> Result<(), Error> {
    Err(Error::Invalid { key, what })
}

#[cfg(test)]
mod tests;
