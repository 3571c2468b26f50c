//! `mcp-proxy audit tail`: the last rows, and those to come.

use std::time::Duration;

use audit::{Filter, Reader, Row};
use tokio::signal::ctrl_c;

use super::{FilterArgs, LogArgs, Table};
use crate::{Exit, Format, output};

/// How often a followed log is looked at.
const POLL: Duration = Duration::from_millis(200);
/// Most rows read at once from a followed log.
const BATCH: u32 = 10_000;

/// Options of `audit tail`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy audit tail --follow\n  \
    mcp-proxy audit tail -f -n 0 --decision deny --format json | jq .violations\n\n\
    Following ends with Ctrl-C, and exits 0.")]
pub(crate) struct TailArgs {
    #[command(flatten)]
    log: LogArgs,

    #[command(flatten)]
    filter: FilterArgs,

    /// Rows to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, help_heading = "Output")]
    lines: u32,

    /// Go on with the rows that are written from now on
    #[arg(long, short, help_heading = "Output")]
    follow: bool,

    /// A table for people, or one JSON object a line with all columns
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
}

pub(super) fn execute(args: &TailArgs) -> anyhow::Result<Exit> {
    let filter = args.filter.resolve(&domain::SystemClock, args.lines);
    let (mut tail, rows) = Tail::begin(args.log.open()?, filter)?;
    let mut printer = Printer { format: args.format, table: Table::default() };
    let mut read = printer.print(&rows)?;
    if !args.follow {
        return Ok(Exit::Done);
    }
    crate::runtime()?.block_on(async {
        let mut interrupted = std::pin::pin!(ctrl_c());
        while read {
            tokio::select! {
                interrupted = &mut interrupted => {
                    interrupted?;
                    break;
                }
                () = tokio::time::sleep(POLL) => read = printer.print(&tail.next()?)?,
            }
        }
        Ok(Exit::Done)
    })
}

/// A log that is followed. Each row is seen once.
struct Tail {
    reader: Reader,
    filter: Filter,
    /// The last row that was looked at.
    last: i64,
}

impl Tail {
    /// Follows the log from here, and gives the last rows so far, as many as the filter allows, in the order of time.
    fn begin(reader: Reader, filter: Filter) -> Result<(Self, Vec<Row>), audit::Error> {
        let last = reader.last_id()?;
        let mut rows = reader.query(&filter)?;
        // What was written since then comes with the next batch.
        rows.retain(|row| row.id <= last);
        rows.reverse();
        Ok((Self { reader, filter: Filter { limit: BATCH, ..filter }, last }, rows))
    }

    /// The rows written since the last look, or the first of them when there are very many.
    fn next(&mut self) -> Result<Vec<Row>, audit::Error> {
        let newest = self.reader.last_id()?;
        let rows = self.reader.tail(self.last, &self.filter)?;
        self.last = match rows.last() {
            Some(row) if rows.len() >= BATCH as usize => row.id,
            // All were looked at, so that the next look need not see those again that the filter leaves out.
            Some(row) => row.id.max(newest),
            None => newest.max(self.last),
        };
        Ok(rows)
    }
}

struct Printer {
    format: Format,
    table: Table,
}

impl Printer {
    /// Prints rows. Whether anybody still reads them.
    fn print(&mut self, rows: &[Row]) -> anyhow::Result<bool> {
        let text = match self.format {
            Format::Pretty => self.table.show(rows),
            Format::Json => {
                let lines: Result<Vec<_>, _> = rows.iter().map(output::json_line).collect();
                lines?.into_iter().map(|line| line + "\n").collect()
            }
        };
        output::stream(&text)
    }
}

#[cfg(test)]
mod tests;
