//! The `metrics`, `health` and `admin` sections of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Metrics for Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether the metrics are served.
    pub enabled: bool,
    /// IP address or host name to listen on. The port has no access control: keep it on loopback or inside the cluster.
    pub address: String,
    /// TCP port; 0 takes a free one. It may be that of `health`.
    pub port: u16,
    /// Path of the metrics.
    pub path: String,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { enabled: false, address: "127.0.0.1".into(), port: 9090, path: "/metrics".into() }
    }
}

/// Probes for whoever runs the gateway (Kubernetes, a load balancer).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// Whether the probes are served.
    pub enabled: bool,
    /// IP address or host name to listen on; `0.0.0.0` where the prober is on another machine.
    pub address: String,
    /// TCP port; 0 takes a free one. It may be that of `metrics`.
    pub port: u16,
    /// Path of the liveness probe: status 200 while the process serves.
    pub liveness_path: String,
    /// Path of the readiness probe: status 200 while the gateway takes traffic, 503 while it starts, drains, or misses a
    /// part that it needs.
    pub readiness_path: String,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            address: "127.0.0.1".into(),
            port: 8080,
            liveness_path: "/health".into(),
            readiness_path: "/ready".into(),
        }
    }
}

/// What operators ask a running gateway over HTTP: which policy decides (`GET /api/v1/policy`), and to load its files
/// again (`POST /api/v1/policy/reload`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// IP address to listen on, of this machine only: there is no login. Requests that a browser sends for a web page are
    /// refused.
    pub address: String,
    /// TCP port; 0 takes a free one. It may be that of `metrics` or `health`.
    pub port: u16,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { enabled: false, address: "127.0.0.1".into(), port: 8081 }
    }
}
