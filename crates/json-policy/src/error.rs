//! Why a JSON policy was refused.

/// Why a JSON policy was refused. Every text says what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is not JSON, or gives a key twice.
    #[error("{file}: {problem}; a JSON policy is one JSON object")]
    Syntax {
        /// The file.
        file: String,
        /// What the parser said, with line and column.
        problem: String,
    },
    /// The JSON is no policy.
    #[error("{file}: `{path}` {problem}")]
    Invalid {
        /// The file.
        file: String,
        /// Where, as `rules[2].conditions.any[0]`.
        path: String,
        /// What is wrong there, and what is accepted.
        problem: String,
    },
}
