//! The one error of the tools.

use std::io;

/// What stops a tool, or makes a call count as an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system or the network refused something.
    #[error("could not {what}: {source}")]
    Io {
        /// What was tried, in the infinitive.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// An answer came, but not the one to this question.
    #[error("wrong answer: {0}")]
    Answer(String),
    /// The run cannot start or go on: a missing program, an address that does not parse.
    #[error("{0}")]
    Setup(String),
}

impl Error {
    /// For `map_err`: an I/O error with what was tried, in the infinitive.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }
}
