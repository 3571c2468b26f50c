//! The port `Policy`: from a message to a decision.
//!
//! Every thread has its own evaluator, input builder and cache, made by [`PolicyEngine::warm`] or on its first
//! decision. A panic inside an evaluation is a denial, and costs the thread its evaluator.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use domain::{Clock, Decision, Policy, PolicyInput, Revision, Stage, SystemClock, Verdict};

use crate::cache::Cache;
use crate::input::InputBuilder;
use crate::runner::{Part, Runner};
use crate::set::PolicySet;
use crate::verdict::{Conclusion, Parts, conclude};
use crate::{Config, Error, Sources};

/// Decides with a set of policies.
pub struct PolicyEngine {
    id: u64,
    /// Dropped with the engine, so that threads can forget their workers.
    alive: Arc<()>,
    set: PolicySet,
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
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), alive: Arc::new(()), set, clock }
    }

    /// The set that decides.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        self.set.revision()
    }

    /// Makes this thread's evaluator, which the first decision of a thread would otherwise wait for.
    pub fn warm(&self) {
        WORKERS.with_borrow_mut(|workers| {
            self.worker(workers);
        });
    }

    fn conclude(&self, input: &PolicyInput<'_>, now: Instant) -> (Conclusion, bool) {
        WORKERS.with_borrow_mut(|workers| {
            let worker = self.worker(workers);
            match catch_unwind(AssertUnwindSafe(|| worker.decide(&self.set, input, now))) {
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
        let (conclusion, cached) = self.conclude(input, started);
        let elapsed = self.clock.monotonic().saturating_duration_since(started);
        conclusion.into_decision(self.revision(), cached, elapsed)
    }

    fn examines(&self, stage: Stage) -> bool {
        self.set.examines(stage)
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
    input: InputBuilder,
    cache: Option<Cache<Stable>>,
    key: Vec<u8>,
}

/// The outcome of the stable group.
#[derive(Clone)]
struct Stable {
    parts: Parts,
    /// The verdict, were the live group silent.
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
            runner: set.runner(),
            input: InputBuilder::new(),
            cache,
            key: Vec::with_capacity(512),
        }
    }

    fn decide(
        &mut self,
        set: &PolicySet,
        input: &PolicyInput<'_>,
        now: Instant,
    ) -> (Conclusion, bool) {
        self.try_decide(set, input, now).unwrap_or_else(|error| (Conclusion::failed(error), false))
    }

    fn try_decide(
        &mut self,
        set: &PolicySet,
        input: &PolicyInput<'_>,
        now: Instant,
    ) -> Result<(Conclusion, bool), String> {
        let live = if set.split.live.is_empty() {
            None
        } else {
            Some(self.run(set, Part::Live, input)?)
        };
        // The verdict of the stable group stands unless the live group says something, or holds a rule that can allow.
        let stands = live.as_ref().is_none_or(|live| live.is_silent() && !holds_grant(set));
        if let Some(kept) = self.look_up(set, input, now) {
            let conclusion = match live {
                Some(live) if !stands => joint(set, kept.parts.clone(), live),
                _ => kept.conclusion.clone(),
            };
            return Ok((conclusion, true));
        }
        let parts = match set.split.stable.is_empty() {
            true => Parts::default(),
            false => self.run(set, Part::Stable, input)?,
        };
        let conclusion = conclude(set.declared, &parts);
        if let Some(cache) = &mut self.cache
            && conclusion.error.is_none()
        {
            cache.put(
                &self.key,
                Stable { parts: parts.clone(), conclusion: conclusion.clone() },
                now,
            );
        }
        Ok((
            match live {
                Some(live) if !stands => joint(set, parts, live),
                _ => conclusion,
            },
            false,
        ))
    }

    fn look_up(
        &mut self,
        set: &PolicySet,
        input: &PolicyInput<'_>,
        now: Instant,
    ) -> Option<&Stable> {
        let cache = self.cache.as_mut()?;
        self.key.clear();
        self.input.key(set.split.stable.reads(), input, &mut self.key);
        cache.get(&self.key, now)
    }

    fn run(
        &mut self,
        set: &PolicySet,
        part: Part,
        input: &PolicyInput<'_>,
    ) -> Result<Parts, String> {
        let reads = match part {
            Part::Stable => set.split.stable.reads(),
            Part::Live => set.split.live.reads(),
        };
        let value = self.input.value(reads, input)?;
        match &mut self.runner {
            Ok(runner) => runner.run(part, value),
            Err(error) => Err(error.clone()),
        }
    }
}

/// Whether the live group holds a rule without which the stable group cannot conclude.
fn holds_grant(set: &PolicySet) -> bool {
    ["decision", "allow", "baseline"].iter().any(|key| set.split.live.has(key))
}

fn joint(set: &PolicySet, mut parts: Parts, live: Parts) -> Conclusion {
    parts.extend(live);
    conclude(set.declared, &parts)
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
                obligations: None,
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
