//! How a decision came about, for people and programs: what `policy eval --explain` and `policy explain` show of a
//! [`Trace`].

use std::fmt::Write as _;

use policy::{Trace, Traced, TracedStep};
use serde_json::{Value, json};

use crate::output::visible;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Explain {
    /// What the policies printed
    Notes,
    /// Also the condition at which each definition ended that did not decide
    Fails,
    /// Instead every definition that was looked at, with `+` before what the evaluation came to and `-` before what not
    Full,
}

/// The explanation as lines.
pub(super) fn pretty(trace: &Trace, explain: Explain) -> String {
    let mut text = String::new();
    for note in &trace.printed {
        // Writing into a string cannot fail.
        writeln!(text, "  {}", visible(note)).ok();
    }
    for definition in &trace.definitions {
        match explain {
            Explain::Notes => {}
            Explain::Fails => {
                if let Some(step) = definition.stopped_at() {
                    text.push_str(&heading(definition, "stopped at"));
                    let file = visible(&definition.file);
                    writeln!(text, "    {file}:{}: {}", step.line, visible(&step.text)).ok();
                }
            }
            // What no rule asked for is not part of the story.
            Explain::Full if definition.steps.iter().all(|step| !step.reached) => {}
            Explain::Full => text.push_str(&full(definition)),
        }
    }
    text
}

/// One definition as it is written, with a mark before each line that holds a step.
pub(super) fn full(definition: &Traced) -> String {
    let mut text = heading(definition, if definition.decided { "decided" } else { "" });
    for (line, written) in (definition.line..).zip(definition.text.lines()) {
        let mark = match definition.steps.iter().find(|step| step.line == line) {
            Some(step) if step.reached => '+',
            Some(_) => '-',
            None => ' ',
        };
        let written = written.replace('\t', "    ");
        // Writing into a string cannot fail.
        writeln!(text, "    {mark} {line:>4}  {}", visible(&written)).ok();
    }
    text
}

fn heading(definition: &Traced, says: &str) -> String {
    let Traced { rule, file, line, .. } = definition;
    let heading = format!("  {}:{line} {} {says}", visible(file), visible(rule));
    format!("{}\n", heading.trim_end())
}

/// The explanation for programs.
pub(super) fn as_json(trace: &Trace, explain: Explain) -> Value {
    let definitions = trace.definitions.iter();
    match explain {
        Explain::Notes => json!({ "printed": trace.printed }),
        Explain::Fails => json!({
            "printed": trace.printed,
            "fails": definitions.filter_map(fail_as_json).collect::<Vec<_>>(),
        }),
        Explain::Full => json!({
            "printed": trace.printed,
            "definitions": definitions.map(full_as_json).collect::<Vec<_>>(),
        }),
    }
}

fn fail_as_json(definition: &Traced) -> Option<Value> {
    let Traced { rule, file, .. } = definition;
    let step = definition.stopped_at()?;
    Some(json!({ "rule": rule, "file": file, "line": step.line, "condition": step.text }))
}

/// One definition with its steps, for programs.
pub(super) fn full_as_json(definition: &Traced) -> Value {
    let step = |step: &TracedStep| json!({ "line": step.line, "text": step.text, "reached": step.reached });
    let steps: Vec<_> = definition.steps.iter().map(step).collect();
    let Traced { rule, file, line, decided, .. } = definition;
    json!({ "rule": rule, "file": file, "line": line, "decided": decided, "steps": steps })
}

#[cfg(test)]
mod tests;
