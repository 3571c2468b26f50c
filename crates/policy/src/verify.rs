//! The check of the decision cache in service: one hit in so many is decided again, by the golden engine on the whole
//! input. A difference means that a read set forgot a path or that the engines disagree. It counts, is logged as an
//! error, and ends the use of the cache and of the read sets for as long as the engine serves.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::PolicyInput;
use rego::ReadSet;
use regorus::Engine;

use crate::input::Projection;
use crate::runner::{TIME_LIMIT, golden};
use crate::set::PolicySet;
use crate::verdict::Conclusion;

/// How often reused decisions of an engine were made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheChecks {
    /// How often.
    pub made: u64,
    /// How often that came to something else. From the first time on, nothing is reused.
    pub failed: u64,
}

/// The checks of all threads of one engine.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    made: AtomicU64,
    failed: AtomicU64,
}

impl Checks {
    pub(crate) fn so_far(&self) -> CacheChecks {
        CacheChecks {
            made: self.made.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn have_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed) > 0
    }

    /// Counts one check of what was `said`.
    pub(crate) fn count(
        &self,
        input: &PolicyInput<'_>,
        said: &Conclusion,
        objection: Option<&Conclusion>,
    ) {
        self.made.fetch_add(1, Ordering::Relaxed);
        if let Some(golden) = objection {
            self.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                method = input.method,
                stage = input.stage.as_str(),
                cached = said.verdict.as_str(),
                golden = golden.verdict.as_str(),
                "a reused decision is not that of the interpreter; nothing is reused until the policies are loaded again"
            );
        }
    }
}

/// Checks the hits of one thread.
pub(crate) struct Verifier {
    /// Hits from one check to the next; never when 0.
    every: u32,
    hits: u32,
    /// Made for the first check.
    golden: Option<Engine>,
    whole: Projection,
}

impl Verifier {
    /// A set with rules of chance decides otherwise each time: it is never checked.
    pub(crate) fn new(set: &PolicySet) -> Self {
        Self {
            every: if set.split.is_impure() { 0 } else { set.cache.verify_every },
            hits: 0,
            golden: None,
            whole: Projection::new(&ReadSet::everything()),
        }
    }

    /// Counts a hit; whether it is one to check.
    pub(crate) fn is_due(&mut self) -> bool {
        self.hits = self.hits.saturating_add(1);
        let due = self.hits == self.every;
        if due {
            self.hits = 0;
        }
        due
    }

    /// What the golden engine concludes, when it differs from what was about to be said. Running out of time is no
    /// difference.
    pub(crate) fn objection(
        &mut self,
        set: &PolicySet,
        input: &PolicyInput<'_>,
        said: &Conclusion,
    ) -> Option<Conclusion> {
        let conclusion = match self.decide(set, input) {
            Ok(conclusion) => conclusion,
            Err(error) if error.contains(TIME_LIMIT) => return None,
            Err(error) => Conclusion::failed(error),
        };
        (!conclusion.says_the_same(said)).then_some(conclusion)
    }

    fn decide(&mut self, set: &PolicySet, input: &PolicyInput<'_>) -> Result<Conclusion, String> {
        let engine = match &mut self.golden {
            Some(engine) => engine,
            none => none.insert(set.golden()?),
        };
        let parts = golden(engine, set.rulebook.declared, self.whole.value(input)?)?;
        Ok(set.rulebook.conclude(input.stage, &parts))
    }
}

#[cfg(test)]
mod tests;
