//! Why a client could not be served to the end.

use domain::Failure;

/// Why a client could not be served to the end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no session for it.
    #[error("cannot open the session of standard input: {0}")]
    Session(Failure),
    /// What the client sends cannot be read.
    #[error("cannot read standard input: {0}")]
    Read(std::io::Error),
    /// What is for the client cannot be written.
    #[error("cannot write to standard output: {0}")]
    Write(std::io::Error),
}
