//! The listener, Streamable HTTP (MCP 2025-03-26 to 2026-07-28) and WebSocket.
//!
//! Bytes in, bytes out: what a message means and what becomes of it is the router's. A request passes `listener`
//! (a place among the connections), `socket` (deadlines), `gate` (Host and Origin), `app` (path, body within its
//! limit) and `streamable` (the rules of the transport, both eras) or `websocket`. Invariants:
//!
//! - **Every wait of the client's making has a deadline**: silence, headers, body, a stalled write, an idle connection.
//! - **No more than the limit is ever buffered** of a body, whatever its headers say.
//! - **What is refused is recorded**, down to requests that are not HTTP.
//! - **Nothing waits for more**: an event leaves when it is there, and the next one is not asked for before that.
//! - **Leaving means what the revision says**: until 2025-11-25 a request goes on without its client, which may come
//!   back for a stream (`lasting`, `resumption`); since 2026-07-28 it is cancelled.
//!
//! What this crate deliberately does not do: TLS, HTTP/2, CORS, and comparing headers with the body, which is the
//! router's.

mod app;
mod batch;
mod config;
mod connection;
mod content;
mod error;
mod events;
mod gate;
mod host;
mod lasting;
mod listener;
mod media;
mod mirrored;
mod progress;
mod refusal;
mod resumption;
mod socket;
mod streamable;
mod websocket;

pub use app::{App, app};
pub use config::{Config, Limits, Listen, Security, Served};
pub use error::Error;
pub use listener::Listener;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
