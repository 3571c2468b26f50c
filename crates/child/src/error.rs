//! Why a child cannot be started.

/// What is wrong with a command. The texts go behind the name of the setting that holds it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is empty.
    #[error("no program is named")]
    NoProgram,
    /// Arguments of a process end at NUL.
    #[error("it contains NUL")]
    Nul,
    /// What the program is would depend on the working directory.
    #[error("write the program as an absolute path, or as a name to find on `PATH`")]
    Relative,
    /// There is nothing to execute at the absolute path.
    #[error("`{0}` is not a file that can be executed")]
    NotExecutable(String),
    /// There is nothing of this name to execute.
    #[error("`{0}` was not found on PATH")]
    NotFound(String),
    /// The operating system refused.
    #[error("`{program}` cannot be started: {error}")]
    Start {
        /// The program as it was written.
        program: String,
        /// What the operating system said.
        error: std::io::Error,
    },
}
