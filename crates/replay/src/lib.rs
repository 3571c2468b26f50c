//! Makes recorded decisions again: under the policies that made them, to prove the evidence, and under others, to see
//! what they would change.
//!
//! [`Library`] turns a row of the audit log into the input that policy saw, and knows what of it the log does not have;
//! [`run`] decides rows again and compares. Invariants: the log is only read; a row of which a set of policies reads
//! what was not recorded, or was masked, is undecidable under it, and never decided with a part undefined; when
//! recorded decisions do not come out as recorded, nothing is concluded from them; what follows a first divergence in
//! a session is counted apart.
//!
//! Rows are decided by the code that serves messages, through the same input. Obligations are compared, not carried
//! out: a rate limit or an approval that held a message counts as allowed by policy.

mod counters;
mod document;
mod error;
mod facts;
mod judge;
mod minimal;
mod outcome;
mod recorded;
mod report;
mod run;

#[cfg(test)]
mod fixture;

pub use error::Error;
pub use judge::Judge;
pub use outcome::{Because, Class, Outcome};
pub use recorded::{Library, Recorded};
pub use report::{Change, Classes, Evidence, Example, LeftOut, Mismatch, Report};
pub use run::{Options, State, Unrepeatable, run};
