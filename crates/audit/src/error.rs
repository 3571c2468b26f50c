//! What can go wrong with the audit log, in words for the operator.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A failure of the audit log. Every message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key of the configuration has a value that cannot work.
    #[error("`{key}` cannot be used: {problem}")]
    Config {
        /// The key, with its section.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no such file.
    #[error(
        "no audit log at `{path}`: start the gateway with `audit.db_path` set to it first, or name another file"
    )]
    Missing {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The path names a directory.
    #[error(
        "`{path}` is a directory: set `audit.db_path` to a file in it, for example `{path}/audit.db`"
    )]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The file cannot be created, read or written.
    #[error("the audit log `{path}` (`audit.db_path`) cannot be opened: {cause}; {remedy}")]
    Access {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The file is something else than a SQLite database.
    #[error(
        "`{path}` is not a SQLite database, or a damaged one: move it away or set `audit.db_path` to another file"
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    #[error(
        "`{path}` is a SQLite database, but not an audit log of this program: move it away or set `audit.db_path` to another file"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database was written by a later release.
    #[error(
        "the audit log `{path}` has schema {found}, and this release knows {known} at most: use the release that wrote it, or name another file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The last schema version of this release.
        known: i64,
    },
    /// SQLite failed otherwise.
    #[error("the audit log `{path}` cannot be used: {cause}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        cause: rusqlite::Error,
    },
    /// The writer could not be started.
    #[error("the thread that writes the audit log cannot be started: {0}")]
    Thread(std::io::Error),
}

impl Error {
    /// Turns a failure of SQLite on `path` into the error that says most about it.
    pub(crate) fn sqlite(path: &Path, cause: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match cause.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
                Self::NotADatabase { path }
            }
            _ => Self::Sqlite { path, cause },
        }
    }

    /// Turns a failure of the file system on `path` into the error that says most about it.
    pub(crate) fn access(path: &Path, cause: std::io::Error) -> Self {
        let path = path.to_owned();
        if cause.kind() == ErrorKind::IsADirectory {
            return Self::Directory { path };
        }
        let known = REMEDIES.iter().find(|(kind, _)| *kind == cause.kind());
        let remedy = known.map_or("name another file", |(_, remedy)| remedy);
        Self::Access { path, cause, remedy }
    }
}

/// What to do when a file cannot be opened.
const REMEDIES: [(ErrorKind, &str); 4] = [
    (ErrorKind::NotFound, "create its directory or name another file"),
    (ErrorKind::NotADirectory, "a part of the path is a file; name another one"),
    (ErrorKind::PermissionDenied, "let this user read and write it, or name another file"),
    (ErrorKind::ReadOnlyFilesystem, "name a file on a file system that can be written"),
];
