//! The configuration: composed from the crates' own parts, read from YAML and `MCP_*`.
//!
//! [`Settings`] is the composition. From it alone come the keys, their types, their environment variables, the JSON
//! Schema, the commented `config/proxy.yaml` and `docs/configuration.md`: a new key is one field in the crate that reads
//! it. [`Settings::load`] layers default, file and environment. Invariants:
//!
//! - **Nothing is ignored in silence.** An unknown key, a duplicate, a value that does not fit, an unset secret and a key
//!   of a feature that this version does not have stop the start; all of them are told at once, each with its file, line
//!   and column or its variable, its key, and what to do. An unknown `MCP_*` variable is a warning.
//! - **One YAML parser.** The file is read once; the crate `config` is given trees to layer, never text.
//! - **Values of secrets do not leave through [`Loaded::show`].**
//!
//! What this crate deliberately does not do: opening what the settings name. That a port is free or a database can be
//! written is found out by its owner.

mod catalog;
mod environment;
mod error;
mod file;
mod kind;
mod load;
mod locate;
mod problem;
mod reference;
mod render;
mod settings;
mod show;
mod suggest;
mod unavailable;
mod validate;

pub use environment::process_environment;
pub use error::Error;
pub use load::{Loaded, Origin};
pub use problem::{Place, Problem};
pub use render::{render_docs, render_yaml};
pub use settings::{Settings, Version};
