//! The port `Policy`: from a message to a decision.
//!
//! Every thread has its own evaluator, input builder and cache, made by [`PolicyEngine::warm`] or on its first
//! decision. A panic inside an evaluation is a denial, and costs the thread its evaluator.

mod document;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use domain::{Clock, Decision, Policy, PolicyInput, Revision, Stage, SystemClock, Verdict, lock};

use rego::ReadSet;

pub use self::document::decide_document;
use crate::bulk::{bound, bulk, weigh};
use crate::cache::Cache;
use crate::input::{Key, Projection};
use crate::runner::{Part, Runner, TIME_LIMIT};
use crate::set::PolicySet;
use crate::verdict::{Conclusion, Parts};
use crate::verify::{CacheChecks, Checks, Verifier};
use crate::{Config, Error, Sources};

/// Decides with a set of policies.
pub struct PolicyEngine {
    id: u64,
    /// Dropped with the engine, so that threads can forget their workers.
    alive: Arc<()>,
    set: PolicySet,
    checks: Checks,
    /// Evaluations that took too long.
    timeouts: AtomicU64,
    /// Evaluators that were made ahead.
    spare: Mutex<Vec<Runner>>,
    clock: Arc<dyn Clock>,
}

impl PolicyEngine {
    /// Loads `sources` and decides with them, by the clock of the system.
    ///
    /// # Errors
    ///
    /// As [`PolicySet::load`].
    pub fn new(sources: &Sources, config: &Config) -> Result<Self, Error> {
        Ok(Self::with_clock(PolicySet::load(sources, config)?, Arc::new(SystemClock)))
    }

    /// Decides with `set`, by `clock`.
    #[must_use]
    pub fn with_clock(set: PolicySet, clock: Arc<dyn Clock>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            alive: Arc::new(()),
            set,
            checks: Checks::default(),
            timeouts: AtomicU64::new(0),
            spare: Mutex::default(),
            clock,
        }
    }

    /// The name of the set that decides.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        self.set.revision()
    }

    /// Makes the evaluators of so many threads here and now, so that those need not when the engine comes into force.
    pub fn prepare(&self, threads: usize) {
        let made = (0..threads).map(|_| self.set.runner());
        let made: Vec<Runner> = made.filter_map(Result::ok).map(Runner::tried).collect();
        lock(&self.spare).extend(made);
    }

    /// How often reused decisions were made again, and how often that came to something else.
    #[must_use]
    pub fn cache_checks(&self) -> CacheChecks {
        self.checks.so_far()
    }

    /// How many evaluations were denials because they took longer than `policy.evaluation.timeout`.
    #[must_use]
    pub fn timeouts(&self) -> u64 {
        self.timeouts.load(Ordering::Relaxed)
    }

    /// The set itself.
    #[must_use]
    pub const fn set(&self) -> &PolicySet {
        &self.set
    }

    /// Makes this thread's evaluator, which the first decision of a thread would otherwise wait for.
    pub fn warm(&self) {
        WORKERS.with_borrow_mut(|workers| {
            self.worker(workers);
        });
    }

    /// Makes this thread's next evaluation panic.
    #[cfg(test)]
    pub(crate) fn sabotage(&self) {
        WORKERS.with_borrow_mut(|workers| {
            self.worker(workers).runner = Ok(Runner::panicking(&self.set.split));
        });
    }

    fn spare(&self) -> Option<Runner> {
        lock(&self.spare).pop()
    }

    fn conclude(
        &self,
        decide: impl FnOnce(&mut Worker) -> (Conclusion, bool),
    ) -> (Conclusion, bool) {
        WORKERS.with_borrow_mut(|workers| {
            let worker = self.worker(workers);
            match catch_unwind(AssertUnwindSafe(|| decide(worker))) {
                Ok(outcome) => outcome,
                Err(_) => {
                    workers.retain(|worker| worker.engine != self.id);
                    (Conclusion::failed("the evaluation panicked"), false)
                }
            }
        })
    }

    fn worker<'a>(&self, workers: &'a mut Vec<Worker>) -> &'a mut Worker {
        let place = workers.iter().position(|worker| worker.engine == self.id);
        let place = place.unwrap_or_else(|| {
            workers.retain(|worker| worker.alive.strong_count() > 0);
            workers.push(Worker::new(self));
            workers.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "`place` was just found or pushed")]
        &mut workers[place]
    }
}

impl Policy for PolicyEngine {
    fn decide(&self, input: &PolicyInput<'_>) -> Decision {
        let started = self.clock.monotonic();
        let (conclusion, cached) = self.conclude(|worker| worker.decide(self, input, started));
        conclusion.warn(self.revision());
        if conclusion.error.as_ref().is_some_and(|error| error.contains(TIME_LIMIT)) {
            self.timeouts.fetch_add(1, Ordering::Relaxed);
        }
        let elapsed = self.clock.monotonic().saturating_duration_since(started);
        conclusion.into_decision(self.revision(), cached, elapsed)
    }

    fn examines(&self, stage: Stage) -> bool {
        self.set.examines(stage)
    }

    fn reads_state(&self) -> bool {
        self.set.reads_state()
    }
}

thread_local! {
    static WORKERS: RefCell<Vec<Worker>> = const { RefCell::new(Vec::new()) };
}

/// What one thread needs to decide for one engine.
struct Worker {
    engine: u64,
    alive: Weak<()>,
    runner: Result<Runner, String>,
    max_input: usize,
    stable: Projection,
    volatile: Projection,
    cache: Option<Cache<Stable>>,
    key: Key,
    verifier: Verifier,
}

/// The outcome of the stable group.
#[derive(Clone)]
struct Stable {
    parts: Parts,
    /// The verdict, were the volatile group silent.
    conclusion: Conclusion,
}

impl Worker {
    fn new(engine: &PolicyEngine) -> Self {
        let set = &engine.set;
        let cache = (set.cache.enabled && !set.split.stable.is_empty())
            .then(|| Cache::new(set.cache.max_entries, set.cache.ttl.duration()));
        Self {
            engine: engine.id,
            alive: Arc::downgrade(&engine.alive),
            runner: engine.spare().map_or_else(|| set.runner(), Ok),
            max_input: set.limits.max_input,
            stable: Projection::new(set.split.stable.reads()),
            volatile: Projection::new(set.split.volatile.reads()),
            cache,
            key: Key::default(),
            verifier: Verifier::new(set),
        }
    }

    fn decide(
        &mut self,
        engine: &PolicyEngine,
        input: &PolicyInput<'_>,
        now: Instant,
    ) -> (Conclusion, bool) {
        if engine.checks.have_failed() {
            self.distrust();
        }
        let decided = self.try_decide(&engine.set, input, now);
        let (conclusion, cached) =
            decided.unwrap_or_else(|error| (Conclusion::failed(error), false));
        if cached && self.verifier.is_due() {
            let objection = self.verifier.objection(&engine.set, input, &conclusion);
            engine.checks.count(input, &conclusion, objection.as_ref());
            if let Some(golden) = objection {
                return (golden, false);
            }
        }
        (conclusion, cached)
    }

    /// Gives up the cache and the read sets, one of which was found wrong.
    fn distrust(&mut self) {
        if self.cache.take().is_some() {
            self.stable = Projection::new(&ReadSet::everything());
            self.volatile = Projection::new(&ReadSet::everything());
        }
    }

    fn try_decide(
        &mut self,
        set: &PolicySet,
        input: &PolicyInput<'_>,
        now: Instant,
    ) -> Result<(Conclusion, bool), String> {
        let volatile = if set.split.volatile.is_empty() {
            None
        } else {
            Some(self.run(Part::Volatile, input)?)
        };
        // The verdict of the stable group stands unless the volatile group says something, or holds a rule that can allow.
        let stands = volatile
            .as_ref()
            .is_none_or(|volatile| volatile.is_silent() && !set.split.volatile.holds_grant());
        if let Some(kept) = self.look_up(input, now)? {
            let conclusion = match volatile {
                Some(volatile) if !stands => joint(set, input.stage, kept.parts.clone(), volatile),
                _ => kept.conclusion.clone(),
            };
            return Ok((conclusion, true));
        }
        let parts = match set.split.stable.is_empty() {
            true => Parts::default(),
            false => self.run(Part::Stable, input)?,
        };
        let conclusion = set.rulebook.conclude(input.stage, &parts);
        if let (Some(cache), Some(key)) = (&mut self.cache, self.key.bytes())
            && conclusion.error.is_none()
        {
            cache.put(key, Stable { parts: parts.clone(), conclusion: conclusion.clone() }, now);
        }
        Ok((
            match volatile {
                Some(volatile) if !stands => joint(set, input.stage, parts, volatile),
                _ => conclusion,
            },
            false,
        ))
    }

    fn look_up(
        &mut self,
        input: &PolicyInput<'_>,
        now: Instant,
    ) -> Result<Option<&Stable>, String> {
        let Some(cache) = &mut self.cache else { return Ok(None) };
        self.stable.key(input, &mut self.key)?;
        Ok(self.key.bytes().and_then(|key| cache.get(key, now)))
    }

    fn run(&mut self, part: Part, input: &PolicyInput<'_>) -> Result<Parts, String> {
        let projection = match part {
            Part::Stable => &mut self.stable,
            Part::Volatile => &mut self.volatile,
        };
        let bulky = bulk(input) > self.max_input;
        if bulky {
            // Before anything is made of it, which takes longer than to refuse it.
            let mut key = Key::default();
            projection.key(input, &mut key)?;
            bound(key.whole(), self.max_input)?;
        }
        let value = projection.value(input)?;
        if bulky {
            weigh(&value, self.max_input)?;
        }
        match &mut self.runner {
            Ok(runner) => runner.run(part, value),
            Err(error) => Err(error.clone()),
        }
    }
}

fn joint(set: &PolicySet, stage: Stage, mut parts: Parts, volatile: Parts) -> Conclusion {
    parts.extend(volatile);
    set.rulebook.conclude(stage, &parts)
}

/// Policy that is switched off: allows everything, and says so in `matched_rule`.
#[derive(Clone, Debug)]
pub struct Disabled {
    decision: Decision,
}

impl Default for Disabled {
    fn default() -> Self {
        Self {
            decision: Decision {
                verdict: Verdict::Allow,
                reasons: Arc::from([]),
                matched_rule: Some("policy_disabled".into()),
                rules: None,
                obligations: Arc::from([]),
                error: None,
                revision: Revision("disabled".into()),
                cached: false,
                elapsed: Duration::ZERO,
            },
        }
    }
}

impl Policy for Disabled {
    fn decide(&self, _: &PolicyInput<'_>) -> Decision {
        self.decision.clone()
    }

    fn examines(&self, _: Stage) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
