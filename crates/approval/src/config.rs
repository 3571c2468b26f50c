//! The `approval` section of the configuration.

use std::path::{Path, PathBuf};

use domain::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// How people are asked about messages for which policy wants an approval (obligation `require_approval`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The SQLite file with the questions and their answers, created with mode 0600 when it does not exist. By default
    /// `approvals.db` beside the audit log.
    pub db_path: Option<PathBuf>,
    /// How long a message waits for the answer before its sender is told `approval_required`. `0s` tells it at once; it
    /// may send the message again when it was granted.
    pub wait: Span,
    /// How long a question stays open, and a denial stands. Who asks again later asks a new question.
    pub expires: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self { db_path: None, wait: Span::secs(0), expires: Span::secs(10 * 60) }
    }
}

impl Config {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], naming the key, its value and the remedy.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |key, problem| Err(Error::Config { key, problem });
        if self.db_path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            let problem = "it is empty; name a file, or leave it out";
            return wrong("approval.db_path", problem.to_owned());
        }
        let (wait, expires) = (self.wait, self.expires);
        if expires < Span::secs(1) {
            return wrong("approval.expires", format!("`{expires}` is shorter than 1s"));
        }
        if wait > expires {
            let problem = format!("`{wait}` is longer than `approval.expires`, `{expires}`");
            return wrong("approval.wait", problem);
        }
        Ok(())
    }

    /// Where the questions are kept, given where the audit log is.
    #[must_use]
    pub fn path(&self, audit_log: &Path) -> PathBuf {
        self.db_path.clone().unwrap_or_else(|| audit_log.with_file_name("approvals.db"))
    }
}

#[cfg(test)]
mod tests;
