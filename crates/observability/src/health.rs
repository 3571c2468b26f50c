//! What the probes answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Clock, Health, Probe, Span};
use jiff::Timestamp;
use serde::Serialize;

use crate::VERSION;

/// Whether the gateway, or a part of it, can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It can.
    Healthy,
    /// It cannot.
    Unhealthy,
}

/// One part of the gateway in a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Whether it can do its work.
    pub status: Status,
    /// Why it cannot; of a part that can, what an operator wants to know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took to find out.
    pub latency: Span,
}

/// The body of a probe's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Healthy when every component is.
    pub status: Status,
    /// When it was asked, RFC 3339 in UTC.
    pub timestamp: String,
    /// Version of the gateway.
    pub version: &'static str,
    /// The parts that were asked, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<&'static str, Component>,
}

/// Knows whether the gateway is ready for traffic.
pub struct HealthRegistry {
    clock: Arc<dyn Clock>,
    probes: Vec<Arc<dyn Probe>>,
    ready: AtomicBool,
    draining: AtomicBool,
}

impl HealthRegistry {
    /// A gateway that is starting and depends on `probes`.
    pub fn new(clock: Arc<dyn Clock>, probes: Vec<Arc<dyn Probe>>) -> Self {
        Self { clock, probes, ready: AtomicBool::new(false), draining: AtomicBool::new(false) }
    }

    /// Start-up is over.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Shutdown has begun.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// What the liveness probe answers: the process serves, whatever its parts say.
    pub fn liveness(&self) -> Report {
        self.summarise(BTreeMap::new())
    }

    /// What the readiness probe answers: unhealthy before the start is over, while draining, and when a probe is
    /// down.
    pub fn report(&self) -> Report {
        let mut components = BTreeMap::from([("gateway", self.phase())]);
        for probe in &self.probes {
            let component = self.ask(probe.as_ref());
            // Should two probes share a name, the worse one is told.
            let entry = components.entry(probe.name()).or_insert_with(|| component.clone());
            if component.status == Status::Unhealthy {
                *entry = component;
            }
        }
        self.summarise(components)
    }

    fn phase(&self) -> Component {
        let health = if self.draining.load(Ordering::Acquire) {
            Health::Down("shutting down".to_owned())
        } else if self.ready.load(Ordering::Acquire) {
            Health::Up
        } else {
            Health::Down("starting".to_owned())
        };
        component(health, None, Span::default())
    }

    fn ask(&self, probe: &dyn Probe) -> Component {
        let asked = self.clock.monotonic();
        let health = probe.health();
        let latency = self.clock.monotonic().saturating_duration_since(asked);
        component(health, probe.note(), latency.into())
    }

    fn summarise(&self, components: BTreeMap<&'static str, Component>) -> Report {
        let down = components.values().any(|it| it.status == Status::Unhealthy);
        let now = Timestamp::try_from(self.clock.wall()).unwrap_or(Timestamp::UNIX_EPOCH);
        Report {
            status: if down { Status::Unhealthy } else { Status::Healthy },
            timestamp: format!("{now:.6}"),
            version: VERSION,
            components,
        }
    }
}

fn component(health: Health, note: Option<String>, latency: Span) -> Component {
    let (status, message) = match health {
        Health::Up => (Status::Healthy, note),
        Health::Down(why) => (Status::Unhealthy, Some(why)),
    };
    Component { status, message, latency }
}

#[cfg(test)]
mod tests;
