//! One evaluation of one input document: what `policy eval` prints.

use domain::{Clock, Decision, SystemClock};
use regorus::Value;

use crate::runner::{Part, golden};
use crate::set::{Engine, PolicySet};
use crate::verdict::{Conclusion, Parts, conclude};
use crate::{Config, Error, Sources};

/// A decision on a given document, and who made it.
#[derive(Clone, Debug)]
pub struct EvalOutcome {
    /// The decision of the interpreter.
    pub decision: Decision,
    /// The evaluator that serves such a set.
    pub engine: Engine,
    /// Whether the serving evaluator decides the same. Sets served by the interpreter agree with themselves, unless
    /// splitting them for the cache changed them.
    pub agrees: bool,
}

/// Evaluates the document `input`, as it is, with the interpreter and with the serving evaluator.
///
/// # Errors
///
/// [`Error::Input`] when it is not JSON; as [`PolicySet::load`] otherwise. An evaluation that fails is a decision.
pub fn eval(sources: &Sources, config: &Config, input: &str) -> Result<EvalOutcome, Error> {
    let document: Value =
        serde_json::from_str(input).map_err(|error| Error::Input(error.to_string()))?;
    if !matches!(document, Value::Object(_)) {
        return Err(Error::Input("it is no object".to_owned()));
    }
    let set = PolicySet::load(sources, config)?;
    let clock = SystemClock;
    let started = clock.monotonic();
    let expected = by_golden(&set, document.clone());
    let elapsed = clock.monotonic().saturating_duration_since(started);
    let agrees = match by_serving(&set, document) {
        Ok(parts) => conclude(set.declared, &parts) == expected,
        Err(_) => expected.error.is_some(),
    };
    Ok(EvalOutcome {
        decision: expected.into_decision(set.revision(), false, elapsed),
        engine: set.engine().clone(),
        agrees,
    })
}

fn by_golden(set: &PolicySet, document: Value) -> Conclusion {
    let parts = set.golden().and_then(|mut engine| golden(&mut engine, set.declared, document));
    match parts {
        Ok(parts) => conclude(set.declared, &parts),
        Err(error) => Conclusion::failed(error),
    }
}

fn by_serving(set: &PolicySet, document: Value) -> Result<Parts, String> {
    let mut runner = set.runner()?;
    let mut parts = Parts::default();
    for (part, group) in [(Part::Stable, &set.split.stable), (Part::Live, &set.split.live)] {
        if !group.is_empty() {
            parts.extend(runner.run(part, document.clone())?);
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
