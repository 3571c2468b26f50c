//! Why there are no settings.

use std::io;
use std::path::PathBuf;

use crate::Problem;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {cause}; name an existing file with `--config`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("{}: the configuration is larger than {limit} bytes; name another file with `--config`", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        limit: u64,
    },
    /// Problems in the file, the environment, or the values together.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
    /// The layers do not fit together although each was checked: a defect.
    #[error("the layers of the configuration cannot be joined: {0}")]
    Layers(#[from] config::ConfigError),
}

impl Error {
    pub(crate) fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::Invalid(problems)) }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
