//! Keeps the policy in force up to date with the files and the control folder.
//!
//! One thread owns it; nothing here is called while a message waits. A change is loaded and checked completely beside the
//! set that decides, compared with it, recorded, and only then takes its place in one step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use approval::{ApprovalStore, Filter, Question, State};
use bundle::Bundle;
use domain::{Clock, Outcome};
use jiff::Timestamp;
use observability::{Metrics, Reload};
use policy::{LivePolicy, PolicyEngine, Sources};

use crate::control::ControlFolder;
use crate::journal::{Act, Journal};
use crate::reload::bundles::{self, Delivery, News};
use crate::reload::status::{Held, Last, Origin, Standing};
use crate::reload::watch::Watch;
use crate::reload::weaker::{self, Comparison, Rehearse};

/// How often files are read that change while they are read.
const TRIES: usize = 5;
/// Methods of the rows.
const RELOAD: &str = "gateway/policy_reload";
const LOCKDOWN: &str = "gateway/lockdown";
const APPROVAL: &str = "gateway/approval";

/// Why the files are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// They changed.
    Files,
    /// A new bundle came.
    Bundle,
    /// The process got SIGHUP.
    Signal,
    /// Somebody asked over HTTP.
    Operator,
    /// A person approved what was held.
    Approval,
}

impl Cause {
    /// The name in the log and over HTTP.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Bundle => "bundle",
            Self::Signal => "signal",
            Self::Operator => "operator",
            Self::Approval => "approval",
        }
    }
}

/// What the keeper works with.
pub(crate) struct Keeper {
    /// The section `policy`, with the folder that was found at the start: one that goes away must not bring the shipped
    /// policies.
    pub(crate) config: policy::Config,
    pub(crate) live: Arc<LivePolicy>,
    pub(crate) watch: Watch,
    /// Where new bundles are left.
    pub(crate) delivery: Arc<Delivery>,
    /// The newest bundle that was fetched and makes a set; without one, what is on disk counts.
    pub(crate) bundle: Option<Arc<Bundle>>,
    pub(crate) folder: ControlFolder,
    pub(crate) rehearse: Rehearse,
    pub(crate) journal: Journal,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The questions to people, of which the answers are recorded.
    pub(crate) approvals: Option<Arc<ApprovalStore>>,
    /// When the last answer came that is recorded.
    pub(crate) answered: SystemTime,
    /// How many threads decide.
    pub(crate) threads: usize,
    /// A weaker set that waits for a person.
    pub(crate) held: Option<Candidate>,
    /// Whether the last failure could not be recorded.
    pub(crate) unrecorded: bool,
}

/// A set that is complete and does not decide yet.
pub(crate) struct Candidate {
    engine: Arc<PolicyEngine>,
    origin: Origin,
    comparison: Comparison,
}

impl Candidate {
    fn revision(&self) -> &Arc<str> {
        &self.engine.revision().0
    }
}

impl Keeper {
    /// Looks for a lockdown, an approval, and changed files.
    pub(crate) fn look(&mut self) {
        self.follow_lockdown();
        self.follow_approvals();
        let watching = self.config.enabled && self.config.watch_for_changes;
        if watching && self.watch.has_news(self.clock.monotonic()) {
            // What becomes of it is told there.
            drop(self.reload(Cause::Files));
        }
        if let Some(news) = self.delivery.take() {
            self.follow_bundle(news);
        }
        let folder = &self.folder;
        let approved = |held: &mut Candidate| folder.approves(held.revision());
        if let Some(candidate) = self.held.take_if(approved) {
            let started = self.clock.monotonic();
            let outcome = self.serve(candidate, started);
            drop(self.conclude(Cause::Approval, outcome, started));
        }
    }

    /// Loads the files and serves them, unless they are what decides already, make no set, or are weaker and to be held.
    pub(crate) fn reload(&mut self, cause: Cause) -> Result<Reload, String> {
        let started = self.clock.monotonic();
        // Whatever an engine makes of a file that somebody has yet to finish, the thread goes on.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.try_reload(started)));
        let outcome = outcome.unwrap_or_else(|_| Err("the policy engine panicked".to_owned()));
        self.conclude(cause, outcome, started)
    }

    fn try_reload(&mut self, started: Instant) -> Result<Reload, String> {
        if !self.config.enabled {
            let why = "policy is off; set `policy.enabled: true` and start the gateway again";
            return Err(why.to_owned());
        }
        let sources = self.read()?;
        let engine =
            PolicyEngine::new(&sources, &self.config).map_err(|error| error.to_string())?;
        let (engine, before) = (Arc::new(engine), self.live.current_engine());
        let origin = Origin::of(&sources);
        if engine.revision() == before.revision() {
            self.standing.set_origin(origin);
            return Ok(Reload::Unchanged);
        }
        let comparison = weaker::compare(&before, &engine, &self.rehearse);
        let candidate = Candidate { engine, origin, comparison };
        let hold = self.config.reload.hold_weaker && !candidate.comparison.weaker.is_empty();
        if hold && !self.folder.approves(candidate.revision()) {
            return self.hold(candidate, started);
        }
        self.serve(candidate, started)
    }

    /// Reads the files as they were at one moment: a set of which one half is older than the other is never made.
    fn read(&mut self) -> Result<Sources, String> {
        for _ in 0..TRIES {
            self.watch.note();
            let sources = match &self.bundle {
                Some(bundle) => self.config.sources_of(bundle),
                None => self.config.sources(),
            };
            if self.watch.is_as_noted() {
                return sources.map_err(|error| error.to_string());
            }
        }
        Err("the policy files change while they are read; publish a set at once, for example by a rename".to_owned())
    }

    /// Loads a bundle that was fetched. One that makes no set is forgotten, once that is recorded.
    fn follow_bundle(&mut self, news: News) {
        let before = self.bundle.clone();
        let outcome = match &news {
            Ok(bundle) => {
                self.bundle = Some(Arc::clone(bundle));
                self.reload(Cause::Bundle)
            }
            Err(refused) => {
                let started = self.clock.monotonic();
                self.conclude(Cause::Bundle, Err(refused.clone()), started)
            }
        };
        if outcome.is_err() {
            self.bundle = before;
            if self.unrecorded {
                self.delivery.put_back(news);
            }
        }
    }

    /// Puts the candidate in the place of the set that decides, once that is recorded: every row that names the new
    /// revision stands behind the row of its reload.
    fn serve(&mut self, candidate: Candidate, started: Instant) -> Result<Reload, String> {
        let revision = Arc::clone(candidate.revision());
        self.report("the new policy is weaker", &candidate);
        candidate.engine.prepare(self.threads);
        self.journal.record(Act {
            reasons: candidate.comparison.weaker,
            revision: Some(Arc::clone(&revision)),
            elapsed: self.since(started),
            ..Act::new(RELOAD, Outcome::Allow)
        })?;
        let origin = candidate.origin.name.clone();
        self.standing.swap(candidate.engine, candidate.origin);
        self.metrics.acts().set_serving(&revision, &self.journal.config);
        tracing::info!(%revision, config = %self.journal.config, origin, "the policy was reloaded");
        if let Some(bundle) = &self.bundle {
            bundles::keep(&self.config.bundle, bundle);
        }
        Ok(Reload::Served)
    }

    /// Keeps the candidate until a person approves it or the files are loaded again.
    fn hold(&mut self, candidate: Candidate, started: Instant) -> Result<Reload, String> {
        let revision = Arc::clone(candidate.revision());
        self.report("the new policy is weaker and held", &candidate);
        tracing::warn!("to serve it: `mcp-proxy policy approve {revision}`");
        let Comparison { weaker, basis } = candidate.comparison.clone();
        self.journal.record(Act {
            reasons: weaker.clone(),
            revision: Some(Arc::clone(&revision)),
            elapsed: self.since(started),
            ..Act::new(RELOAD, Outcome::Deny)
        })?;
        self.standing.set_held(Some(Held { revision, weaker, basis }));
        self.metrics.acts().set_held(true);
        self.held = Some(candidate);
        Ok(Reload::Held)
    }

    fn report(&self, what: &str, candidate: &Candidate) {
        let (revision, basis) = (candidate.revision(), &candidate.comparison.basis);
        for reason in &candidate.comparison.weaker {
            tracing::warn!(%revision, %basis, "{what}: {reason}");
        }
    }

    /// Counts and tells what became of a reload; a failure is recorded, too.
    fn conclude(
        &mut self,
        cause: Cause,
        outcome: Result<Reload, String>,
        started: Instant,
    ) -> Result<Reload, String> {
        if let Err(error) = &outcome {
            let cause = cause.as_str();
            tracing::error!(cause, "the policy was not reloaded, the one before decides: {error}");
            let recorded = self.journal.record(Act {
                error: Some(error.clone()),
                revision: self.standing.revision(),
                elapsed: self.since(started),
                ..Act::new(RELOAD, Outcome::Error)
            });
            self.unrecorded = recorded.is_err();
            if self.unrecorded {
                // Tried again, so that the log shows in the end what happened.
                self.watch.forget();
            }
        }
        if outcome != Ok(Reload::Held) {
            self.held = None;
            self.standing.set_held(None);
            self.metrics.acts().set_held(false);
        }
        self.metrics.acts().reloaded(*outcome.as_ref().unwrap_or(&Reload::Failed));
        self.standing.set_last(Last { at: self.clock.wall(), cause, outcome: outcome.clone() });
        outcome
    }

    /// Locks down or ends the lockdown, as the control folder says; stays as it is when that cannot be told.
    fn follow_lockdown(&mut self) {
        let before = self.live.is_locked_down();
        let now = match self.folder.is_locked_down() {
            Ok(now) => now,
            Err(error) => {
                tracing::debug!(%error, "the control folder cannot be read");
                return;
            }
        };
        if now == before {
            return;
        }
        // First the lockdown, then its row: it must not wait for a log that is full.
        self.live.lock_down(now);
        self.metrics.acts().set_locked_down(now);
        let text = if now { "everything but ping is denied" } else { "policy decides again" };
        tracing::warn!(lockdown = now, "{text}");
        let act = Act {
            reasons: vec![text.to_owned()],
            revision: self.standing.revision(),
            ..Act::new(LOCKDOWN, Outcome::Allow)
        };
        if let Err(error) = self.journal.record(act) {
            tracing::error!(lockdown = now, "{error}");
        }
    }

    /// Records what people have answered since the last look.
    fn follow_approvals(&mut self) {
        let Some(store) = &self.approvals else { return };
        let filter = Filter { decided_after: Some(self.answered), ..Filter::default() };
        let mut answered = match store.list(&filter) {
            Ok(answered) => answered,
            Err(error) => {
                tracing::debug!(%error, "answers to questions for approval cannot be read");
                return;
            }
        };
        answered.sort_by(|one, other| one.decided_at.cmp(&other.decided_at));
        for question in &answered {
            let at = question.decided_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
            let Some(at) = at else { continue };
            let act = Act { reasons: vec![told(question)], ..Act::new(APPROVAL, Outcome::Allow) };
            if let Err(error) = self.journal.record(act) {
                tracing::error!(approval = question.id, "{error}");
                // Tried again at the next look.
                return;
            }
            self.answered = self.answered.max(at.into());
        }
    }

    fn since(&self, started: Instant) -> Duration {
        self.clock.monotonic().saturating_duration_since(started)
    }
}

/// An answer in a sentence.
fn told(question: &Question) -> String {
    let Question { id, state, agent, method, .. } = question;
    let what = question.tool.as_ref().or(question.target.as_ref());
    let what = what.map(|what| format!(" `{what}`")).unwrap_or_default();
    let by = question.decided_by.as_deref().unwrap_or("somebody");
    let note = question.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    // A grant may be used up by the time it is seen; what was answered stays what it was.
    let answer = match (state, question.scope) {
        (State::Denied, _) | (_, None) => state.as_str().to_owned(),
        (_, Some(scope)) => {
            let uses = match question.uses_limit {
                Some(uses) => format!(" × {uses}"),
                None => String::new(),
            };
            format!("granted (scope {}{uses})", scope.as_str())
        }
    };
    format!("{by} answered `{id}`, {method}{what} of agent `{agent}`: {answer}{note}")
}

#[cfg(test)]
mod tests;
