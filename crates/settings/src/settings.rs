//! The composition of all sections.

use domain::Agent;
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::validate;
use crate::{Error, Place, Problem};

/// The configuration of the gateway. A key that is left out has its default, and the defaults are
/// the safe ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Version of this format.
    pub version: Version,
    /// Where and how clients are served.
    pub server: transport_http::Config,
    /// How long a client's session lives, and how many there may be.
    pub session: session::Config,
    /// The MCP server behind the gateway. Exactly one of `url` and `command` says where it is; with neither, the demo
    /// server that is part of the program takes its place.
    pub upstream: upstream::Config,
    /// Who the clients speak for, until they prove another identity. Policy sees it as `input.agent`.
    pub agent: Agent,
    /// Which messages may pass.
    pub policy: policy::Config,
    /// How people are asked about messages for which policy wants an approval (obligation `require_approval`).
    pub approval: approval::Config,
    /// The counters behind the obligation `rate_limit`.
    pub limits: limits::Config,
    /// What is kept of the messages.
    pub audit: audit::Config,
    /// Metrics for Prometheus.
    pub metrics: admin::MetricsConfig,
    /// Probes for whoever runs the gateway (Kubernetes, a load balancer).
    pub health: admin::HealthConfig,
    /// What operators ask a running gateway over HTTP: which policy decides (`GET /api/v1/policy`), and to load its files
    /// again (`POST /api/v1/policy/reload`).
    pub admin: admin::AdminConfig,
    /// The gateway's own log. What clients do is in the audit log; this one tells about the gateway.
    pub logging: observability::LoggingConfig,
}

/// Version of the format of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// The only one so far.
    #[default]
    #[serde(rename = "1.0")]
    V1_0,
}

impl Settings {
    /// The JSON Schema of the configuration file (draft 2020-12).
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema_for!(Self).into()
    }

    /// Checks values against each other and what a type cannot say. [`Settings::load`] does it; whoever changes settings
    /// afterwards does it again.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with everything that was found.
    pub fn validate(&self) -> Result<(), Error> {
        let texts = validate::problems(self);
        Error::unless_empty(
            texts.into_iter().map(|text| Problem { place: Place::Settings, text }).collect(),
        )
    }

    /// What opens ports beside that of the clients.
    #[must_use]
    pub const fn admin_sections(&self) -> admin::Sections<'_> {
        admin::Sections { metrics: &self.metrics, health: &self.health, admin: &self.admin }
    }

    /// Whether the settings name a server. [`validate`](Self::validate) does not insist: the demo server can take the
    /// place of one that is not named.
    #[must_use]
    pub fn names_upstream(&self) -> bool {
        self.upstream.url.is_some() || !self.upstream.command.is_empty()
    }
}
