//! Child processes that are spoken to line by line over their standard streams.
//!
//! A [`Command`] says what is started, [`start`] starts it, a [`Listener`] hears what it says and
//! that it ended. Invariants:
//!
//! - **No shell, no inheritance**: what runs is an argument vector in an environment that holds what
//!   it was given, and a mark.
//! - **Nothing is left behind**: the child leads a process group that is ended with it, also when
//!   its owner is just dropped, and it is reaped; what has left the group is found by the mark and
//!   killed.
//! - **A child is asked before it is killed**: its input ends first.
//! - **Lines are bounded**: what a child never ends costs no more memory than a line may.
//!
//! What this crate deliberately does not do: know MCP, log what a child says, or start one again.

mod children;
mod command;
mod error;
mod lines;
mod process;

pub use children::Children;
pub use command::Command;
pub use error::Error;
pub use process::{Listener, start};
