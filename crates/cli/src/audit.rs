//! `mcp-proxy audit query|tail`: the audit log, read while the gateway writes it or after.

mod filter;
mod table;
mod tail;

use std::path::PathBuf;

use ::audit::Reader;

use self::filter::FilterArgs;
use self::table::Table;
use crate::{Exit, Format, config, output};

/// The commands below `audit`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum AuditCommand {
    /// Find rows, the newest first
    Query(QueryArgs),
    /// Show the last rows, and with --follow those to come
    Tail(tail::TailArgs),
}

/// Options of `audit query`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy audit query --decision deny --since 2h\n  \
    mcp-proxy audit query --tool write_file --agent claude --limit 10\n  \
    mcp-proxy audit query --decision-id 0b5a7c1e --format json\n\n\
    The conditions must all hold. The database can also be read with any SQLite client: see docs/audit.md.")]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    log: LogArgs,

    #[command(flatten)]
    filter: FilterArgs,

    /// Most rows shown
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = "Output")]
    limit: u32,

    /// A table for people, or one JSON array of rows with all columns
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
}

/// Which log is read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Log")]
struct LogArgs {
    /// The SQLite file [default: `audit.db_path` of the configuration]
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    db: Option<PathBuf>,

    /// The configuration file that names it; without one, `MCP_*` and the defaults do
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl LogArgs {
    fn open(&self) -> anyhow::Result<Reader> {
        let path = match &self.db {
            Some(path) => path.clone(),
            None => config::load(self.config.as_deref())?.settings.audit.db_path,
        };
        Ok(Reader::open(&path)?)
    }
}

pub(crate) fn execute(command: AuditCommand) -> anyhow::Result<Exit> {
    match command {
        AuditCommand::Query(args) => query(&args),
        AuditCommand::Tail(args) => tail::execute(&args),
    }
}

fn query(args: &QueryArgs) -> anyhow::Result<Exit> {
    let filter = args.filter.resolve(&domain::SystemClock, args.limit);
    let rows = args.log.open()?.query(&filter)?;
    match args.format {
        Format::Json => output::line(&output::json(&rows)?)?,
        Format::Pretty if rows.is_empty() => output::note("no rows"),
        Format::Pretty => output::data(&Table::default().show(&rows))?,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
pub(crate) mod fixture;
