//! Questions to people: messages that policy lets pass only when somebody has granted them.
//!
//! [`ApprovalStore`] keeps questions and answers in a SQLite file of their own, which the gateway and the command line
//! open at the same time. The gateway asks through the port [`domain::Approvals`]; a person answers with
//! [`ApprovalStore::grant`] and [`ApprovalStore::deny`]. Invariants: a question that is asked again while it is open is
//! the same question; a grant lets pass what its scope says, until it runs out or is used up, and nothing else; a
//! message that finds no answer is not let through; no more than 10,000 questions are open; arguments are kept masked.
//!
//! Who may grant is not decided here: whoever can write the file can.

mod ask;
mod config;
mod error;
mod hash;
mod question;
mod review;
mod store;

#[cfg(test)]
mod fixture;

pub use config::Config;
pub use error::Error;
pub use question::{Filter, Grant, Question, Scope, State};
pub use store::ApprovalStore;
