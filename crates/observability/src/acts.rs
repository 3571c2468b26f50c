//! Metrics of what policy asks for besides its verdicts, and of what becomes of the policy itself.

use std::sync::Mutex;

use prometheus::{IntCounter, IntGauge, IntGaugeVec};

use crate::Error;
use crate::metrics::Maker;

/// What became of a change of the policy files: label `result` of `mcp_proxy_policy_reloads_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reload {
    /// The new set decides.
    Served,
    /// The files make the set that decides already.
    Unchanged,
    /// The new set is weaker, and waits for a person.
    Held,
    /// The files make no set; the old one decides.
    Failed,
}

impl Reload {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Served, Self::Unchanged, Self::Held, Self::Failed];

    /// The name in metrics, in the audit log and over HTTP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Served => "ok",
            Self::Unchanged => "unchanged",
            Self::Held => "held",
            Self::Failed => "error",
        }
    }
}

/// How a message that needs an approval fared: label `result` of `mcp_proxy_approvals_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalAnswer {
    /// A person had granted it.
    Granted,
    /// A person had denied it.
    Denied,
    /// Nobody has answered; the client was told to wait.
    Pending,
    /// The question could not be kept.
    Failed,
}

impl ApprovalAnswer {
    /// Every answer.
    pub const ALL: [Self; 4] = [Self::Granted, Self::Denied, Self::Pending, Self::Failed];

    /// The name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Pending => "pending",
            Self::Failed => "error",
        }
    }
}

/// The severities that have a series; a policy may write any text, which is counted as `other`.
const SEVERITIES: [&str; 6] = ["info", "low", "medium", "high", "critical", "other"];

/// The metrics. All methods are cheap and may be called from anywhere.
pub struct Acts {
    /// In the order of [`SEVERITIES`].
    alerts: [IntCounter; SEVERITIES.len()],
    rate_limited: IntCounter,
    /// By `ApprovalAnswer as usize`.
    approvals: [IntCounter; ApprovalAnswer::ALL.len()],
    /// By `Reload as usize`.
    reloads: [IntCounter; Reload::ALL.len()],
    held: IntGauge,
    lockdown: IntGauge,
    serving: IntGaugeVec,
    /// The labels of the one series of `serving`.
    served: Mutex<Option<[String; 2]>>,
}

impl Acts {
    pub(crate) fn new(make: &Maker) -> Result<Self, Error> {
        let alerts = make.counters("alerts_total", "Alerts that policy raised.", &["severity"])?;
        let help = "Messages that needed an approval, by what had become of it.";
        let approvals = make.counters("approvals_total", help, &["result"])?;
        let help = "Changes of the policy files, by what became of them.";
        let reloads = make.counters("policy_reloads_total", help, &["result"])?;
        Ok(Self {
            alerts: SEVERITIES.map(|it| alerts.with_label_values(&[it])),
            rate_limited: make
                .counter("rate_limited_total", "Messages over a rate limit of policy.")?,
            approvals: ApprovalAnswer::ALL.map(|it| approvals.with_label_values(&[it.as_str()])),
            reloads: Reload::ALL.map(|it| reloads.with_label_values(&[it.as_str()])),
            held: make
                .gauge("policy_held", "Whether a weaker policy waits for a person: 1 or 0.")?,
            lockdown: make.gauge("lockdown", "Whether everything but ping is denied: 1 or 0.")?,
            serving: make.gauges(
                "policy_info",
                "The policy that decides and the configuration in force.",
                &["revision", "config"],
            )?,
            served: Mutex::new(None),
        })
    }

    /// Policy raised an alert.
    pub fn alerted(&self, severity: &str) {
        let [known @ .., other] = &self.alerts;
        let place = SEVERITIES.iter().position(|it| *it == severity);
        place.and_then(|place| known.get(place)).unwrap_or(other).inc();
    }

    /// A message was over a rate limit.
    pub fn rate_limited(&self) {
        self.rate_limited.inc();
    }

    /// A message needed an approval.
    pub fn asked_for_approval(&self, answer: ApprovalAnswer) {
        if let Some(counter) = self.approvals.get(answer as usize) {
            counter.inc();
        }
    }

    /// The policy files were looked at because they changed, or because somebody asked.
    pub fn reloaded(&self, outcome: Reload) {
        if let Some(counter) = self.reloads.get(outcome as usize) {
            counter.inc();
        }
    }

    /// Whether a weaker policy waits for a person.
    pub fn set_held(&self, held: bool) {
        self.held.set(held.into());
    }

    /// Whether everything but ping is denied.
    pub fn set_locked_down(&self, locked_down: bool) {
        self.lockdown.set(locked_down.into());
    }

    /// Which policy decides, under which configuration. What was told before is told no more.
    pub fn set_serving(&self, revision: &str, config: &str) {
        let now = [revision.to_owned(), config.to_owned()];
        let mut served = match self.served.lock() {
            Ok(served) => served,
            Err(poisoned) => poisoned.into_inner(),
        };
        if let Some(before) = served.replace(now)
            && before != [revision, config]
        {
            let [revision, config] = &before;
            // An error means that there is no such series, which is what is wanted.
            drop(self.serving.remove_label_values(&[revision, config]));
        }
        self.serving.with_label_values(&[revision, config]).set(1);
    }
}

#[cfg(test)]
mod tests;
