//! One evaluation of one input document: what `policy eval` prints.

use domain::{Clock, Decision, Span, Stage, SystemClock};
use regorus::Value;

use crate::runner::{Part, golden};
use crate::set::{Engine, PolicySet};
use crate::verdict::{Conclusion, Parts};
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

/// The first evaluation of an interpreter prepares it, which in service has happened before the first message.
const PATIENCE: Span = Span::secs(1);

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
    let stage = stage_of(&document);
    let mut config = config.clone();
    config.evaluation.timeout = config.evaluation.timeout.max(PATIENCE);
    let set = PolicySet::load(sources, &config)?;
    let clock = SystemClock;
    let started = clock.monotonic();
    let expected = by_golden(&set, stage, document.clone());
    let elapsed = clock.monotonic().saturating_duration_since(started);
    let (conclusion, agrees) = match by_serving(&set, document) {
        Ok(parts) => {
            let served = set.rulebook.conclude(stage, &parts);
            let agrees = served.says_the_same(&expected);
            // The serving evaluator also knows where the rules stand.
            (if agrees { served } else { expected }, agrees)
        }
        Err(_) => {
            let failed = expected.error.is_some();
            (expected, failed)
        }
    };
    Ok(EvalOutcome {
        decision: conclusion.into_decision(set.revision(), false, elapsed),
        engine: set.engine().clone(),
        agrees,
    })
}

/// The stage that a document names; `request` when it names none.
fn stage_of(document: &Value) -> Stage {
    let name = document.as_object().ok().and_then(|members| members.get(&Value::from("stage")));
    let named = |stage: &Stage| name.is_some_and(|name| *name == Value::from(stage.as_str()));
    Stage::ALL.into_iter().find(named).unwrap_or(Stage::Request)
}

fn by_golden(set: &PolicySet, stage: Stage, document: Value) -> Conclusion {
    let parts =
        set.golden().and_then(|mut engine| golden(&mut engine, set.rulebook.declared, document));
    match parts {
        Ok(parts) => set.rulebook.conclude(stage, &parts),
        Err(error) => Conclusion::failed(error),
    }
}

fn by_serving(set: &PolicySet, document: Value) -> Result<Parts, String> {
    let mut runner = set.runner()?;
    let mut parts = Parts::default();
    for (part, group) in [(Part::Stable, &set.split.stable), (Part::Volatile, &set.split.volatile)]
    {
        if !group.is_empty() {
            parts.extend(runner.run(part, document.clone())?);
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
