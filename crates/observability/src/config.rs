//! The `logging` section of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The gateway's own log. What clients do is in the audit log; this one tells about the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoggingConfig {
    /// Least important events that are written.
    pub level: Level,
    /// How a line is written: `json` for machines, `text` for people.
    pub format: Format,
    /// Where the lines go: standard error, standard output, or the file of `logging.file`.
    pub output: Output,
    /// The log file, when `logging.output` is `file`.
    pub file: LogFile,
}

/// How important an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The gateway cannot do what it should.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What an operator wants to see.
    #[default]
    Info,
    /// What a developer wants to see.
    Debug,
    /// Everything, that of the libraries included.
    Trace,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// One line of text.
    Text,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Standard error.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
    /// The file of `logging.file`.
    File,
}

/// The log file and how it is rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogFile {
    /// The file. Older ones stand beside it with a number, `.1` being the newest of them.
    pub path: PathBuf,
    /// Size in megabytes at which a new file is begun.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_size: u64,
    /// Older files that are kept; `0` keeps none.
    #[schemars(range(max = 1000))]
    pub max_backups: u32,
    /// Days after which an older file is deleted; `0` means no limit.
    #[schemars(range(max = 36_500))]
    pub max_age: u32,
}

impl Default for LogFile {
    fn default() -> Self {
        Self { path: "mcp-proxy.log".into(), max_size: 100, max_backups: 5, max_age: 30 }
    }
}
