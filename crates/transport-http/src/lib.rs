//! The listener, and Streamable HTTP (MCP 2025-03-26, 2025-06-18 and 2025-11-25).
//!
//! Bytes in, bytes out: what a message means and what becomes of it is the router's. A request passes `listener`
//! (a place among the connections), `socket` (deadlines), `gate` (Host and Origin), `app` (path, body within its
//! limit) and `streamable` (the rules of the transport). Invariants:
//!
//! - **Every wait of the client's making has a deadline**: silence, headers, body, a stalled write, an idle connection.
//! - **No more than the limit is ever buffered** of a body, whatever its headers say.
//! - **What is refused is recorded**, down to requests that are not HTTP.
//! - **Nothing waits for more**: an event leaves when it is there.
//!
//! What this crate deliberately does not do: TLS, HTTP/2, CORS, and replaying a stream that broke off.

mod app;
mod config;
mod connection;
mod content;
mod error;
mod gate;
mod host;
mod listener;
mod media;
mod progress;
mod refusal;
mod socket;
mod streamable;

pub use app::{App, app};
pub use config::{Config, Limits, Listen, Security, Served};
pub use error::Error;
pub use listener::Listener;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
