//! Probes, metrics and what operators ask over HTTP, each on its own port.
//!
//! [`plan`] turns the three sections of the configuration into the ports to listen on; those that name the
//! same address and port share it. An [`Endpoint`] then binds, makes its router, and [`serve`] serves it until told
//! otherwise. Probes go on answering while the gateway drains: readiness says 503, which a refused connection does not.
//!
//! Invariants: whatever a peer does, a connection and the waiting for its headers end. What changes something is served on
//! loopback only, and never to a web page: a request that a browser could have been tricked into is refused.
//!
//! What this crate deliberately does not do: authentication. The ports are for loopback or a cluster's own network.

mod config;
mod control;
mod endpoint;
mod error;
mod serve;

pub use config::{AdminConfig, HealthConfig, MetricsConfig};
pub use control::{PolicyControl, Reloaded};
pub use endpoint::{Endpoint, Pages, Sections, plan};
pub use error::Error;
pub use serve::serve;
