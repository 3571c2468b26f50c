//! The audit log: every message has its row, and no row says more than it may.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::harness::python::{number, sql};
use crate::harness::rows::only;
use crate::harness::{Config, Gateway, Kind, Upstream, rows, until};

const STATELESS: Kind = Kind { stateful: false, sse: false, legacy: None };

#[test]
fn three_thousand_calls_in_a_row_leave_three_thousand_rows() {
    let upstream = Upstream::start(STATELESS);
    // A queue of ten rows: a log that cannot keep up must slow the calls down, not lose rows.
    let gateway = Gateway::start(
        Config::new(upstream.addr).set("audit.buffer_size", 10).set("audit.max_wait", "20s"),
    );
    let mut client = gateway.client();
    for number in 0..3_000 {
        let said = number.to_string();
        assert_eq!(client.call_text("echo", json!({ "message": said })), said);
    }
    let finished = gateway.stop();
    let db = finished.config.db();
    assert_eq!(number(&db, "SELECT count(*) FROM audit_log WHERE method = 'tools/call'"), 3_000);
    assert_eq!(number(&db, "SELECT count(*) FROM audit_log"), 3_002);
    assert_eq!(number(&db, "SELECT count(DISTINCT request_id) FROM audit_log"), 3_002);
    assert_eq!(number(&db, "SELECT count(DISTINCT decision_id) FROM audit_log"), 3_002);
    assert_eq!(
        number(&db, "SELECT max(id) - min(id) FROM audit_log"),
        3_001,
        "the numbers of the rows have a hole"
    );
}

#[test]
fn twenty_thousand_calls_from_sixteen_connections_leave_twenty_thousand_rows() {
    let upstream = Upstream::start(STATELESS);
    let gateway = Gateway::start(Config::new(upstream.addr));
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let mut client = gateway.client();
            std::thread::spawn(move || {
                for number in 0..1_250 {
                    let tool = if number % 5 == 0 { "delete_file" } else { "echo" };
                    let answer = client.call(tool, json!({ "message": "m" }));
                    assert_eq!(answer.get("error").is_some(), number % 5 == 0, "{answer}");
                }
            })
        })
        .collect();
    assert_eq!(threads.into_iter().filter_map(|thread| thread.join().err()).count(), 0);
    assert_eq!(upstream.calls().len(), 16_000);
    let finished = gateway.stop();
    let db = finished.config.db();
    assert_eq!(number(&db, "SELECT count(*) FROM audit_log"), 20_000 + 32);
    assert_eq!(
        number(&db, "SELECT count(*) FROM audit_log WHERE decision = 'deny' AND forwarded = 0"),
        4_000
    );
    assert_eq!(
        number(
            &db,
            "SELECT count(*) FROM audit_log WHERE method = 'tools/call' AND decision = 'allow' AND forwarded = 1"
        ),
        16_000
    );
    assert_eq!(number(&db, "SELECT count(DISTINCT id) FROM audit_log"), 20_032);
}

#[test]
fn arguments_are_absent_unless_configured_and_secrets_are_masked() {
    let secrets = json!({
        "path": "/tmp/plain", "password": "hunter2-a", "api_key": "hunter2-b", "nested": { "Authorization": "Bearer hunter2-c" },
        "list": [{ "client_secret": "hunter2-d" }], "access_token": "hunter2-e", "privateKey": "hunter2-f",
    });
    for (capture, shown) in [(None, false), (Some(false), false), (Some(true), true)] {
        let upstream = Upstream::plain();
        let mut config = Config::new(upstream.addr);
        if let Some(capture) = capture {
            config = config.set("audit.capture.request_arguments", capture);
        }
        let gateway = Gateway::start(config);
        let mut client = gateway.client();
        client.call("read_file", secrets.clone());
        client.call("delete_file", secrets.clone());
        let finished = gateway.stop();
        let rows = finished.rows();
        for tool in ["read_file", "delete_file"] {
            let arguments = only(&rows, "tools/call", tool).0["arguments"].to_string();
            assert_eq!(arguments.contains("/tmp/plain"), shown, "{tool} {capture:?}: {arguments}");
        }
        for entry in std::fs::read_dir(finished.config.root()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                let leaked = bytes.windows(8).any(|window| window == b"hunter2-");
                assert!(!leaked, "a secret lies in {} ({capture:?})", path.display());
            }
        }
        assert!(
            !finished.stderr.contains("hunter2-"),
            "a secret is in the log: {}",
            finished.stderr
        );
    }
}

#[test]
fn a_summary_of_the_answer_is_kept_only_when_configured() {
    for capture in [false, true] {
        let upstream = Upstream::plain();
        let gateway = Gateway::start(
            Config::new(upstream.addr).set("audit.capture.response_summary", capture),
        );
        gateway.client().call("echo", json!({ "message": "the answer" }));
        let rows = gateway.finish();
        assert_eq!(
            only(&rows, "tools/call", "echo").0["response_summary"].is_null(),
            !capture,
            "{rows:#?}"
        );
    }
}

#[test]
fn a_message_that_its_client_abandons_still_has_its_row() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    let mut other = client.beside();
    client.send(&json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": { "name": "hold", "arguments": {} } }));
    upstream.wait_for("the call arrives", |message| message["params"]["name"] == "hold");
    client.hang_up();
    assert_eq!(other.call_text("echo", json!({ "message": "m" })), "m");
    upstream.release();
    let rows = gateway.finish();
    let row = only(&rows, "tools/call", "hold");
    assert_eq!(row.number("forwarded"), Some(1), "{row:?}");
}

#[test]
fn the_file_is_private_versioned_and_has_the_documented_views() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    client.call("echo", json!({}));
    client.call("delete_file", json!({}));
    let db = gateway.config.db();
    for end in ["", "-wal", "-shm"] {
        let path = std::path::PathBuf::from(format!("{}{end}", db.display()));
        if let Ok(found) = std::fs::metadata(&path) {
            assert_eq!(found.permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }
    let finished = gateway.stop();
    let db = finished.config.db();
    assert!(number(&db, "PRAGMA user_version") >= 1);
    assert_eq!(sql(&db, "PRAGMA integrity_check")[0]["integrity_check"], "ok");
    for view in ["audit_recent", "audit_denials", "audit_hourly", "audit_by_agent", "audit_by_tool"]
    {
        assert!(number(&db, &format!("SELECT count(*) FROM {view}")) >= 1, "{view} is empty");
    }
    assert_eq!(number(&db, "SELECT count(*) FROM audit_denials"), 1);
    let columns: HashSet<String> = sql(&db, "SELECT name FROM pragma_table_xinfo('audit_log')")
        .iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect();
    for wanted in [
        "id",
        "request_id",
        "session_id",
        "timestamp",
        "latency_ms",
        "agent_id",
        "agent_name",
        "capabilities",
        "method",
        "tool",
        "resource_uri",
        "arguments",
        "identity_verified",
        "did",
        "allowed",
        "matched_rule",
        "violations",
        "policy_mode",
        "source_ip",
        "environment",
        "decision",
        "forwarded",
        "mode",
        "stage",
        "decision_id",
        "policy_revision",
        "reasons",
        "obligations",
        "server",
        "response_summary",
        "error_kind",
        "protocol_version",
        "transport",
        "user_agent",
    ] {
        assert!(columns.contains(wanted), "no column {wanted} in {columns:?}");
    }
}

#[test]
fn sql_and_control_characters_are_stored_as_they_came() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let tools = [
        "'; DROP TABLE audit_log; --",
        "a\"b\\c",
        "new\nline",
        "\u{1b}[31mred",
        "NUL \u{1}",
        "\u{1f600}",
    ];
    let mut client = gateway.client();
    for tool in tools {
        client.call(tool, json!({}));
    }
    let finished = gateway.stop();
    let rows = finished.rows();
    for tool in tools {
        only(&rows, "tools/call", tool);
    }
    assert!(!finished.stderr.contains('\u{1b}'), "a control character of a client reached the log");
    assert!(
        finished.stderr.lines().all(|line| line.trim() != "line"),
        "a client wrote a log line of its own"
    );
}

#[test]
fn rows_older_than_the_retention_are_removed_and_others_kept() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    for _ in 0..10 {
        client.call("echo", json!({}));
    }
    let finished = gateway.stop();
    let db = finished.config.db();
    let whole = number(&db, "SELECT count(*) FROM audit_log");
    let columns = sql(&db, "SELECT name, type FROM pragma_table_info('audit_log')");
    let stamps: Vec<&str> = columns
        .iter()
        .filter(|column| column["type"] == "INTEGER")
        .filter_map(|column| column["name"].as_str())
        .filter(|name| ["timestamp", "unix", "time_"].iter().any(|part| name.contains(part)))
        .collect();
    assert_eq!(stamps.len(), 1, "one integer column of time: {columns:?}");
    let stamp = stamps[0];
    // Five rows are made three days old; the unit of the column is read from its size.
    let now = number(&db, &format!("SELECT max({stamp}) FROM audit_log"));
    let second = if now > 100_000_000_000_000_000 {
        1_000_000_000
    } else if now > 100_000_000_000_000 {
        1_000_000
    } else {
        1_000
    };
    sql(
        &db,
        &format!(
            "UPDATE audit_log SET {stamp} = {stamp} - 3 * 86400 * {second}, timestamp = strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now', '-3 days') WHERE id <= (SELECT min(id) + 4 FROM audit_log)"
        ),
    );
    for (days, wanted) in [(0, whole), (30, whole), (2, whole - 5)] {
        let mut config = Config::new(upstream.addr).set("audit.retention_days", days);
        config = config.set("audit.db_path", db.to_str().unwrap());
        let gateway = Gateway::start(config);
        until(&format!("retention of {days} days leaves {wanted} rows"), || {
            number(&db, "SELECT count(*) FROM audit_log") == wanted
        });
        assert_eq!(gateway.stop().code, 0);
        assert_eq!(number(&db, "SELECT count(*) FROM audit_log"), wanted, "{days} days");
    }
}

#[test]
fn a_killed_gateway_starts_again_on_the_same_log() {
    let upstream = Upstream::plain();
    let mut gateway = Gateway::start(Config::new(upstream.addr));
    for round in 1..=3_i64 {
        let mut client = gateway.client();
        for _ in 0..50 {
            client.call("echo", json!({}));
        }
        let db = gateway.config.db();
        until("the rows are on disk", || {
            number(&db, "SELECT count(*) FROM audit_log") == round * 52
        });
        gateway = gateway.crash_and_restart();
        assert_eq!(number(&db, "SELECT count(*) FROM audit_log"), round * 52);
        assert_eq!(sql(&db, "PRAGMA integrity_check")[0]["integrity_check"], "ok");
    }
    let ids: Vec<i64> = gateway.finish().iter().filter_map(|row| row.number("id")).collect();
    assert!(
        ids.windows(2).all(|pair| pair[0] < pair[1]),
        "numbers go on where they stopped: {ids:?}"
    );
}

#[test]
fn rows_are_written_within_the_flush_interval() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(
        Config::new(upstream.addr)
            .set("audit.flush_interval", "50ms")
            .set("audit.buffer_size", 10_000),
    );
    gateway.client().call("echo", json!({}));
    let db = gateway.config.db();
    until("the row is written while the gateway runs", || {
        db.exists() && rows(&db).iter().any(|row| row.is("tools/call", "echo"))
    });
}

#[test]
fn what_the_client_was_told_is_what_the_row_says() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    let told: Vec<Value> =
        (0..5).map(|_| client.call("delete_file", json!({}))["error"]["data"].clone()).collect();
    let rows = gateway.finish();
    for data in told {
        let row = rows
            .iter()
            .find(|row| row.text("decision_id") == data["decision_id"])
            .expect("no row of that decision");
        assert_eq!(row.text("request_id"), data["request_id"]);
        assert_eq!(row.text("error_kind"), "policy_denied");
    }
}
