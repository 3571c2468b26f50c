//! What can go wrong with approvals, in words for the operator.

use std::path::{Path, PathBuf};

use crate::State;

/// A failure of the approvals. Every message says what to do.
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
    /// The file cannot be created, read or written.
    #[error(
        "the approvals `{path}` (`approval.db_path`) cannot be opened: {cause}; name another file"
    )]
    Access {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The file is something else.
    #[error(
        "`{path}` does not hold approvals of this program: move it away or set `approval.db_path` to another file"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later release.
    #[error(
        "the approvals `{path}` have schema {found}, and this release knows {known}: use the release that wrote them, or name another file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The schema version of this release.
        known: i64,
    },
    /// The file is not there any more, or another one is.
    #[error(
        "the approvals `{path}` were removed or replaced while in use; start the gateway again to go on with what is there"
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed otherwise.
    #[error("the approvals `{path}` cannot be used: {cause}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        cause: rusqlite::Error,
    },
    /// Too many questions are open.
    #[error("{0} questions are open, which is the most; grant or deny some, or let them expire")]
    Full(u32),
    /// There is no such question.
    #[error("there is no question `{id}`; `mcp-proxy approvals list` shows them")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// Several questions begin like this.
    #[error("several questions begin with `{id}`; give more of it")]
    Ambiguous {
        /// What was asked for.
        id: String,
    },
    /// Nobody waits for the answer any more.
    #[error("the question `{id}` has expired; its sender has to ask again")]
    Expired {
        /// The question.
        id: String,
    },
    /// The question has its answer.
    #[error("the question `{id}` is already {}; deny it to take that back", state.as_str())]
    Decided {
        /// The question.
        id: String,
        /// What became of it.
        state: State,
    },
}

impl Error {
    /// Turns a failure of SQLite on `path` into the error that says most about it.
    pub(crate) fn sqlite(path: &Path, cause: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match cause.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
                Self::Foreign { path }
            }
            _ => Self::Sqlite { path, cause },
        }
    }
}
