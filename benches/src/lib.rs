//! The project's own performance tools: a load generator that checks every answer, a fake MCP
//! server, a bare pass-through as the floor, and the driver that compares the gateway with both.
//!
//! The figure that holds on a shared machine is CPU time a request, as a ratio within one round with
//! everything on one CPU; absolute times are printed and never judged. All traffic stays on loopback.
//! What is deliberately not here: open-loop (fixed-rate) load, whose CPU time spreads several-fold.

mod connection;
mod cpu;
mod error;
mod events;
pub mod fake_upstream;
pub mod idle;
mod listen;
pub mod listeners;
pub mod load;
mod memory;
pub mod passthrough;
pub mod process;
pub mod rounds;
mod session;
mod spread;

pub use cpu::pin;
pub use error::Error;
pub use listen::bind;
pub use memory::resident;
pub use session::Transport;
