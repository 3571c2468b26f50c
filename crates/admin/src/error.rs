//! What can be wrong with the configured ports and paths.

use std::io;

/// A port or path that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path that is not one.
    #[error("`{key}`: `{path}` is not a path; write letters, digits and `-._~/` after a first `/`")]
    Path {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        path: String,
    },
    /// Two pages at one address.
    #[error(
        "`{key}` and `{other}` are both `{path}` on the same port; give one of them another path"
    )]
    SamePath {
        /// The key of the configuration.
        key: &'static str,
        /// The key that it collides with.
        other: &'static str,
        /// Their value.
        path: String,
    },
    /// A page where those for operators are.
    #[error("`{key}`: `{path}` is where `admin` serves its pages; give it another path")]
    Reserved {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        path: String,
    },
    /// The operators' port on an address that others reach.
    #[error(
        "`admin.address`: `{address}` is not of this machine only, and the port has no login; write `127.0.0.1` or `::1`"
    )]
    Exposed {
        /// The configured address.
        address: String,
    },
    /// The port cannot be opened.
    #[error("{keys}: cannot listen on `{address}`: {cause}; {}", remedy(cause))]
    Bind {
        /// The key or keys of the configuration, in backticks.
        keys: String,
        /// Address and port.
        address: String,
        /// What the operating system said.
        cause: io::Error,
    },
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of `io::Error` are not ours to list")]
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "set another port or stop what uses this one",
        io::ErrorKind::AddrNotAvailable => "name an address of this machine",
        io::ErrorKind::PermissionDenied => "set a port above 1023",
        _ => "check the address",
    }
}
