//! Metrics, health and tracing.
//!
//! - [`Metrics`] has a Prometheus registry of its own, with every child resolved when it is made, so
//!   that counting is a few atomic operations and a label can only take values that are known beforehand.
//! - [`HealthRegistry`] answers the probes from what the parts of the gateway say of themselves.
//! - [`init_tracing`] sends the log where the configuration says. One event is one line, whatever a client put into it.
//!
//! What this crate deliberately does not do: HTTP (that is `admin`), and knowing what the numbers are about. Values
//! that another part already counts are read when they are scraped ([`Reading`]).

mod acts;
mod config;
mod error;
mod escape;
mod health;
mod logging;
mod metrics;
mod reading;
mod rotate;

pub use acts::{Acts, ApprovalAnswer, Reload};
pub use config::{Format, Level, LogFile, LoggingConfig, Output};
pub use error::Error;
pub use health::{Component, HealthRegistry, Report, Status};
pub use logging::{Guard, init_tracing};
pub use metrics::Metrics;
pub use reading::Reading;

/// The version of the gateway.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
