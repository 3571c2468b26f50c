//! Why nothing is learned.

use std::path::PathBuf;

/// A failure to learn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log cannot be read.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// A row of the log is not what the gateway writes.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// The policies do not load.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// The log holds nothing that could be learned.
    #[error(
        "there is nothing to learn in the audit log `{path}`: none of its {rows} rows is a call, a resource or a prompt that was allowed and forwarded; let agents work, then learn"
    )]
    Nothing {
        /// The log.
        path: PathBuf,
        /// Rows read.
        rows: u64,
    },
    /// An option has no meaning.
    #[error("the share of sessions to learn from is `{0}`; give a number above 0, and at most 1")]
    Share(f64),
    /// What was learned does not pass its own check; this is a mistake of the program.
    #[error("what was learned does not hold and is not written: {0}; please report this")]
    Unsound(String),
    /// A file cannot be written.
    #[error("cannot write `{path}`: {cause}; check that the folder may be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
}
