//! The `session` section of the configuration.

use std::path::PathBuf;

use domain::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a client's session lives, how many there may be, and what is kept to go on with one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest life of a session; it ends then even when it is in use. `0s` means no limit.
    pub ttl: Span,
    /// A session without a message, an open stream or a call in flight for this long ends. `0s` means no limit.
    pub idle_timeout: Span,
    /// Most sessions open at the same time. A client beyond it takes the place of the session that was idle for longest,
    /// whose client can come back; where none is idle, it is told to try again later.
    #[schemars(range(min = 1))]
    pub max_sessions: usize,
    /// Most requests of one session that wait for their answers; a further one is refused as `overloaded`. Notifications
    /// and answers of the client have as much room again.
    #[schemars(range(min = 1))]
    pub max_in_flight: usize,
    /// The same limit for all stateless clients (MCP 2026-07-28) together.
    #[schemars(range(min = 1))]
    pub max_stateless: usize,
    /// Messages from the server that wait for one client. While its stream is open, a full queue holds the server
    /// back; while it is not, further messages are dropped.
    #[schemars(range(min = 1))]
    pub queue_size: usize,
    /// File with the keys that seal session ids, one a line: 32 bytes in base64. The first seals, all are accepted, so
    /// that keys can be exchanged. It is created with one random key when it does not exist. Gateways with the same
    /// keys go on with each other's sessions. By default `session.key` beside the audit log; without an audit log,
    /// sessions end with the process.
    pub key_file: Option<PathBuf>,
    /// Most events of a session that are kept for a client that lost its stream and resumes it with `Last-Event-ID`.
    #[schemars(range(min = 1))]
    pub replay_events: usize,
    /// Most bytes of such events. The newest event is kept however long it is.
    #[schemars(range(min = 1))]
    pub replay_bytes: usize,
    /// Most bytes of such events of all sessions together. Beyond it, a session with a new event keeps that one alone, or none if it is long.
    #[schemars(range(min = 1))]
    pub replay_total_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Span::secs(24 * 60 * 60),
            idle_timeout: Span::secs(60 * 60),
            max_sessions: 10_000,
            max_in_flight: 100,
            max_stateless: 10_000,
            queue_size: 256,
            key_file: None,
            replay_events: 256,
            replay_bytes: 1024 * 1024,
            replay_total_bytes: 128 * 1024 * 1024,
        }
    }
}
