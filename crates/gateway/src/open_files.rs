//! How many files and connections the process may have open.
//!
//! Shells and service managers give a low limit that programs may raise on their own, up to a hard one. What is needed
//! is known from the configuration, so it is checked at the start rather than found out under load. Child processes
//! inherit the limit.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors of a connection: its own, and that of the stream from the server.
const A_CONNECTION: u64 = 2;
/// Descriptors of everything else: the audit log, the log, the ports, connections to the server that are kept.
const BESIDE: u64 = 100;
/// More than anybody needs. Where the hard limit says "any number", some children would close each of them in vain.
const MOST: u64 = 1 << 20;

/// Raises the limit as far as the process may, and warns when `max_connections` need more.
pub(crate) fn raise(max_connections: usize) {
    let limit = match raised() {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            return;
        }
    };
    tracing::debug!(limit, "open files");
    let needed = needed(max_connections);
    if limit < needed {
        tracing::warn!(
            limit,
            needed,
            "`server.max_connections` needs more open files than the process may have: raise its hard limit \
             (`ulimit -Hn`), or allow fewer connections"
        );
    }
}

/// The limit after it was raised.
fn raised() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(MOST);
    if wanted <= soft {
        return Ok(soft);
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    Ok(wanted)
}

fn needed(max_connections: usize) -> u64 {
    let connections = u64::try_from(max_connections).unwrap_or(u64::MAX);
    connections.saturating_mul(A_CONNECTION).saturating_add(BESIDE)
}
