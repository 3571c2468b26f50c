//! The SQLite audit log: one writer, one row a message, queries.
//!
//! The way of an event: [`Recorder::reserve`](domain::Recorder::reserve) takes room in a bounded queue before the
//! message is forwarded, the slot hands the event over without blocking, and one thread writes what has gathered in
//! one transaction. Invariants: an event that was accepted is written, or its loss is counted and logged (only at
//! shutdown, when the database takes nothing); the queue never grows beyond `audit.buffer_size`, the batch being
//! written included; nothing secret-looking reaches the file.
//!
//! The table and its views are described in `docs/audit.md`.

mod config;
mod content;
mod error;
mod facts;
mod filter;
mod insert;
mod log;
mod reader;
mod retention;
mod row;
mod schema;
mod store;
mod time;
mod writer;

#[cfg(test)]
mod fixture;

pub use config::{Capture, Config};
pub use error::Error;
pub use filter::Filter;
pub use log::{AuditLog, Disabled, Stats, open};
pub use reader::Reader;
pub use row::{Json, Row};
