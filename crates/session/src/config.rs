//! The `session` section of the configuration.

use domain::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a client's session lives, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest life of a session; it ends then even when it is in use. `0s` means no limit.
    pub ttl: Span,
    /// A session without a message, an open stream or a call in flight for this long ends. `0s` means no limit.
    pub idle_timeout: Span,
    /// Most sessions open at the same time; a client beyond it is told to try again later.
    #[schemars(range(min = 1))]
    pub max_sessions: usize,
    /// Most requests of one session that wait for their answers; a further one is refused as `overloaded`. Notifications
    /// and answers of the client have as much room again.
    #[schemars(range(min = 1))]
    pub max_in_flight: usize,
    /// Messages from the server that wait for one client. While its stream is open, a full queue holds the server
    /// back; while it is not, further messages are dropped.
    #[schemars(range(min = 1))]
    pub queue_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Span::secs(24 * 60 * 60),
            idle_timeout: Span::secs(60 * 60),
            max_sessions: 10_000,
            max_in_flight: 100,
            queue_size: 256,
        }
    }
}
