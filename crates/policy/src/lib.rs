//! Rego policies: load, check, compile, decide, cache, test. The only crate that knows regorus.
//!
//! [`Sources`] are read from a folder or taken from the program; [`PolicySet::load`] parses them, refuses what an
//! engine would choke on, and chooses the evaluator; [`PolicyEngine`] decides. Invariants:
//!
//! - **Doubt is a denial.** An error, a time-out, a panic, an undefined `decision`, a value of the wrong type: each is
//!   a decision with the verdict deny and an error text.
//! - **Evaluation sees the projected input.** Only fields that the rules read enter an evaluation, so a decision is a
//!   function of the bytes under which the cache keeps it, whatever the analysis of the rules missed.
//! - **The interpreter is the golden engine.** The virtual machine serves only sets without constructs on which the
//!   two are known to differ, and after both agreed on the inputs tried at load.
//! - **Threads share nothing but text.** Evaluators, input values and caches belong to one thread.

mod builtins;
mod cache;
mod config;
mod definition;
mod engine;
mod error;
mod eval;
mod facts;
mod fast;
mod fields;
#[cfg(test)]
mod fixture;
mod graph;
mod input;
mod probe;
mod runner;
mod safety;
mod set;
mod source;
mod split;
mod syntax;
mod testing;
mod verdict;

pub use config::{CacheConfig, Config, EvaluationConfig};
pub use engine::{Disabled, PolicyEngine};
pub use error::Error;
pub use eval::{EvalOutcome, eval};
pub use set::{Engine, PolicySet};
pub use source::{SourceFile, Sources};
pub use testing::{TestCase, TestOutcome, TestReport, run_tests};
