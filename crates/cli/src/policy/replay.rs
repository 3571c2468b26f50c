//! `mcp-proxy policy replay`: what other policies would have said of recorded messages.

mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use audit::Reader;
use domain::{Clock as _, Span, SystemClock};
use policy::{Config, PolicyEngine, PolicySet, Sources};
use replay::{Change, Class, Judge, Options, Report, State};

use crate::report::{self, Finding, Format, Level};
use crate::{COULD_NOT_ANSWER, Exit, config, output};

/// Options of `policy replay`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy replay --db audit.db --policies new/\n  \
    mcp-proxy policy replay --db audit.db --policies new/ --recorded policies/ --since 7d --fail-on newly-allowed\n\n\
    First the recorded decisions are made again under the policies that made them, as far as these are at hand \
    (--recorded, else those of the configuration): when they do not come out as recorded, the evidence is bad and nothing \
    is compared. A row of which the candidate reads what was not recorded (see `audit.capture`), or was masked, is \
    undecidable, and never decided with a part undefined.\n\
    Exits 0 when nothing differs, 1 when something does (see --fail-on), 2 when the evidence does not reproduce or \
    cannot be read.")]
pub(crate) struct ReplayArgs {
    /// The audit log [default: `audit.db_path` of the configuration]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,

    /// The candidate: a folder with policies and data
    #[arg(long, short, value_name = "DIR")]
    policies: PathBuf,

    /// A further data file of the candidate
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// Folders with policies that decided rows of the log; repeatable [default: the configured policies]
    #[arg(long, value_name = "DIR")]
    recorded: Vec<PathBuf>,

    /// Only rows of this long ago or newer, as `90m` or `7d`
    #[arg(long, value_name = "SPAN")]
    since: Option<Span>,

    /// Only rows of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Which counters and marks of sessions decide
    #[arg(long, value_enum, default_value_t)]
    counters: Counters,

    /// Which differences exit with 1
    #[arg(long, value_enum, default_value_t)]
    fail_on: FailOn,

    /// The configuration of the gateway that wrote the log: mode, limits and rule modes are taken from it
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How the differences are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Counters {
    /// Those that were recorded
    #[default]
    Recorded,
    /// Those that would have become of what the candidate lets pass
    Recomputed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Anything that is not the same
    #[default]
    Any,
    /// Messages that were denied and would be allowed, and those that cannot be decided
    NewlyAllowed,
    /// Messages that were allowed and would be denied, and those that cannot be decided
    NewlyDenied,
}

/// A decision that times out on a busy machine would look like a difference.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn execute(args: &ReplayArgs) -> anyhow::Result<Exit> {
    let settings = config::load(args.config.as_deref())?.settings;
    let db = args.db.as_ref().unwrap_or(&settings.audit.db_path);
    let reader = Reader::open(db)?;
    let paths: Vec<_> = [&args.policies].into_iter().chain(&args.data).cloned().collect();
    let candidate = judge(super::sources(&paths)?, &settings.policy)?;
    let recorded = at_hand(args, &settings.policy)?;
    let options = Options {
        since: args.since.and_then(|span| SystemClock.wall().checked_sub(span.duration())),
        session: args.session.as_deref(),
        newest: None,
        state: match args.counters {
            Counters::Recorded => State::Recorded,
            Counters::Recomputed => State::Recomputed,
        },
        recorded: &recorded,
    };
    let report = replay::run(&reader, &candidate, options)?;
    write(&report, &args.policies, args.format)?;
    if report.stopped {
        output::note("error: the evidence does not reproduce; nothing was compared");
        return Ok(Exit::Code(COULD_NOT_ANSWER));
    }
    if report.rows == 0 {
        output::note("error: the log has no such row, so nothing was compared");
        return Ok(Exit::Code(COULD_NOT_ANSWER));
    }
    Ok(if fails(&report, args.fail_on) { Exit::No } else { Exit::Done })
}

/// The policies that may have decided rows. Those of the configuration are no more than a guess, so it is no error when
/// they cannot be loaded.
fn at_hand(args: &ReplayArgs, config: &Config) -> anyhow::Result<Vec<Judge>> {
    if args.recorded.is_empty() {
        let configured = config.sources().map_err(anyhow::Error::from);
        return Ok(configured.and_then(|sources| judge(sources, config)).into_iter().collect());
    }
    let load = |dir: &PathBuf| judge(super::sources(std::slice::from_ref(dir))?, config);
    args.recorded.iter().map(load).collect()
}

/// A set that decides as the gateway would, but is given more time.
pub(super) fn judge(sources: Sources, config: &Config) -> anyhow::Result<Judge> {
    let mut config = config.clone();
    config.evaluation.timeout = Span::secs(PATIENCE.as_secs());
    let origin = sources.origin().to_owned();
    let set =
        PolicySet::load(&sources, &config).with_context(|| format!("cannot load `{origin}`"))?;
    let reads = set.reads().clone();
    Ok(Judge::new(Arc::new(PolicyEngine::with_clock(set, Arc::new(SystemClock))), reads))
}

fn fails(report: &Report, fail_on: FailOn) -> bool {
    let classes = &report.classes;
    match fail_on {
        FailOn::Any => report.differs(),
        FailOn::NewlyAllowed => classes.newly_allowed + classes.undecidable > 0,
        FailOn::NewlyDenied => classes.newly_denied + classes.undecidable > 0,
    }
}

fn write(report: &Report, policies: &Path, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Pretty => output::data(&text::of(report)),
        Format::Json => output::line(&output::json(report)?),
        Format::Junit | Format::Github | Format::Sarif => {
            let findings: Vec<_> =
                report.changes.iter().map(|change| finding(change, policies)).collect();
            report::write("policy replay", &findings, format)
        }
    }
}

fn finding(change: &Change, policies: &Path) -> Finding {
    let level = match change.class {
        Class::NewlyAllowed | Class::NewlyDenied | Class::Undecidable | Class::ErrorChanged => {
            Level::Error
        }
        Class::ReasonChanged | Class::ObligationsChanged | Class::Same => Level::Warning,
    };
    Finding {
        level,
        code: change.class.as_str().replace('_', "-"),
        subject: String::new(),
        file: policies.display().to_string(),
        line: 0,
        column: 0,
        message: text::change(change),
        seconds: None,
    }
}

#[cfg(test)]
mod tests;
