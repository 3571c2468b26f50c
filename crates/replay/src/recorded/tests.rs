use audit::Row;
use serde_json::json;

use super::{Library, steps};
use crate::fixture::{Log, call, judge};

#[test]
fn a_row_becomes_the_input_that_policy_saw() {
    let policy = judge("allow := true");
    let message =
        call(7, "write_file", r#"{"path":"/a","token":"t","big":12345678901234567890.0}"#)
            .tool_says(r#"{"readOnlyHint": false}"#)
            .with(|it| it.source_ip = Some([10, 0, 0, 1].into()));
    let log = Log::of(&**policy.engine(), &[message]);
    let mut rows: Vec<Row> = Vec::new();
    log.reader
        .history(&audit::Filter { limit: u32::MAX, ..Default::default() }, |row| rows.push(row))
        .unwrap();
    let recorded = Library::new(&log.reader).recorded(&rows[0]).unwrap();
    let arguments = json!({ "path": "/a", "big": 12345678901234567890.0 });
    let expected = json!({
        "method": "tools/call", "tool": "write_file", "arguments": arguments, "stage": "request",
        "request": { "size": 100, "method": "tools/call", "tool": "write_file", "arguments": arguments },
        "agent": { "id": "agent-1", "name": "", "capabilities": ["read:*"], "model": "m-1",
            "publisher": "", "tags": [], "roles": [] },
        "identity": { "verified": false, "method": "configured", "did": "" },
        "session": { "id": "s-1", "request_count": 7, "started_at": "2026-11-20T10:40:00Z",
            "protocol_version": "2025-06-18", "client": { "name": "client" },
            "cumulative_reads": 0, "cumulative_writes": 0, "tools_used": {}, "taints": [], "bytes_out": 0 },
        "server": { "name": "files", "transport": "stdio",
            "tool": { "annotations": { "readOnlyHint": false }, "digest": "d", "changed": false } },
        "context": { "timestamp": "2026-11-20T10:40:07Z", "source_ip": "10.0.0.1",
            "environment": "test", "transport": "http" },
        "findings": [],
    });
    assert_eq!(recorded.document(), expected);
    let missing = recorded.missing();
    assert_eq!(missing[3..], ["input.request.arguments.token", "input.arguments.token"]);
}

#[test]
fn pointers_are_read_as_they_are_written() {
    assert_eq!(steps("/a~1b/~0c/0/~01"), ["a/b", "~c", "0", "~1"]);
    assert_eq!(steps(""), [""; 0]);
}
