//! What can go wrong while policies are loaded or tested. A decision never fails: it becomes a denial.

use std::io;
use std::path::PathBuf;

/// Why a set of policies was refused. Every text says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{}`: {cause}; {hint}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// A setting of section `policy` is out of range.
    #[error("`policy.{key}` is {value}; {hint}")]
    Setting {
        /// The key inside section `policy`.
        key: &'static str,
        /// The value found.
        value: String,
        /// What is accepted.
        hint: &'static str,
    },
    /// A policy file is not Rego.
    #[error("{file}:{line}:{column}: {message}{excerpt}\n{hint}")]
    Syntax {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
        /// What the parser said.
        message: String,
        /// The line with a caret under the place; empty when it is not known.
        excerpt: String,
        /// What to do.
        hint: String,
    },
    /// A data file is not JSON or YAML, or not an object.
    #[error(
        "{file}: {message}; a data file is one JSON or YAML object whose members appear in `data`"
    )]
    Document {
        /// The file.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// Two data files, or a data file and a package, give one path different values.
    #[error("`data.{path}` is defined by both {first} and {second}; keep one of them")]
    Conflict {
        /// The path below `data`, joined with dots.
        path: String,
        /// Where it was defined first.
        first: String,
        /// Where it was defined again.
        second: String,
    },
    /// A file that this version would silently ignore.
    #[error("{file}: {message}")]
    Misplaced {
        /// The file.
        file: String,
        /// Why it has no place there, and what to do.
        message: &'static str,
    },
    /// A rule or function depends on itself.
    #[error("{file}:{line}: recursion: {cycle}; Rego has none, break the cycle")]
    Recursion {
        /// The file of the first rule of the cycle.
        file: String,
        /// Its line.
        line: u32,
        /// The rules of the cycle, joined with arrows.
        cycle: String,
    },
    /// A call names neither a function of the policies nor a builtin.
    #[error("{file}:{line}:{column}: unknown function `{name}`; {hint}")]
    UnknownFunction {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
        /// The function as written.
        name: String,
        /// What to do.
        hint: &'static str,
    },
    /// A call has too few or too many arguments.
    #[error("{file}:{line}:{column}: `{name}` takes {takes} argument{}, not {given}; correct the call",
        if *takes == 1 { "" } else { "s" })]
    Arity {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
        /// The function as written.
        name: String,
        /// How many arguments it takes.
        takes: usize,
        /// How many the call has.
        given: usize,
    },
    /// A variable that nothing gives a value.
    #[error("{file}:{line}:{column}: variable `{name}` is unsafe: {why}")]
    Unsafe {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
        /// The variable.
        name: String,
        /// What is missing, and what to do.
        why: &'static str,
    },
    /// Rego that the engines would evaluate wrongly.
    #[error("{file}:{line}: {what}; {hint}")]
    Unsupported {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// What is not supported.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// The set says nothing that the gateway asks for.
    #[error(
        "{origin}: no rule `deny`, `violations`, `allow` or `decision` in package `mcp.policy`, so nothing \
         would be decided; add one, or set `policy.enabled: false`"
    )]
    Undecided {
        /// Where the policies came from.
        origin: String,
    },
    /// The engine refused a set that parsed.
    #[error("{origin}: {message}")]
    Compile {
        /// Where the policies came from.
        origin: String,
        /// What the engine said.
        message: String,
    },
    /// The input document of an evaluation is not JSON.
    #[error("the input document is not JSON: {0}; give one JSON object")]
    Input(String),
}
