//! The session table: who is connected, for how long, and what they did.
//!
//! A [`Session`] is one client's visit: its secret token, its public name, its own connection to the server, its
//! counters and the queue of messages that the server sends on its own account. [`Sessions`] holds the open ones; a
//! token sealed with its [`Keys`] says how a session began, so that another replica can go on with it. [`Replay`] holds
//! the events that a client may have missed. Invariants:
//!
//! - **Exact counts.** A session takes its place before it is made and gives it back with its removal, of which
//!   there is exactly one: [`Sessions::len`] cannot drift and the limit cannot be exceeded. Requests are counted
//!   with one atomic addition.
//! - **Every queue has a bound.** Messages for the client, questions of the server that wait for the client's answer,
//!   events kept for replay, names of ended sessions.
//! - **A token is never guessed, and never lent.** It is random or sealed; sealed ones are bound to the principal.
//! - **No clock but the injected one.**
//! - **No lock that all sessions share.** The table is sharded, and what a message touches is the session's own.
//!
//! What this crate deliberately does not do: closing the upstream side (the router awaits that), metrics, deciding when
//! to [`sweep`](Sessions::sweep), and telling other replicas what ended here.

mod activity;
mod config;
mod ended;
mod error;
mod idlest;
mod key_file;
mod keys;
mod outbox;
mod questions;
mod replay;
mod seal;
mod session;
mod shards;
mod table;
mod tallies;
mod tally;

pub use config::Config;
pub use error::Error;
pub use key_file::KeyFile;
pub use keys::Keys;
pub use outbox::{Outbox, Pushed, Stream};
pub use questions::{Parked, Questions};
pub use replay::{EventId, Replay, Resumed, Track, TrackKind};
pub use seal::Sealed;
pub use session::{Client, InFlight, Opening, Session};
pub use table::Sessions;
pub use tally::Tally;

#[cfg(test)]
mod fixture;
