//! What can go wrong while setting up.

use std::io;
use std::path::PathBuf;

/// A failure to set up metrics or logging.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two metrics of one name, or a name that Prometheus does not allow.
    #[error("the metrics could not be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The log file cannot be opened.
    #[error("`logging.file.path`: cannot write `{}`: {cause}; name a file in a folder that the gateway may write to", path.display())]
    LogFile {
        /// The configured file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// Something else already receives the process's trace events.
    #[error("logging was already set up")]
    AlreadySet,
}
