//! JSON policies: rules for people who do not write Rego, compiled to Rego.
//!
//! One file becomes one module of package `mcp.policy`. Its denials join those of every other policy, and what it
//! allows outranks only its own rules: a JSON file can never undo a denial of Rego or of another file. Invariants:
//!
//! - **Text stays text.** Whatever a file says enters the module as a quoted Rego string or as a number; names of rules
//!   are made of positions, never of what the file calls them.
//! - **The same file gives the same module**, byte for byte.
//! - **Unknown is an error.** A key, type or operator that is not known is refused with its place, never skipped.
//!
//! Nothing here evaluates: whoever loads the module checks it like any other.

mod condition;
mod error;
mod json;
mod model;
mod module;
mod place;
mod quote;

use model::Document;

pub use error::Error;
pub use json::strict_json;

/// A compiled policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// What the file calls the policy. No two files of a set may have the same.
    pub name: String,
    /// The module, in Rego v1.
    pub rego: String,
}

/// Compiles the JSON policy `text`; `file` is its name in messages.
///
/// # Errors
///
/// [`Error::Syntax`] when it is not JSON with one meaning, [`Error::Invalid`] when it is no policy; both say where.
pub fn compile(file: &str, text: &str) -> Result<Compiled, Error> {
    let value = json::parse(file, text)?;
    let document = Document::read(file, &value)?;
    Ok(Compiled { rego: module::write(&document), name: document.name })
}

#[cfg(test)]
mod tests;
