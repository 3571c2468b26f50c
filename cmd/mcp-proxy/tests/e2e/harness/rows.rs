//! The audit log as `mcp-proxy audit query` shows it.

use std::path::Path;

use serde_json::Value;

use super::gateway::run;

/// One row of `audit_log`.
#[derive(Clone, Debug)]
pub(crate) struct Row(pub(crate) Value);

impl Row {
    /// The text of a column; empty for NULL and for a column that is not there.
    pub(crate) fn text(&self, column: &str) -> &str {
        self.0[column].as_str().unwrap_or_default()
    }

    /// The number of a column; booleans count as 0 and 1.
    pub(crate) fn number(&self, column: &str) -> Option<i64> {
        self.0[column].as_i64().or_else(|| self.0[column].as_bool().map(i64::from))
    }

    pub(crate) fn is(&self, method: &str, tool: &str) -> bool {
        self.text("method") == method && self.text("tool") == tool
    }
}

/// All rows of the log, oldest first. Reads an array as well as one object a line.
#[track_caller]
pub(crate) fn rows(db: &Path) -> Vec<Row> {
    let output = run(&[
        "audit",
        "query",
        "--db",
        db.to_str().unwrap(),
        "--format",
        "json",
        "--limit",
        "100000",
    ]);
    assert_eq!(output.code, 0, "audit query: {}", output.stderr);
    let mut found = parse(&output.stdout);
    found.sort_by_key(|row| row.number("seq").or_else(|| row.number("id")));
    found
}

/// Reads what `audit query --format json` prints.
#[track_caller]
pub(crate) fn parse(text: &str) -> Vec<Row> {
    if text.trim_start().starts_with('[') {
        let list: Vec<Value> = serde_json::from_str(text).unwrap();
        return list.into_iter().map(Row).collect();
    }
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| Row(serde_json::from_str(line).unwrap()))
        .collect()
}

/// The only row of that method and tool.
#[track_caller]
pub(crate) fn only<'a>(rows: &'a [Row], method: &str, tool: &str) -> &'a Row {
    let found: Vec<&Row> = rows.iter().filter(|row| row.is(method, tool)).collect();
    assert_eq!(found.len(), 1, "rows of {method} {tool} among {rows:#?}");
    found[0]
}
