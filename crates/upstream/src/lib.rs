//! Clients of MCP servers: Streamable HTTP, HTTP+SSE, WebSocket and a stdio child.
//!
//! [`UpstreamServer`] is one configured server; each client session gets a connection of its own
//! from it. Messages of a session (up to 2025-11-25) go over a session of their own at the server;
//! stateless ones (2026-07-28) need none, and share a pair of pipes where the server is spoken to
//! over pipes. Invariants:
//!
//! - **The server sees our names only**: ids, progress tokens and subscription ids are ours, unique
//!   on the connection; an answer or update counts only under one that is in flight, and reaches
//!   nobody but the client that asked, under the name that it gave.
//! - **Nothing is sent twice** that the server may have taken. Connecting and starting are tried
//!   again, and so is a message that a server refused because it has forgotten the session, once it
//!   has heard the client's opening words again.
//! - **Every wait has a deadline and every message a bound**; a request that is given up is
//!   cancelled at the server.
//! - **A child is never left behind**: it ends with its session, and the crate `child` sees to it that
//!   nothing of it stays.
//!
//! What this crate deliberately does not do: decide, record, or look into results.

mod config;
mod duplex;
mod error;
mod failure;
mod greeting;
mod health;
mod http;
mod ledger;
mod parcel;
mod protocol_errors;
mod questions;
mod route;
mod server;
mod session;
mod sse;
mod stdio;
mod target;
mod tools;
mod websocket;

pub use config::{Backoff, Config, ConnectionPool, Retry, TransportKind};
pub use error::Error;
pub use server::UpstreamServer;
