//! The `audit` section of the configuration.

use std::path::PathBuf;

use domain::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Where the audit log is kept, what it keeps of a message, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether messages are recorded. Without it nothing shows later what an agent did.
    pub enabled: bool,
    /// The SQLite file, created with mode 0600 when it does not exist. Its directory must exist.
    pub db_path: PathBuf,
    /// Most events that wait to be written. When there is no room, messages wait for `max_wait`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub buffer_size: usize,
    /// Longest time an event waits before it is committed, and so what a crash may lose. Events of that time share
    /// one transaction.
    pub flush_interval: Span,
    /// Days that rows are kept. `0` keeps them for ever.
    pub retention_days: u32,
    /// Longest time a message waits for room in a full queue before it is refused as `audit_unavailable`.
    pub max_wait: Span,
    /// What is kept of the content of messages.
    pub capture: Capture,
}

/// What is kept of the content of messages. Values under secret-looking keys are masked in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Whether the arguments of calls are kept.
    pub request_arguments: bool,
    /// Whether the beginning of the answer is kept. What a list hid is kept in any case.
    pub response_summary: bool,
    /// Most bytes kept of the arguments, and of the answer; what is longer is cut, and its length noted.
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            db_path: "audit.db".into(),
            buffer_size: 10_000,
            flush_interval: Span::millis(50),
            retention_days: 30,
            max_wait: Span::secs(1),
            capture: Capture::default(),
        }
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self { request_arguments: false, response_summary: false, max_bytes: 4096 }
    }
}

impl Config {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], naming the key, its value and the remedy.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |key, problem: String| Err(Error::Config { key, problem });
        if self.db_path.as_os_str().is_empty() {
            return wrong(
                "audit.db_path",
                "it is empty; name a file, for example `audit.db`".into(),
            );
        }
        if !(1..=1_000_000).contains(&self.buffer_size) {
            let size = self.buffer_size;
            return wrong("audit.buffer_size", format!("`{size}` is not within 1 to 1000000"));
        }
        if self.flush_interval < Span::millis(1) {
            let span = self.flush_interval;
            return wrong("audit.flush_interval", format!("`{span}` is shorter than 1ms"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
