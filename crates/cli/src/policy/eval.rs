//! `mcp-proxy policy eval`: what the gateway would decide on an input.

mod input;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use domain::{SystemClock, Verdict};
use policy::{EvalOutcome, Sources};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use settings::Settings;

use crate::output::visible;
use crate::{Exit, Format, config, output};

/// Options of `policy eval`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy eval -d policies -i input.json\n  \
    mcp-proxy policy eval -d policies -d more-data.yaml -i input.json --format json\n  \
    echo '{\"method\": \"tools/call\", \"tool\": \"write_file\"}' | mcp-proxy policy eval -i -\n\n\
    The input is the document `input` of the policies; see docs/policies.md. What the gateway says of every \
    message and the input leaves out is filled in: `stage` (`request`), `findings`, `agent` (as configured; with -d, \
    the default), `identity`, `session` (its first request), `server` and `context`, also single members of these. \
    `method`, `tool`, `resource`, `prompt` and `arguments` may stand at the root or in `request`.\n\
    Exits 0 when it is allowed, 1 when it is denied, 2 when there is no answer.")]
pub(crate) struct EvalArgs {
    /// The folder with the policies; further ones are data files [default: as configured]
    #[arg(long, short, value_name = "PATH", conflicts_with = "config")]
    data: Vec<PathBuf>,

    /// The document `input` as JSON; `-` reads standard input
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,

    /// The configuration file whose policies decide; without one, `MCP_*` and the defaults do
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Lines for people, or one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn execute(args: &EvalArgs) -> anyhow::Result<Exit> {
    let (sources, settings) = policies(args)?;
    let input = input::completed(read(&args.input)?, &settings, &SystemClock);
    let outcome = policy::eval(&sources, &settings.policy, &input)?;
    match args.format {
        Format::Pretty => output::data(&pretty(&outcome))?,
        Format::Json => output::line(&output::json(&as_json(&outcome)?)?)?,
    }
    if !outcome.agrees {
        output::note(&format!(
            "warning: the engine that serves ({}) decides otherwise; please report this policy",
            outcome.engine
        ));
    }
    exit(&outcome)
}

fn policies(args: &EvalArgs) -> anyhow::Result<(Sources, Settings)> {
    let Some((dir, files)) = args.data.split_first() else {
        let settings = config::load(args.config.as_deref())?.settings;
        return Ok((Sources::from_config(&settings.policy)?, settings));
    };
    let mut sources = Sources::from_dir(dir)?;
    for file in files {
        sources = sources.with_data_file(file)?;
    }
    Ok((sources, Settings::default()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
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
    for reason in &*decision.reasons {
        // Writing into a string cannot fail.
        writeln!(text, "  - {}", visible(&reason.message)).ok();
    }
    text
}

fn as_json(outcome: &EvalOutcome) -> anyhow::Result<Value> {
    let decision = &outcome.decision;
    let obligations = decision.obligations.as_deref().map(serde_json::from_str::<&RawValue>);
    Ok(json!({
        "decision": decision.verdict.as_str(),
        "allow": decision.verdict == Verdict::Allow,
        "reasons": &*decision.reasons,
        "matched_rule": decision.matched_rule,
        "obligations": obligations.transpose()?,
        "error": decision.error,
        "engine": outcome.engine.to_string(),
        "agrees": outcome.agrees,
        "revision": decision.revision.to_string(),
    }))
}

#[cfg(test)]
mod tests;
