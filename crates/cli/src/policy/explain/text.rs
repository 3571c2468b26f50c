//! An explanation for people.

use std::fmt::Write as _;

use audit::Row;
use policy::PolicySet;
use replay::Class;
use serde_json::Value;

use super::{Explained, Now, Ruling};
use crate::output::{self, visible};
use crate::policy::steps;

/// Digits of a revision that are shown.
const DIGITS: usize = 12;

/// The row, its input and what the policies at hand say, the row first.
///
/// # Errors
///
/// The input has no JSON form.
pub(super) fn decision(explained: &Explained) -> anyhow::Result<String> {
    let mut text = row(&explained.row);
    if let Some((input, missing)) = &explained.input {
        writeln!(text, "\ninput as recorded\n{}", output::json(input)?)?;
        writeln!(text, "not in the log: {}", visible(&missing.join(", ")))?;
    }
    text.push('\n');
    now(&mut text, &explained.now);
    Ok(text)
}

fn row(row: &Row) -> String {
    let forwarded = if row.forwarded { "forwarded" } else { "not forwarded" };
    let target = [&row.tool, &row.resource_uri, &row.prompt].into_iter().flatten().next();
    let session = row.session_id.as_deref().map(|id| format!(", session {id}")).unwrap_or_default();
    let message = [Some(&row.method), target].into_iter().flatten().cloned().collect::<Vec<_>>();
    let message = format!("{} by {}{session}", message.join(" "), row.agent_id);
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing into a string cannot fail.
        writeln!(text, "{name:<11}{}", visible(value)).ok();
    };
    line("decision", &row.decision_id);
    line("verdict", &format!("{}, {forwarded} in mode {}", row.decision, row.mode));
    line("time", &row.timestamp);
    line("message", &message);
    line("stage", &row.stage);
    if let Some(rule) = &row.matched_rule {
        line("rule", rule);
    }
    for reason in members(row.reasons.as_ref()) {
        let [message, at] = [said(&reason, "message"), said(&reason, "at")];
        let at = if at.is_empty() { at } else { format!(" ({at})") };
        line("reason", &format!("{message}{at}"));
    }
    for rule in members(row.rules.as_ref()) {
        line("decided by", &format!("{} {}", said(&rule, "at"), said(&rule, "rule")));
    }
    for obligation in members(row.obligations.as_ref()) {
        line("obligation", &obligation.to_string());
    }
    let others = [("approval", &row.approval), ("kind", &row.error_kind), ("error", &row.error)];
    for (name, value) in others {
        if let Some(value) = value {
            line(name, value);
        }
    }
    if let Some(revision) = &row.policy_revision {
        line("policies", &format!("revision {}", short(revision)));
    }
    text
}

fn members(column: Option<&audit::Json>) -> Vec<Value> {
    column.and_then(|json| serde_json::from_str(json.as_str()).ok()).unwrap_or_default()
}

fn said(value: &Value, member: &str) -> String {
    value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn short(revision: &str) -> &str {
    revision.get(..DIGITS).unwrap_or(revision)
}

fn now(text: &mut String, now: &Now) {
    let (origin, revision, same, ruling) = match now {
        Now::Unasked(why) => {
            writeln!(text, "{why}").ok();
            return;
        }
        Now::Absent(why) => {
            writeln!(text, "the policies that decided are not at hand: {}", visible(why)).ok();
            return;
        }
        Now::AtHand { origin, revision, same, ruling } => (origin, revision, *same, ruling),
    };
    let which = if same { "which decided" } else { "not the one that decided" };
    let origin = visible(origin);
    writeln!(text, "under `{origin}`, revision {}, {which}", short(revision)).ok();
    match ruling {
        Err(path) => {
            writeln!(text, "  undecidable: they read `{path}`, which the log does not have").ok();
        }
        Ok(Ruling { outcome, class, definitions }) => {
            let verdict = if outcome.allow { "allow" } else { "deny" };
            let differs = match class {
                Class::Same => "as recorded".to_owned(),
                Class::NewlyDenied
                | Class::NewlyAllowed
                | Class::ErrorChanged
                | Class::ReasonChanged
                | Class::ObligationsChanged
                | Class::Undecidable => class.as_str().replace('_', " "),
            };
            writeln!(text, "  {verdict}: {differs}").ok();
            for reason in &outcome.reasons {
                writeln!(text, "  - {}", visible(&reason.message)).ok();
            }
            if let Some(error) = &outcome.error {
                writeln!(text, "  error: {}", visible(error)).ok();
            }
            for definition in definitions {
                text.push_str(&steps::full(definition));
            }
        }
    }
}

/// What a set reads of `input`, by what becomes of the outcome.
pub(super) fn reads(set: &PolicySet) -> String {
    let reads = set.reads();
    let mut text = format!("revision  {}\nengine    {}\n", short(&set.revision().0), set.engine());
    for (group, reads) in [("cached", &reads.stable), ("evaluated each time", &reads.volatile)] {
        // Writing into a string cannot fail.
        writeln!(text, "{group}").ok();
        for path in reads.paths() {
            writeln!(text, "  {}", visible(&path)).ok();
        }
        if reads.is_empty() {
            text.push_str("  nothing\n");
        }
    }
    text
}
