//! What is told of the policy: to probes, and to operators over HTTP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use domain::{Health, Probe};
use jiff::Timestamp;
use observability::{Metrics, Reload};
use policy::{LivePolicy, PolicyEngine, Sources};
use serde_json::{Value, json};

use crate::reload::keeper::Cause;

/// A set that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) revision: Arc<str>,
    /// What is weaker in it.
    pub(crate) weaker: Vec<String>,
    /// What the comparison rests on.
    pub(crate) basis: String,
}

/// The last time that the files were loaded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Last {
    pub(crate) at: SystemTime,
    pub(crate) cause: Cause,
    pub(crate) outcome: Result<Reload, String>,
}

impl Last {
    /// What became of it, a JSON object.
    fn json(&self) -> Value {
        let at = Timestamp::try_from(self.at).unwrap_or(Timestamp::UNIX_EPOCH);
        let result = self.outcome.as_ref().unwrap_or(&Reload::Failed).as_str();
        let mut shown = json!({
            "at": format!("{at:.6}"),
            "cause": self.cause.as_str(),
            "result": result,
        });
        if let (Err(error), Some(members)) = (&self.outcome, shown.as_object_mut()) {
            members.insert("error".to_owned(), Value::String(error.clone()));
        }
        shown
    }
}

/// Where a set comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The folder, the bundle with its revision, or whatever else it came in.
    pub(crate) name: String,
    /// The files, as messages name them.
    files: Vec<String>,
}

impl Origin {
    pub(crate) fn of(sources: &Sources) -> Self {
        let files = sources.policies().iter().map(|file| file.name.clone()).collect();
        Self { name: sources.origin().to_owned(), files }
    }
}

/// The policy in force and what is known of it.
pub(crate) struct Standing {
    live: Arc<LivePolicy>,
    /// Whether policy is switched on.
    enabled: bool,
    /// The digest of the configuration.
    config: Arc<str>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    origin: Origin,
    held: Option<Held>,
    last: Option<Last>,
    /// What the engines counted that decided before.
    past: Counts,
}

/// What an engine counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Evaluations that took too long.
    pub(crate) timeouts: u64,
    /// Decisions from the cache that were made again, and came to the same.
    pub(crate) confirmed: u64,
    /// And came to something else.
    pub(crate) refuted: u64,
}

impl Counts {
    /// These, and what `engine` has counted so far.
    fn with(self, engine: &PolicyEngine) -> Self {
        let checks = engine.cache_checks();
        Self {
            timeouts: self.timeouts + engine.timeouts(),
            confirmed: self.confirmed + checks.made.saturating_sub(checks.failed),
            refuted: self.refuted + checks.failed,
        }
    }
}

impl Standing {
    /// What is known at the start: `enabled` says whether policy is on, `config` names the configuration.
    pub(crate) fn new(
        live: Arc<LivePolicy>,
        enabled: bool,
        config: Arc<str>,
        origin: Origin,
    ) -> Self {
        Self { live, enabled, config, known: Mutex::new(Known { origin, ..Known::default() }) }
    }

    pub(crate) fn set_origin(&self, origin: Origin) {
        self.known().origin = origin;
    }

    pub(crate) fn set_held(&self, held: Option<Held>) {
        self.known().held = held;
    }

    pub(crate) fn set_last(&self, last: Last) {
        self.known().last = Some(last);
    }

    /// Decides with `engine` from the next message on. What the one before counted stays counted, but for what messages
    /// that are under way add to it.
    pub(crate) fn swap(&self, engine: Arc<PolicyEngine>, origin: Origin) {
        let mut known = self.known();
        known.origin = origin;
        known.past = known.past.with(&self.live.current_engine());
        self.live.swap(engine);
    }

    /// What all engines have counted since the start.
    pub(crate) fn counts(&self) -> Counts {
        let known = self.known();
        known.past.with(&self.live.current_engine())
    }

    /// The revision in force; `None` when policy is off.
    pub(crate) fn revision(&self) -> Option<Arc<str>> {
        self.enabled.then(|| Arc::clone(&self.live.current_engine().revision().0))
    }

    /// Tells what is in force at the start.
    pub(crate) fn announce(&self, metrics: &Metrics) {
        let revision = self.revision().unwrap_or_else(|| "off".into());
        tracing::info!(%revision, config = %self.config, "policy and configuration in force");
        metrics.acts().set_serving(&revision, &self.config);
    }

    /// What became of the last reload, a JSON object.
    pub(crate) fn last(&self) -> Value {
        self.known().last.as_ref().map(Last::json).unwrap_or_default()
    }

    /// Everything that is known, a JSON object.
    pub(crate) fn json(&self) -> Value {
        let engine = self.live.current_engine();
        let known = self.known();
        let held = known.held.as_ref().map(
            |held| json!({ "revision": held.revision, "weaker": held.weaker, "basis": held.basis }),
        );
        json!({
            "revision": self.revision(),
            "engine": engine.set().engine().to_string(),
            "config": self.config,
            "origin": known.origin.name,
            "files": known.origin.files,
            "lockdown": self.live.is_locked_down(),
            "held": held,
            "last_reload": known.last.as_ref().map(Last::json),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe for Standing {
    fn name(&self) -> &'static str {
        "policy"
    }

    /// There always is a policy, and denying everything is what a lockdown is for: the gateway does its work.
    fn health(&self) -> Health {
        Health::Up
    }

    fn note(&self) -> Option<String> {
        let mut note = match self.revision() {
            Some(revision) => format!("revision {revision}"),
            None => "off: every message passes".to_owned(),
        };
        note.push_str(&format!(", configuration {}", self.config));
        if self.live.is_locked_down() {
            note.push_str("; locked down: everything but ping is denied");
        }
        if let Some(held) = &self.known().held {
            note.push_str(&format!(
                "; revision {} is weaker and waits for approval",
                held.revision
            ));
        }
        Some(note)
    }
}
