//! Section `policy` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use domain::{Mode, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What decides, and what is done with a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether policy decides. When it is off, every message passes and is recorded with the rule
    /// `policy_disabled`.
    pub enabled: bool,
    /// What a denial does: `enforce` refuses the message, `audit` forwards it and records that it would have
    /// been refused.
    pub mode: Mode,
    /// Folder with Rego files, their tests and data files, searched recursively. Without one: the folder `policies`
    /// where the gateway is started, if there is one, else the policies that are compiled into the program. An empty
    /// name means the compiled-in ones in any case.
    pub policy_dir: Option<PathBuf>,
    /// A further JSON or YAML file, merged at the root of `data`.
    pub data_file: Option<PathBuf>,
    /// Name of the environment (`production`, `staging`), seen by policy as `input.context.environment` and kept
    /// in the audit log.
    pub environment: String,
    /// The cache of decisions.
    pub cache: CacheConfig,
    /// Limits of one evaluation.
    pub evaluation: EvaluationConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: Mode::Enforce,
            policy_dir: None,
            data_file: None,
            environment: String::new(),
            cache: CacheConfig::default(),
            evaluation: EvaluationConfig::default(),
        }
    }
}

/// The cache of decisions. A decision is reused only when every field of the input that the rules read is the same
/// byte for byte; rules that read counters or time are evaluated each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Whether decisions are reused.
    pub enabled: bool,
    /// How many decisions each worker thread keeps.
    pub max_entries: usize,
    /// How long a decision may be reused.
    pub ttl: Span,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { enabled: true, max_entries: 10_000, ttl: Span::secs(300) }
    }
}

/// Limits of one evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// How long one evaluation may take, from `1ms` to `10s`. One that takes longer is a denial.
    pub timeout: Span,
    /// Whether an error inside a builtin function (division by zero, a bad pattern) fails the evaluation, which is
    /// a denial. Otherwise the expression is undefined, as in OPA.
    pub strict_builtin_errors: bool,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { timeout: Span::millis(100), strict_builtin_errors: false }
    }
}

impl Config {
    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the key that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let timeout = self.evaluation.timeout;
        if timeout.duration() < Duration::from_millis(1)
            || timeout.duration() > Duration::from_secs(10)
        {
            return Err(Error::Setting {
                key: "evaluation.timeout",
                value: format!("`{timeout}`"),
                hint: "set it between `1ms` and `10s`",
            });
        }
        if self.cache.enabled && self.cache.max_entries == 0 {
            return Err(Error::Setting {
                key: "cache.max_entries",
                value: "0".to_owned(),
                hint: "set it to 1 or more, or turn the cache off with `policy.cache.enabled: false`",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
