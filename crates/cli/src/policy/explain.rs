//! `mcp-proxy policy explain`: why a recorded message was decided as it was, and what a set of policies reads.

mod text;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use audit::{Filter, Reader, Row};
use policy::{Config, PolicySet, Sources, Trace, Traced};
use replay::{Class, Judge, Library, Outcome, Recorded, Unrepeatable};
use serde_json::{Value, json};
use settings::Settings;

use super::{replay::judge, steps};
use crate::{Exit, Format, config, output};

/// Options of `policy explain`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy explain 0b5a7c1e --db audit.db\n  \
    mcp-proxy policy explain 0b5a7c1e --db audit.db -d policies --format json\n  \
    mcp-proxy policy explain --reads -d policies\n\n\
    Shown are the row, the input as the log has it, what the log does not have of it (see `audit.capture`), and what the \
    policies at hand say of that input, with the text of the definitions that decide: `+` stands before what the \
    evaluation came to, `-` before what it did not. When the policies at hand are not those that decided, it says so; \
    other policies are asked only when -d names them.\n\
    --reads prints the fields of `input` that a set reads: those of rules whose outcome is cached, and those of rules \
    that are evaluated each time.\n\
    Exits 0 when it is explained, 1 when the policies that decided decide otherwise now, 2 when there is no such row.")]
pub(crate) struct ExplainArgs {
    /// The decision, as the log and the agent's error name it; its beginning is enough
    #[arg(value_name = "DECISION_ID", required_unless_present = "reads", conflicts_with = "reads")]
    id: Option<String>,

    /// Print what the policies read of `input`
    #[arg(long)]
    reads: bool,

    /// The audit log [default: `audit.db_path` of the configuration]
    #[arg(long, value_name = "FILE", conflicts_with = "reads")]
    db: Option<PathBuf>,

    /// A folder or file with policies or data; repeatable [default: as configured]
    #[arg(long, short, value_name = "PATH", visible_alias = "policies")]
    data: Vec<PathBuf>,

    /// The configuration of the gateway; without one, `MCP_*` and the defaults
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Lines for people, or one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// All that is known of one row.
struct Explained {
    row: Row,
    /// The input as recorded, and the paths that are not; nothing when the row holds no decision of policy.
    input: Option<(Value, Vec<String>)>,
    now: Now,
}

/// What the policies at hand say of the row.
enum Now {
    /// There is nothing to say, because of this.
    Unasked(&'static str),
    /// Those that decided are not, because of this.
    Absent(String),
    AtHand {
        origin: String,
        revision: String,
        /// Whether these are the policies that decided the row.
        same: bool,
        /// The path that is missing, when they read what the row does not hold.
        ruling: Result<Ruling, String>,
    },
}

/// A decision that was made again.
struct Ruling {
    outcome: Outcome,
    class: Class,
    /// The definitions that decide.
    definitions: Vec<Traced>,
}

pub(super) fn execute(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let settings = config::load(args.config.as_deref())?.settings;
    let Some(id) = &args.id else {
        let set = PolicySet::load(&sources(args, &settings.policy)?, &settings.policy)?;
        match args.format {
            Format::Pretty => output::data(&text::reads(&set))?,
            Format::Json => output::line(&output::json(&reads_as_json(&set))?)?,
        }
        return Ok(Exit::Done);
    };
    let explained = explain(args, id, &settings)?;
    match args.format {
        Format::Pretty => output::data(&text::decision(&explained)?)?,
        Format::Json => output::line(&output::json(&as_json(&explained))?)?,
    }
    Ok(if explained.reproduces() { Exit::Done } else { Exit::No })
}

fn sources(args: &ExplainArgs, config: &Config) -> anyhow::Result<Sources> {
    if args.data.is_empty() { Ok(config.sources()?) } else { super::sources(&args.data) }
}

fn explain(args: &ExplainArgs, id: &str, settings: &Settings) -> anyhow::Result<Explained> {
    let db = args.db.as_ref().unwrap_or(&settings.audit.db_path);
    let reader = Reader::open(db)?;
    let row = row(&reader, id).with_context(|| format!("in `{}`", db.display()))?;
    if let Some(why) = Unrepeatable::of(&row) {
        return Ok(Explained { row, input: None, now: Now::Unasked(why_not(why)) });
    }
    let recorded = Library::new(&reader).recorded(&row)?;
    let config = &settings.policy;
    let found = sources(args, config).and_then(|it| Ok((judge(it.clone(), config)?, it)));
    let now = match found {
        Ok((judge, _)) if args.data.is_empty() && decided_by(&row) != Some(judge.revision()) => {
            Now::Absent(format!(
                "those of the configuration have revision {}; name the folder with -d",
                text::short(judge.revision())
            ))
        }
        Ok((judge, sources)) => at_hand(&row, &recorded, &judge, (&sources, config))?,
        // Those of the configuration are no more than a guess.
        Err(error) if args.data.is_empty() => Now::Absent(format!("{error:#}")),
        Err(error) => return Err(error),
    };
    let input = Some((recorded.document(), recorded.missing()));
    Ok(Explained { row, input, now })
}

fn decided_by(row: &Row) -> Option<&str> {
    row.policy_revision.as_deref()
}

/// The only row whose decision, or request, has an id that begins like this.
fn row(reader: &Reader, id: &str) -> anyhow::Result<Row> {
    let filter = Filter { id: Some(id.to_owned()), limit: 2, ..Filter::default() };
    let mut rows = reader.query(&filter)?.into_iter();
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row),
        (None, _) => {
            bail!("no decision `{id}`; `mcp-proxy audit query` shows those that there are")
        }
        (Some(_), Some(_)) => bail!("several decisions begin with `{id}`; write more of it"),
    }
}

fn why_not(why: Unrepeatable) -> &'static str {
    match why {
        Unrepeatable::Gateway => "the gateway itself acted; policy was not asked",
        Unrepeatable::Undecided => "the message never came to policy",
        Unrepeatable::Companion => {
            "what was decided is a message inside the message, which the log does not hold"
        }
    }
}

fn at_hand(
    row: &Row,
    recorded: &Recorded,
    judge: &Judge,
    (sources, config): (&Sources, &Config),
) -> anyhow::Result<Now> {
    let ruling = match (judge.again(recorded), Outcome::recorded(row)) {
        (Ok(outcome), Some(then)) => {
            let Trace { definitions, .. } =
                policy::trace(sources, config, &recorded.document().to_string())?;
            Ok(Ruling {
                class: then.compare(&outcome),
                outcome,
                definitions: definitions.into_iter().filter(|it| it.decided).collect(),
            })
        }
        (Err(path), _) => Err(path),
        (Ok(_), None) => bail!("the row's reasons are not what the gateway writes"),
    };
    Ok(Now::AtHand {
        origin: sources.origin().to_owned(),
        revision: judge.revision().to_owned(),
        same: decided_by(row) == Some(judge.revision()),
        ruling,
    })
}

impl Explained {
    /// Whether nothing shows that the policies which decided would decide otherwise.
    fn reproduces(&self) -> bool {
        match &self.now {
            Now::AtHand { same: true, ruling: Ok(ruling), .. } => ruling.class == Class::Same,
            Now::AtHand { .. } | Now::Unasked(_) | Now::Absent(_) => true,
        }
    }
}

fn as_json(explained: &Explained) -> Value {
    let now = match &explained.now {
        Now::Unasked(why) => json!({ "unasked": why }),
        Now::Absent(why) => json!({ "unavailable": why }),
        Now::AtHand { origin, revision, same, ruling: Err(path) } => {
            json!({ "policies": origin, "revision": revision, "decided": same, "undecidable": path })
        }
        Now::AtHand { origin, revision, same, ruling: Ok(ruling) } => json!({
            "policies": origin,
            "revision": revision,
            "decided": same,
            "class": ruling.class,
            "decision": ruling.outcome,
            "definitions": ruling.definitions.iter().map(steps::full_as_json).collect::<Value>(),
        }),
    };
    let (input, missing) = explained.input.clone().unzip();
    json!({ "row": explained.row, "input": input, "missing": missing, "now": now })
}

fn reads_as_json(set: &PolicySet) -> Value {
    let reads = set.reads();
    json!({
        "revision": set.revision().to_string(),
        "engine": set.engine().to_string(),
        "cached": reads.stable.paths(),
        "evaluated_each_time": reads.volatile.paths(),
    })
}

#[cfg(test)]
mod tests;
