//! The assembly: settings in, a running gateway out.
//!
//! [`start`] builds every part, binds every port and only then begins to serve: what cannot work is
//! an error before the first message, never a surprise after it. [`Running::stop`] is the way back:
//! readiness goes first, then the listener, then the sessions, and last the audit log, so that
//! whatever still happens is recorded.

mod control;
mod error;
#[cfg(test)]
mod fixture;
mod journal;
mod open_files;
mod parts;
mod reload;
mod running;
mod service;
mod workers;

pub use control::ControlFolder;
pub use error::Error;
pub use parts::session_limits;
pub use running::{Addresses, Process, Running, Stopped, start};

#[cfg(test)]
mod tests;
