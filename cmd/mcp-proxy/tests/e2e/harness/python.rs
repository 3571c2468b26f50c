//! Raw SQL over a database, by Python's own SQLite: a second reader, which
//! shares no code with the one under test.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const SCRIPT: &str = "
import json, sqlite3, sys
base = sqlite3.connect(sys.argv[1], timeout=10)
base.row_factory = sqlite3.Row
found = base.execute(sys.argv[2]).fetchall()
base.commit()
print(json.dumps([dict(row) for row in found]))
";

/// The rows that `query` yields, each an object with the names of the columns.
#[track_caller]
pub(crate) fn sql(db: &Path, query: &str) -> Vec<Value> {
    let output = Command::new("python3")
        .arg("-c")
        .arg(SCRIPT)
        .arg(db)
        .arg(query)
        .output()
        .expect("python3 is needed");
    assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one number that `query` yields.
#[track_caller]
pub(crate) fn number(db: &Path, query: &str) -> i64 {
    let rows = sql(db, query);
    rows[0].as_object().unwrap().values().next().unwrap().as_i64().unwrap()
}
