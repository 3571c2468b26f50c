//! Between the eras of MCP: clients with sessions at stateless servers, and the other way round.
//!
//! Up to 2025-11-25 a client opens a session with `initialize`; from 2026-07-28 on every request says
//! what it needs. [`Bridge`] is an [`Upstream`](domain::Upstream) over another one, which speaks to
//! the server in whichever era it is given (the crate `upstream`). It finds out which eras the
//! server speaks and translates only where client and server have none in common. Invariants:
//!
//! - **No silent downgrade.** Who shares an era with the server speaks it, byte for byte.
//! - **Found out, not guessed.** What a server speaks is read from whether it answers as that era
//!   does, never from one error code, and it is asked again now and then, so that servers can be
//!   upgraded under a running gateway.
//! - **Nothing passes unpermitted.** What a message is translated into goes under a permit that was
//!   made from the message's own.
//! - **What is kept is bounded** (calls, questions, subscriptions, headers of tools), belongs to one
//!   connection of one client, and goes with it.
//!
//! Reading order: `link` (which way a message goes, and `link/moving` when that changes), `eras` (what the server speaks), `legacy_client`
//! (a client with a session at a stateless server), `modern_client` (the reverse). Both use `calls`,
//! `capabilities`, `envelope`, `level`, `notifications` and `tools`, which say what the eras call the
//! same thing.
//!
//! What this crate deliberately does not do: transports, sessions of the gateway, policy, and
//! emulating what one era has and the other has not (the two designs of tasks): that is refused with
//! `not_bridged`.

mod ask;
mod bridge;
mod calls;
mod capabilities;
mod envelope;
mod eras;
#[cfg(test)]
mod fixture;
mod legacy_client;
mod level;
mod link;
mod modern_client;
mod notifications;
mod tools;

pub use bridge::Bridge;
