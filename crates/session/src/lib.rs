//! The session table: who is connected, for how long, and what they did.
//!
//! A [`Session`] is one client's visit: its secret token, its public name, its own connection to the server, its
//! counters and the queue of messages that the server sends on its own account. [`Sessions`] holds the open ones.
//! Invariants:
//!
//! - **Exact counts.** A session takes its place before it is made and gives it back with its removal, of which
//!   there is exactly one: [`Sessions::len`] cannot drift and the limit cannot be exceeded. Requests are counted
//!   with one atomic addition.
//! - **Every queue has a bound.** Messages for the client and calls of the server that wait for the client's answer.
//! - **No clock but the injected one.**
//! - **No lock that all sessions share.** The table is sharded, and what a message touches is the session's own.
//!
//! What this crate deliberately does not do: closing the upstream side (the router awaits that), metrics, and
//! deciding when to [`sweep`](Sessions::sweep).

mod activity;
mod callbacks;
mod config;
mod outbox;
mod session;
mod table;

pub use callbacks::{Callbacks, Parked};
pub use config::Config;
pub use outbox::{Outbox, Pushed, Stream};
pub use session::{Client, InFlight, Opening, Session};
pub use table::Sessions;

#[cfg(test)]
mod fixture;
