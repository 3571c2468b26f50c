//! Rego policies: load, compile, decide, cache, test. What can be known of the text alone is the crate `rego`'s.
//!
//! [`Sources`] are read from a folder or taken from the program; [`PolicySet::load`] has them checked, chooses the
//! evaluator and compiles; [`PolicyEngine`] decides; [`LivePolicy`] exchanges engines under way. Invariants:
//!
//! - **Doubt is a denial.** An error, a time-out, a panic, an undefined `decision`, a value of the wrong type: each is
//!   a decision with the verdict deny and an error text.
//! - **Evaluation sees the projected input.** Only fields that the rules read enter an evaluation, so a decision is a
//!   function of the bytes under which the cache keeps it, whatever the analysis of the rules missed.
//! - **The interpreter is the golden engine.** The virtual machine serves only sets without constructs on which the
//!   two are known to differ, and after both agreed on the inputs tried at load.
//! - **Threads share nothing but text.** Evaluators, input values and caches belong to one thread.
//! - **A message meets one engine.** It asks [`LivePolicy`] once; an engine never changes.

mod bulk;
mod cache;
mod config;
mod engine;
mod eval;
mod input;
mod live;
mod modes;
mod numbering;
mod obligations;
mod places;
mod probe;
mod reads;
mod reason;
mod role;
mod runner;
mod set;
mod split;
mod testing;
#[cfg(test)]
mod tests;
mod trace;
mod verdict;
mod verify;

pub use config::{CacheConfig, Config, DenyAs, EvaluationConfig, ReloadConfig};
pub use engine::{Disabled, PolicyEngine, decide_document};
pub use eval::{EvalOutcome, eval};
pub use live::LivePolicy;
pub use reads::Reads;
pub use rego::{Coverage, Error, FileCoverage, ReadSet, SourceFile, Sources};
pub use set::{Engine, PolicySet};
pub use testing::{Bench, TestCase, TestOptions, TestOutcome, TestReport, run_tests};
pub use trace::{Trace, Traced, TracedStep, trace};
pub use verify::CacheChecks;
