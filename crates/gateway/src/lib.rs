//! The assembly: settings in, a running gateway out.
//!
//! [`start`] builds every part, binds every port and only then begins to serve: what cannot work is
//! an error before the first message, never a surprise after it. [`Running::stop`] is the way back:
//! readiness goes first, then the listener, then the sessions, and last the audit log, so that
//! whatever still happens is recorded.

mod error;
mod open_files;
mod parts;
mod running;
mod service;
mod workers;

pub use error::Error;
pub use parts::session_limits;
pub use running::{Addresses, Process, Running, Stopped, start};
