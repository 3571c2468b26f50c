//! `mcp-proxy policy learn`: a least-privilege policy of what agents were seen to do.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ::learn::{Options, Report, Trial, Unused};
use domain::{Clock as _, Span, SystemClock};
use serde_json::{Value, json};
use settings::Settings;

use super::replay::judge;
use crate::output::visible;
use crate::{Exit, Format, config, output};

/// Options of `policy learn`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy learn --db audit.db --out policies/learned --since 30d\n  \
    mcp-proxy policy learn --db audit.db --unused -d policies\n\n\
    Written are `learned.yaml` (agents, servers, tools with the digest of their definition, and what their arguments look \
    like, each with its evidence), one fixed Rego module and tests. The module only adds violations: it never allows \
    what other policies deny. It is learned from the first 70 % of the sessions and tried on the others; the \
    share of their messages that it would deny is printed. Entries with little evidence are marked `review: true`. \
    Record arguments for it (`audit.capture.request_arguments`).\n\
    --unused lists what agents may call under the policies, and did not.\n\
    Exits 0 when it is written or listed, 2 when there is nothing to learn or something cannot be read or written.")]
pub(crate) struct LearnArgs {
    /// The audit log [default: `audit.db_path` of the configuration]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,

    /// The folder into which the policy is written; its files of the same names are replaced
    #[arg(long, short, value_name = "DIR", required_unless_present = "unused")]
    out: Option<PathBuf>,

    /// Only rows of this long ago or newer, as `90m` or `7d`
    #[arg(long, value_name = "SPAN")]
    since: Option<Span>,

    /// List what is granted and was not used, instead of learning
    #[arg(long, conflicts_with = "out")]
    unused: bool,

    /// With --unused, a folder or file with the policies that grant; repeatable [default: as configured]
    #[arg(long, short, value_name = "PATH", visible_alias = "policies", requires = "unused")]
    data: Vec<PathBuf>,

    /// The configuration of the gateway that wrote the log; without one, `MCP_*` and the defaults
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Lines for people, or one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn execute(args: &LearnArgs) -> anyhow::Result<Exit> {
    let settings = config::load(args.config.as_deref())?.settings;
    let db = args.db.as_ref().unwrap_or(&settings.audit.db_path);
    let since = args.since.and_then(|span| SystemClock.wall().checked_sub(span.duration()));
    let Some(out) = &args.out else {
        return list_unused(args, db, since, &settings);
    };
    let learned = ::learn::learn(db, Options { since, ..Options::default() })?;
    learned.write(out)?;
    match args.format {
        Format::Pretty => output::data(&pretty(&learned.report, out))?,
        Format::Json => output::line(&output::json(&as_json(&learned.report))?)?,
    }
    Ok(Exit::Done)
}

fn list_unused(
    args: &LearnArgs,
    db: &Path,
    since: Option<SystemTime>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let sources = match args.data.as_slice() {
        [] => settings.policy.sources()?,
        paths => super::sources(paths)?,
    };
    let data = sources.merged_data()?;
    let judge = judge(sources, &settings.policy)?;
    let unused = ::learn::unused(db, judge.engine(), &data, since)?;
    match args.format {
        Format::Json => output::line(&output::json(&json!({ "unused": unused }))?)?,
        Format::Pretty if unused.is_empty() => output::note("nothing that is granted is unused"),
        Format::Pretty => output::data(&unused.iter().map(line).collect::<String>())?,
    }
    Ok(Exit::Done)
}

fn line(unused: &Unused) -> String {
    let Unused { agent, server, tool, since, messages } = unused;
    format!(
        "{} may call {} of {} and has not since {since}, in {messages} messages\n",
        visible(agent),
        visible(tool),
        visible(server)
    )
}

fn pretty(report: &Report, out: &Path) -> String {
    let corpus = &report.corpus;
    let mut text = format!(
        "learned   {} entries, {} of them for review, in `{}`\n",
        report.entries,
        report.for_review,
        out.display()
    );
    // Writing into a string cannot fail.
    writeln!(
        text,
        "from      {} messages of {} sessions, {} to {}",
        corpus.messages, corpus.sessions, corpus.first, corpus.last
    )
    .ok();
    writeln!(
        text,
        "left out  {} not allowed, {} not recorded whole, {} because there were too many entries",
        corpus.not_allowed, corpus.not_recorded, report.crowded
    )
    .ok();
    trial(&mut text, "training", corpus.trained, &report.training);
    match (&report.holdout, &report.no_holdout) {
        (Some(holdout), _) => {
            trial(&mut text, "holdout", corpus.sessions - corpus.trained, holdout);
        }
        (None, why) => {
            let why = why.as_deref().unwrap_or_default();
            writeln!(text, "holdout   none: {}", visible(why)).ok();
        }
    }
    text
}

fn trial(text: &mut String, name: &str, sessions: usize, trial: &Trial) {
    let Trial { messages, newly_denied, undecidable, denied } = trial;
    let rate = trial
        .newly_denied_rate()
        .map_or_else(|| "no rate".to_owned(), |rate| format!("newly denied {:.2} %", rate * 100.0));
    // Writing into a string cannot fail.
    writeln!(
        text,
        "{name:9} {rate}: {newly_denied} of {messages} messages in {sessions} sessions, {undecidable} undecidable"
    )
    .ok();
    for it in denied {
        let (rule, agent, subject) = (visible(&it.rule), visible(&it.agent), visible(&it.subject));
        writeln!(text, "  {} x {rule}: {subject} by {agent}", it.count).ok();
        writeln!(text, "    {} ({})", visible(&it.message), it.decision_id).ok();
    }
}

fn as_json(report: &Report) -> Value {
    let mut value = json!(report);
    let trials = [("training", Some(&report.training)), ("holdout", report.holdout.as_ref())];
    for (name, trial) in trials {
        if let (Some(Value::Object(members)), Some(trial)) = (value.get_mut(name), trial) {
            members.insert("newly_denied_rate".to_owned(), json!(trial.newly_denied_rate()));
        }
    }
    value
}

#[cfg(test)]
mod tests;
