//! Decides what the audit log recorded lately again.
//!
//! Both sets are compared with the record, and then with each other: what the set in force would allow of it already is not
//! the candidate's doing.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use audit::Reader;
use policy::PolicyEngine;
use replay::{Change, Class, Judge, Options, Report};
use settings::Settings;

use crate::reload::weaker::{Rehearse, Rehearsed};

/// How often rows are decided again that do not come out as recorded: on a busy machine a decision may run into its time
/// limit.
const TRIES: usize = 3;

/// Decides the last `policy.reload.replay` rows again; without a log, or when it is 0, nothing.
pub(crate) fn of(settings: &Settings) -> Rehearse {
    let last = settings.policy.reload.replay;
    if last == 0 || !settings.audit.enabled {
        return Box::new(|_, _| Ok(Rehearsed::default()));
    }
    let log = settings.audit.db_path.clone();
    Box::new(move |before, candidate| rehearse(&log, last, before, candidate))
}

fn rehearse(
    log: &Path,
    last: u32,
    before: &Arc<PolicyEngine>,
    candidate: &Arc<PolicyEngine>,
) -> Result<Rehearsed, String> {
    let reader = Reader::open(log).map_err(|error| error.to_string())?;
    let decide = |engine: &Arc<PolicyEngine>| {
        let judge = Judge::new(Arc::clone(engine), engine.set().reads());
        let options = Options { newest: Some(last), ..Options::default() };
        let mut mismatched = 0;
        for _ in 0..TRIES {
            let report =
                replay::run(&reader, &judge, options).map_err(|error| error.to_string())?;
            if !report.stopped {
                return Ok(report);
            }
            mismatched = report.evidence.mismatched;
        }
        Err(format!("{mismatched} do not come out as recorded under the policies that made them"))
    };
    let (already, now) = (decide(before)?, decide(candidate)?);
    let already = counts(&already);
    let mut weaker: Vec<String> = changes(&now)
        .filter(|change| already.get(&group(change)).is_none_or(|count| *count < change.count))
        .map(told)
        .collect();
    weaker.extend(doubt(&now));
    let undecidable = now.classes.undecidable;
    let decided = now.classes.total().saturating_sub(undecidable);
    Ok(Rehearsed { decided, undecidable, weaker })
}

/// What was denied and cannot be decided again: nothing shows that it still is.
fn doubt(report: &Report) -> Option<String> {
    let (denials, missing) = (report.undecidable_denials, report.undecidable.keys());
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    let missing = missing.join("`, `");
    (denials > 0).then(|| {
        format!("perhaps allowed now: {denials} denied before, of which the log does not hold `{missing}`")
    })
}

/// What tells changes apart.
type Group<'a> = (Class, &'a str, Option<&'a str>, &'a str, Option<&'a str>);

fn group(change: &Change) -> Group<'_> {
    (change.class, &change.method, change.tool.as_deref(), &change.agent, change.rule.as_deref())
}

/// Whether an obligation is gone, or another.
fn asks_less(change: &Change) -> bool {
    let now = change.example.now.as_ref().map_or(&[][..], |now| &now.obligations);
    change.example.recorded.obligations.iter().any(|obligation| !now.contains(obligation))
}

/// What makes the candidate weaker.
fn changes(report: &Report) -> impl Iterator<Item = &Change> {
    report.changes.iter().filter(|change| match change.class {
        Class::NewlyAllowed => true,
        Class::ObligationsChanged => asks_less(change),
        Class::NewlyDenied
        | Class::ErrorChanged
        | Class::ReasonChanged
        | Class::Undecidable
        | Class::Same => false,
    })
}

fn counts(report: &Report) -> HashMap<Group<'_>, u64> {
    changes(report).map(|change| (group(change), change.count)).collect()
}

/// A change in a sentence.
fn told(change: &Change) -> String {
    let Change { method, agent, count, .. } = change;
    let tool = change.tool.as_ref().map(|tool| format!(" `{tool}`")).unwrap_or_default();
    let rule =
        change.rule.as_ref().map(|rule| format!(", which `{rule}` denied")).unwrap_or_default();
    let example = &change.example.decision_id;
    let allowed = change.class == Class::NewlyAllowed;
    let how = if allowed { "now allowed" } else { "less asked for now" };
    format!("{how}: {count} × {method}{tool} of agent `{agent}`{rule} (decision {example})")
}

#[cfg(test)]
mod tests;
