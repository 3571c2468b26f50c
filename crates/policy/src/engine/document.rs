//! Decisions on documents: what replay and learning ask of an engine. The same evaluators and projections as for
//! messages, without the cache.

use domain::{Decision, Stage};
use serde_json::Value;

use super::{PolicyEngine, Worker};
use crate::runner::Part;
use crate::verdict::{Conclusion, Parts};

/// Decides the document `input` at `stage`, as it is.
#[must_use]
pub fn decide_document(engine: &PolicyEngine, stage: Stage, input: &Value) -> Decision {
    let started = engine.clock.monotonic();
    let (conclusion, cached) = engine.conclude(|worker| {
        let decided = worker.decide_document(engine, stage, input);
        (decided.unwrap_or_else(Conclusion::failed), false)
    });
    let elapsed = engine.clock.monotonic().saturating_duration_since(started);
    conclusion.into_decision(engine.revision(), cached, elapsed)
}

impl Worker {
    fn decide_document(
        &mut self,
        engine: &PolicyEngine,
        stage: Stage,
        input: &Value,
    ) -> Result<Conclusion, String> {
        let split = &engine.set.split;
        let mut parts = Parts::default();
        for (part, group, projection) in [
            (Part::Stable, &split.stable, &self.stable),
            (Part::Volatile, &split.volatile, &self.volatile),
        ] {
            if !group.is_empty() {
                let runner = self.runner.as_mut().map_err(|error| error.clone())?;
                parts.extend(runner.run(part, projection.document(input))?);
            }
        }
        Ok(engine.set.rulebook.conclude(stage, &parts))
    }
}

#[cfg(test)]
mod tests;
