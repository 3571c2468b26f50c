//! `mcp-proxy policy eval`: what the gateway would decide on an input.

use std::borrow::Cow;
use std::fmt::Write as _;

use anyhow::bail;
use domain::{Decision, Reason, Verdict};
use policy::EvalOutcome;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::question::Question;
use super::steps::{self, Explain};
use crate::output::visible;
use crate::{Exit, Format, output};

/// Options of `policy eval`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy eval -d policies -i input.json\n  \
    mcp-proxy policy eval -d policies -d more-data.yaml -i input.json --format json\n  \
    mcp-proxy policy eval -d policies -i input.json --explain fails\n  \
    echo '{\"method\": \"tools/call\", \"tool\": \"write_file\"}' | mcp-proxy policy eval -i -\n\n\
    The input is the document `input` of the policies; see docs/policies.md. What the gateway says of every \
    message and the input leaves out is filled in: `stage` (`request`), `findings`, `agent` (as configured; with -d, \
    the default), `identity`, `session` (its first request), `server` and `context`, also single members of these. \
    `method`, `tool`, `resource`, `prompt` and `arguments` may stand at the root or in `request`.\n\
    Exits 0 when it is allowed, 1 when it is denied, 2 when there is no answer.")]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    question: Question,

    /// Also say how the decision came about
    #[arg(long, value_enum, value_name = "HOW")]
    explain: Option<Explain>,

    /// Lines for people, or one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn execute(args: &EvalArgs) -> anyhow::Result<Exit> {
    let (sources, settings, input) = args.question.resolve()?;
    let outcome = policy::eval(&sources, &settings.policy, &input)?;
    let explanation = match args.explain {
        Some(explain) => Some((explain, policy::trace(&sources, &settings.policy, &input)?)),
        None => None,
    };
    match args.format {
        Format::Pretty => {
            let explained = explanation.map(|(explain, trace)| steps::pretty(&trace, explain));
            output::data(&(pretty(&outcome) + &explained.unwrap_or_default()))?;
        }
        Format::Json => {
            let mut value = as_json(&outcome)?;
            if let (Some(members), Some((explain, trace))) = (value.as_object_mut(), explanation) {
                members.insert("explanation".to_owned(), steps::as_json(&trace, explain));
            }
            output::line(&output::json(&value)?)?;
        }
    }
    if !outcome.agrees {
        output::note(&format!(
            "warning: the engine that serves ({}) decides otherwise; please report this policy",
            outcome.engine
        ));
    }
    exit(&outcome)
}

/// An evaluation that failed is no answer, though the gateway would deny.
fn exit(outcome: &EvalOutcome) -> anyhow::Result<Exit> {
    match (&outcome.decision.error, outcome.decision.verdict) {
        (Some(error), _) => bail!("the policy could not be evaluated, hence the denial: {error}"),
        (None, Verdict::Allow) => Ok(Exit::Done),
        (None, Verdict::Deny) => Ok(Exit::No),
    }
}

fn pretty(outcome: &EvalOutcome) -> String {
    let decision = &outcome.decision;
    let rule = decision.matched_rule.as_deref().unwrap_or_default();
    let mut text = format!("{:5} {}", decision.verdict.as_str(), visible(rule));
    text.truncate(text.trim_end().len());
    text.push('\n');
    for Reason { message, at, mode, .. } in &*decision.reasons {
        let watched = if mode.is_enforce() { "" } else { "would deny: " };
        let at = at.as_deref().map(|at| format!(" ({})", visible(at))).unwrap_or_default();
        // Writing into a string cannot fail.
        writeln!(text, "  - {watched}{}{at}", visible(message)).ok();
    }
    if decision.reasons.is_empty() {
        for Place { at, .. } in places(decision) {
            writeln!(text, "  by {}", visible(&at)).ok();
        }
    }
    for obligation in &*decision.obligations {
        if let Ok(obligation) = output::json_line(obligation) {
            writeln!(text, "  obligation {obligation}").ok();
        }
    }
    text
}

/// A rule that decided, as a decision names it.
#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    at: Cow<'a, str>,
}

/// Where the rules stand that decided; of reasons it is said with them.
fn places(decision: &Decision) -> Vec<Place<'_>> {
    decision.rules.as_deref().and_then(|rules| serde_json::from_str(rules).ok()).unwrap_or_default()
}

fn as_json(outcome: &EvalOutcome) -> anyhow::Result<Value> {
    let decision = &outcome.decision;
    let rules = decision.rules.as_deref().map(serde_json::from_str::<&RawValue>);
    Ok(json!({
        "decision": decision.verdict.as_str(),
        "allow": decision.verdict == Verdict::Allow,
        "reasons": &*decision.reasons,
        "matched_rule": decision.matched_rule,
        "rules": rules.transpose()?,
        "would_deny": decision.would_deny(),
        "obligations": &*decision.obligations,
        "error": decision.error,
        "engine": outcome.engine.to_string(),
        "agrees": outcome.agrees,
        "revision": decision.revision.to_string(),
    }))
}

#[cfg(test)]
mod tests;
