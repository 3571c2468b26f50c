//! Rego as text: read, parsed, resolved and checked, before any engine sees it.
//!
//! [`Sources`] are files; [`load`] makes a [`Checked`] set of them: modules, and the [`graph::Graph`] of what every
//! definition reads, refers to and calls. It refuses what an engine would choke on, and what could not mean what it
//! says: fields of `input` that are not in the [`schema`], or not at the stage. [`check()`] finds the same in tests, and
//! more when it is strict. Invariants:
//!
//! - **Nothing unknown is loaded.** A construct that the checks cannot see is refused.
//! - **All findings, each with its place.** A check never ends at the first.
//! - **Nothing here evaluates**, and nothing here knows of caches or verdicts.

mod builtins;
mod check;
mod coverage;
pub mod definition;
mod diagnostic;
pub mod dormant;
mod error;
mod facts;
pub mod fast;
pub mod fields;
pub mod graph;
mod read_set;
mod safety;
pub mod schema;
mod source;
pub mod syntax;
mod units;
mod walk;

pub use check::{Checked, GENERATED, check, load, load_with_tests};
pub use coverage::{Coverage, FileCoverage};
pub use diagnostic::{Diagnostic, Report, Severity};
pub use error::Error;
pub use read_set::{Extent, ReadSet, written};
pub use source::{SourceFile, Sources};
