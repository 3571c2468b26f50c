//! One thing that is wrong, and where.

use std::fmt;
use std::path::PathBuf;

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file, at a line and column counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line, and the column where it is known.
        at: Option<(usize, Option<usize>)>,
    },
    /// In an environment variable.
    Variable(String),
    /// Nowhere in particular: the value is a default, or was set by the program.
    Settings,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, at: None } => write!(f, "{}: ", path.display()),
            Self::File { path, at: Some((line, None)) } => write!(f, "{}:{line}: ", path.display()),
            Self::File { path, at: Some((line, Some(column))) } => {
                write!(f, "{}:{line}:{column}: ", path.display())
            }
            Self::Variable(name) => write!(f, "environment variable `{name}`: "),
            Self::Settings => Ok(()),
        }
    }
}

/// One thing that is wrong: where, which key, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was found.
    pub place: Place,
    /// The key, what is wrong with it, and the remedy.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.text)
    }
}
