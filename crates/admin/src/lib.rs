//! Probes and metrics over HTTP, each on its own port.
//!
//! [`plan`] turns the two sections of the configuration into the ports to listen on; probes and metrics that name the
//! same address and port share it. An [`Endpoint`] then binds, makes its router, and [`serve`] serves it until told
//! otherwise. Probes go on answering while the gateway drains: readiness says 503, which a refused connection does not.
//!
//! Invariant: whatever a peer does, a connection and the waiting for its headers end.
//!
//! What this crate deliberately does not do: authentication. The ports are for loopback or a cluster's own network.

mod config;
mod endpoint;
mod error;
mod serve;

pub use config::{HealthConfig, MetricsConfig};
pub use endpoint::{Endpoint, plan, validate};
pub use error::Error;
pub use serve::serve;
