//! Learns a least-privilege policy from the audit log: what agents were seen to do is what they may do.
//!
//! [`learn`] reads a log, generalises what it finds on a ladder of named rungs, and tries the outcome on sessions that
//! it did not learn from. What comes out is data for one fixed, hand-written module (`learned.rego`), with tests.
//! Invariants:
//!
//! - **Learned entries never allow.** The module has rules of `violations` alone, so it joins other policies and cannot
//!   widen what they deny.
//! - **Only what was allowed, forwarded and answered is learned from.** A denied, failed or merely watched message says
//!   nothing of what is normal.
//! - **The same log gives the same bytes.** No clock and no chance.
//! - **What does not hold is not handed out**: the outcome must pass the strict check, and must allow everything that it
//!   was learned from.
//! - **No secret is kept**: what has a secret-looking name or was masked is learned as `any`.
//!
//! Nothing here puts a policy into force.

mod cases;
mod corpus;
mod document;
mod entry;
mod error;
mod evidence;
mod ladder;
mod learn;
mod message;
mod pattern;
mod trial;
mod unused;
mod write;

#[cfg(test)]
mod fixture;

pub use corpus::Account;
pub use error::Error;
pub use evidence::Floors;
pub use learn::{Learned, Options, Report, learn};
pub use trial::{Denied, Trial};
pub use unused::{Unused, unused};
