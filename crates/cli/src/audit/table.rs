//! Rows of the log as a table for people: what one wants to know at a glance, one line a row.

use std::borrow::Cow;
use std::fmt::Write as _;

use audit::Row;
use jiff::Timestamp;

use crate::output::visible;

const COLUMNS: usize = 8;
const HEADINGS: [&str; COLUMNS] =
    ["TIME (UTC)", "DECISION", "SENT", "AGENT", "METHOD", "TARGET", "MS", "DECISION ID"];
/// Most characters of a cell: a row must not grow with what an agent puts into a name.
const MAX_CELL: usize = 40;
/// Most characters of the last column, which nothing has to line up with.
const MAX_REASON: usize = 200;

/// Widths of the columns. They only grow, so that a table which is shown piece by piece stays in line.
#[derive(Debug, Default)]
pub(super) struct Table {
    widths: Option<[usize; COLUMNS]>,
}

impl Table {
    /// The lines of `rows`; before the first ones, the headings.
    pub(super) fn show(&mut self, rows: &[Row]) -> String {
        let cells: Vec<_> = rows.iter().map(cells).collect();
        let mut text = String::new();
        let first = self.widths.is_none();
        let widths = self.widths.get_or_insert_with(|| HEADINGS.map(str::len));
        for row in &cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if first {
            push(&mut text, widths, &HEADINGS.map(Cow::Borrowed), "REASON");
        }
        for (row, cells) in rows.iter().zip(&cells) {
            push(&mut text, widths, cells, &reason(row));
        }
        text
    }
}

fn push(text: &mut String, widths: &[usize; COLUMNS], cells: &[Cow<'_, str>; COLUMNS], last: &str) {
    let start = text.len();
    for (cell, width) in cells.iter().zip(widths) {
        // Writing into a string cannot fail.
        write!(text, "{cell:width$}  ").ok();
    }
    text.push_str(last);
    text.truncate(start.max(text.trim_end().len()));
    text.push('\n');
}

fn cells(row: &Row) -> [Cow<'_, str>; COLUMNS] {
    let target = [&row.tool, &row.resource_uri, &row.prompt].into_iter().flatten().next();
    let method = Some(&row.method).filter(|method| !method.is_empty());
    [
        time(row),
        cell(&row.decision),
        Cow::Borrowed(if row.forwarded { "yes" } else { "no" }),
        cell(&row.agent_id),
        optional(method),
        optional(target),
        Cow::Owned(format!("{:.1}", row.latency_ms)),
        // Eight digits find the row again.
        Cow::Owned(cell(&row.decision_id).chars().take(8).collect()),
    ]
}

fn optional(text: Option<&String>) -> Cow<'_, str> {
    text.map_or(Cow::Borrowed("-"), |text| cell(text))
}

fn time(row: &Row) -> Cow<'_, str> {
    match Timestamp::from_microsecond(row.timestamp_us) {
        Ok(at) => Cow::Owned(at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()),
        Err(_) => cell(&row.timestamp),
    }
}

/// Why it was denied, or else what went wrong.
fn reason(row: &Row) -> Cow<'_, str> {
    let error = || match (&row.error_kind, &row.error) {
        (Some(kind), Some(error)) => format!("{kind}: {error}"),
        (one, other) => one.as_ref().or(other.as_ref()).cloned().unwrap_or_default(),
    };
    match row.violations.as_ref().filter(|reasons| !reasons.is_empty()) {
        Some(reasons) => cut(reasons, MAX_REASON),
        None => Cow::Owned(cut(&error(), MAX_REASON).into_owned()),
    }
}

fn cell(text: &str) -> Cow<'_, str> {
    cut(text, MAX_CELL)
}

/// The text as it may be shown, in at most `most` characters.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    let shown = visible(text);
    if shown.chars().nth(most).is_none() {
        return shown;
    }
    shown.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
