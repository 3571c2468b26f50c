//! How the interpreter came to a decision: which definitions it went into, and how far.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use domain::Decision;
use rego::Checked;
use rego::definition::{Definition, Shape, Worth};
use rego::syntax::Module;
use regorus::Value;

use crate::set::PolicySet;
use crate::{Config, Error, Sources, eval, runner};

/// How one document was decided.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The decision.
    pub decision: Decision,
    /// What the policies printed, with file and line.
    pub printed: Vec<String>,
    /// The definitions of the rules of package `mcp.policy`, and of those that they refer to, in the order of files and
    /// lines.
    pub definitions: Vec<Traced>,
}

/// One definition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The rule, as `data.mcp.policy.deny`.
    pub rule: String,
    /// The file.
    pub file: String,
    /// Its first line.
    pub line: u32,
    /// As it is written.
    pub text: String,
    /// Whether it is one of those that the decision names.
    pub decided: bool,
    /// Whether its body held, as far as one can tell: coverage knows lines, so of a definition in one line it is known
    /// from the value of the rule, and of a function there is one answer for all calls.
    pub held: bool,
    /// Its conditions and values, in the order of the text.
    pub steps: Vec<TracedStep>,
}

/// A condition, or a value that a definition yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedStep {
    /// The line.
    pub line: u32,
    /// The line's text, trimmed.
    pub text: String,
    /// Whether the evaluation came here. Of the conditions of a body, what follows the last one that was reached was
    /// never asked: that one does not hold.
    pub reached: bool,
}

impl Traced {
    /// The condition that does not hold: the last one that was reached, unless the body held or nothing was.
    #[must_use]
    pub fn stopped_at(&self) -> Option<&TracedStep> {
        if self.held { None } else { self.steps.iter().rev().find(|step| step.reached) }
    }
}

/// Decides the document `input` and tells how.
///
/// # Errors
///
/// As [`eval()`].
pub fn trace(sources: &Sources, config: &Config, input: &str) -> Result<Trace, Error> {
    let decision = eval(sources, config, input)?.decision;
    let document: Value =
        serde_json::from_str(input).map_err(|error| Error::Input(error.to_string()))?;
    let Checked { modules, graph, .. } = rego::load(sources)?;
    let set = PolicySet::load(sources, config)?;
    let compile = |message| Error::Compile { origin: sources.origin().to_owned(), message };
    let mut engine = set.golden().map_err(compile)?;
    engine.set_enable_coverage(true);
    engine.set_gather_prints(true);
    engine.set_input(document);
    let mut printed = Vec::new();
    for role in set.rulebook.declared.roles() {
        // What fails is told by the decision; how far it came, by what was reached.
        engine.eval_rule(role.name().to_owned()).ok();
        printed.extend(
            engine.take_prints().map_err(|error| compile(runner::one_line(&error.to_string())))?,
        );
    }
    let reached = reached(&engine);
    let definitions = graph
        .definitions()
        .iter()
        .filter_map(|definition| {
            let module = modules.get(definition.module)?;
            let ours = module.package.first().is_some_and(|root| root == "mcp");
            let mut holds =
                |rule: &str| engine.eval_rule(rule.to_owned()).is_ok_and(|value| says(&value));
            ours.then(|| traced(definition, module, &reached, &decision, &mut holds))
        })
        .filter(|traced| !traced.steps.is_empty())
        .collect();
    Ok(Trace { decision, printed, definitions })
}

/// The lines on which something was evaluated, by file.
fn reached(engine: &regorus::Engine) -> BTreeMap<String, BTreeSet<u32>> {
    let files = engine.get_coverage_report().map(|report| report.files).unwrap_or_default();
    files.into_iter().map(|file| (file.path, file.covered)).collect()
}

fn traced(
    definition: &Definition,
    module: &Module,
    reached: &BTreeMap<String, BTreeSet<u32>>,
    decision: &Decision,
    holds: &mut dyn FnMut(&str) -> bool,
) -> Traced {
    let none = BTreeSet::new();
    let lines = reached.get(&module.file.name).unwrap_or(&none);
    let own = module.lines(definition.span);
    let units = module.units().into_iter().filter(|unit| own.contains(unit.start()));
    let step = |unit: &RangeInclusive<u32>| TracedStep {
        line: *unit.start(),
        text: line_in(module, *unit.start()).trim().to_owned(),
        reached: lines.range(unit.clone()).next().is_some(),
    };
    let units: Vec<_> = units.collect();
    let steps: Vec<_> = units.iter().map(step).collect();
    let rule = format!("data.{}", definition.path.join("."));
    let at = format!("\"{}:{}\"", module.file.name, definition.span.line);
    let decided = decision.rules.as_deref().is_some_and(|rules| rules.contains(&at));
    let head = module.lines(definition.head);
    let shares_line = units.iter().skip(1).any(|unit| head.contains(unit.start()));
    let held = match (steps.split_first(), definition.shape) {
        // What a head yields is looked at when the body has held.
        (Some((yielded, _)), _) if !is_flag(definition) && !shares_line => yielded.reached,
        (_, Shape::Function) => steps.iter().all(|step| step.reached),
        _ => steps.iter().all(|step| step.reached) && holds(&rule),
    };
    Traced {
        rule,
        file: module.file.name.clone(),
        line: definition.span.line,
        text: own.map(|line| line_in(module, line)).collect::<Vec<_>>().join("\n"),
        decided,
        held: decided || held,
        steps,
    }
}

/// Whether a definition says no more than that its body holds.
fn is_flag(definition: &Definition) -> bool {
    matches!(definition.shape, Shape::Complete | Shape::Function)
        && definition.values.first() == Some(&Worth::True)
}

fn line_in(module: &Module, line: u32) -> &str {
    let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
    module.file.text.lines().nth(index).unwrap_or_default()
}

/// Whether a rule has a value with something in it.
fn says(value: &Value) -> bool {
    match value {
        Value::Undefined | Value::Bool(false) => false,
        Value::Set(members) => !members.is_empty(),
        Value::Array(members) => !members.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Null | Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests;
