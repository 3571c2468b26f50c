//! Why a bundle was refused, could not be had, or could not be made.

use std::io;
use std::path::PathBuf;

/// Why a bundle was refused, could not be had, or could not be made. Every text says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting of section `policy.bundle` is out of range.
    #[error("`policy.bundle.{key}` is {value}; {hint}")]
    Setting {
        /// The key inside section `policy.bundle`.
        key: String,
        /// The value found.
        value: String,
        /// What is accepted.
        hint: &'static str,
    },
    /// A file could not be read or written.
    #[error("`{}`: {cause}; {hint}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The bytes are no archive, a broken one, or too much of one.
    #[error("the bundle is no complete `tar.gz`: {0}")]
    Archive(#[from] io::Error),
    /// One file of the bundle is refused.
    #[error("`{name}` in the bundle {problem}")]
    Entry {
        /// The file inside the bundle.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The signature of the bundle is missing or wrong.
    #[error("the signature of the bundle does not hold: {0}")]
    Signature(String),
    /// A key cannot be used.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// The server did not give a bundle.
    #[error("cannot fetch the bundle from `{url}`: {problem}")]
    Fetch {
        /// The address, without user and query.
        url: String,
        /// What happened.
        problem: String,
    },
}

impl Error {
    /// Whether the bundle itself is at fault, and not the way to it.
    #[must_use]
    pub const fn is_of_content(&self) -> bool {
        matches!(self, Self::Archive(_) | Self::Entry { .. } | Self::Signature(_))
    }

    pub(crate) fn entry(name: &str, problem: impl Into<String>) -> Self {
        Self::Entry { name: name.to_owned(), problem: problem.into() }
    }
}
