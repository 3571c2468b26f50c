//! What can go wrong while policies are loaded or tested. A decision never fails: it becomes a denial.

use std::io;
use std::path::PathBuf;

use crate::Diagnostic;

/// Why a set of policies was refused. Every text says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{}`: {cause}; {hint}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// A setting of section `policy` is out of range.
    #[error("`policy.{key}` is {value}; {hint}")]
    Setting {
        /// The key inside section `policy`.
        key: &'static str,
        /// The value found.
        value: String,
        /// What is accepted.
        hint: &'static str,
    },
    /// The policies were checked and found wrong; everything that was found.
    #[error("{}", joined(.0))]
    Refused(Vec<Diagnostic>),
    /// A data file is not JSON or YAML, or not an object.
    #[error(
        "{file}: {message}; a data file is one JSON or YAML object whose members appear in `data`"
    )]
    Document {
        /// The file.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// Two data files, or a data file and a package, give one path different values.
    #[error("`data.{path}` is defined by both {first} and {second}; keep one of them")]
    Conflict {
        /// The path below `data`, joined with dots.
        path: String,
        /// Where it was defined first.
        first: String,
        /// Where it was defined again.
        second: String,
    },
    /// A file that this version would silently ignore.
    #[error("{file}: {message}")]
    Misplaced {
        /// The file.
        file: String,
        /// Why it has no place there, and what to do.
        message: &'static str,
    },
    /// The engine refused a set that parsed.
    #[error("{origin}: {message}")]
    Compile {
        /// Where the policies came from.
        origin: String,
        /// What the engine said.
        message: String,
    },
    /// What the policies come in was refused, or could not be had.
    #[error(transparent)]
    Package(Box<dyn std::error::Error + Send + Sync>),
    /// The input document of an evaluation is not JSON.
    #[error("the input document is not JSON: {0}; give one JSON object")]
    Input(String),
}

fn joined(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
