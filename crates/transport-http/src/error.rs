//! Why the listener cannot start.

use std::io;

/// A configuration that cannot be served, or an address that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key of the section `server` has a value that makes no sense.
    #[error("`server.{key}`: {problem}")]
    Config {
        /// The key below `server`.
        key: String,
        /// What is wrong with the value, and what to write instead.
        problem: String,
    },
    /// The operating system refuses the address.
    #[error("cannot listen on `{address}`: {cause}; {remedy}")]
    Bind {
        /// The address as configured.
        address: String,
        /// What the operating system says.
        cause: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
}

impl Error {
    pub(crate) fn config(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config { key: key.into(), problem: problem.into() }
    }

    pub(crate) fn bind(address: String, cause: io::Error) -> Self {
        let kind = cause.kind();
        let remedy = if kind == io::ErrorKind::AddrInUse {
            "stop the program that holds the port, or set another `server.listen.port`"
        } else if kind == io::ErrorKind::PermissionDenied {
            "set `server.listen.port` to 1024 or above, or grant the right to bind low ports"
        } else {
            "set `server.listen.address` to an address of this machine"
        };
        Self::Bind { address, cause, remedy }
    }
}
