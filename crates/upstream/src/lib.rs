//! Clients of MCP servers: Streamable HTTP, HTTP+SSE and a stdio child.
//!
//! [`UpstreamServer`] is one configured server; each client session gets a connection of its own
//! from it, so that nothing of one session (ids, progress, subscriptions, messages of the server)
//! can reach another. Invariants:
//!
//! - **The server sees our ids only**, and an answer counts only under an id that is in flight.
//! - **Nothing is sent twice** that may have reached the server; connecting and starting are what is
//!   tried again.
//! - **Every wait has a deadline and every message a bound**; a request that is given up is
//!   cancelled at the server.
//! - **A child is never left behind**: its process group is ended and it is reaped, also when the
//!   gateway just drops it.
//!
//! What this crate deliberately does not do: decide, record, or look into results.

mod config;
mod duplex;
mod error;
mod failure;
mod health;
mod http;
mod ledger;
mod route;
mod server;
mod session;
mod sse;
mod stdio;
mod target;
mod throttle;

pub use config::{Backoff, Config, ConnectionPool, Retry, TransportKind};
pub use error::Error;
pub use server::UpstreamServer;
