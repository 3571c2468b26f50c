use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use domain::{
    Agent, AuditEvent, ErrorKind, Evidence, Identity, Latency, Mode, Obligation, Reason, RuleMode,
    SessionState, Stage, Transport,
};
use serde_json::{Value, json};

use crate::{Capture, fixture};

const EVERYTHING: Capture =
    Capture { request_arguments: true, response_summary: true, max_bytes: 64 };

/// The rows of some events, as JSON.
fn stored(capture: Capture, events: &[Box<AuditEvent>]) -> Vec<Value> {
    let (config, _directory) = fixture::config();
    fixture::write(&config.db_path, capture, events);
    fixture::rows(&config.db_path).iter().map(|row| serde_json::to_value(row).unwrap()).collect()
}

fn full_event() -> Box<AuditEvent> {
    let mut event = fixture::denied(7);
    event.received_at += Duration::from_micros(42);
    event.agent = Arc::new(Agent {
        id: "agent".into(),
        name: "The Agent".into(),
        capabilities: vec!["read:*".into(), "wr\"ite".into()],
        ..Agent::default()
    });
    event.identity =
        Arc::new(Identity { verified: true, method: "key".into(), did: "did:web:x".into() });
    event.stage = Stage::List;
    event.mode = Mode::Audit;
    event.transport = Transport::Sse;
    event.source_ip = Some(IpAddr::from([127, 0, 0, 1]));
    event.user_agent = Some("client/1".into());
    event.resource_uri = Some("db://me:pw@host/x?token=t".into());
    event.prompt = Some("greet".into());
    event.arguments = Some(r#"{"n": 1.50, "password": "x"}"#.into());
    event.forwarded = true;
    let rule = Some("r".to_owned());
    let watched = Reason {
        message: "second".into(),
        rule,
        at: Some("a.rego:3".into()),
        mode: RuleMode::Observe,
        ..Reason::default()
    };
    event.reasons = Arc::new(["first".into(), watched]);
    event.obligations = Arc::new([Obligation::Log { level: "info".into() }]);
    event.evidence = Evidence {
        rules: Some(r#"[{"rule":"r","at":"a.rego:3"}]"#.into()),
        facts: Some(r#"{"agent":{"id":"agent"}}"#.into()),
        tool: Some(r#"{"digest":"d","changed":false}"#.into()),
        request_count: Some(9),
        state: Some(Arc::new(SessionState { bytes_out: 5, ..SessionState::default() })),
        approval: Some("ap-1".into()),
        config_revision: Some("c1".into()),
        no_arguments: false,
    };
    let nanos = Duration::from_nanos;
    event.latency = Latency {
        total: nanos(2_500_000),
        policy: nanos(1),
        inspect: nanos(2),
        upstream: nanos(3),
    };
    event.response_summary = Some("2 items".into());
    event.error_kind = Some(ErrorKind::UpstreamTimeout);
    event.error = Some("no answer in 5s".into());
    event
}

#[test]
fn every_field_reaches_its_column() {
    let rows = stored(EVERYTHING, &[full_event()]);
    let expected = r#"[{
        "id": 1,
            "seq": 1,
        "timestamp": "2026-11-20T10:40:07.000042Z",
        "timestamp_us": 1795171207000042,
        "request_id": "00000007-0000-0000-0000-000000000000",
        "decision_id": "00000000-0000-0000-0000-000000000007",
        "session_id": "s-1",
        "agent_id": "agent",
        "agent_name": "The Agent",
        "capabilities": ["read:*", "wr\"ite"],
        "identity_verified": true,
        "did": "did:web:x",
        "method": "tools/call",
        "tool": "read_file",
        "resource_uri": "db://***@host/x?token=***",
        "prompt": "greet",
        "arguments": {"n": 1.50, "password": "***"},
        "redactions": ["/resource", "/arguments/password"],
        "decision": "deny",
        "allowed": false,
        "forwarded": true,
        "mode": "audit",
        "policy_mode": "audit",
        "stage": "list",
        "matched_rule": "data.mcp.policy.deny",
        "violations": "first; second",
        "reasons": [
            {"message": "first"},
            {"message": "second", "rule": "r", "at": "a.rego:3", "mode": "observe"}
        ],
        "rules": [{"rule": "r", "at": "a.rego:3"}],
        "obligations": [{"action": "log", "level": "info"}],
        "approval": "ap-1",
        "policy_revision": "r1",
        "config_revision": "c1",
        "facts_id": 1,
        "tool_facts_id": 2,
        "request_count": 9,
        "session_state": {
            "cumulative_reads": 0,
            "cumulative_writes": 0,
            "tools_used": {},
            "taints": [],
            "bytes_out": 5
        },
        "server": "files",
        "source_ip": "127.0.0.1",
        "environment": "test",
        "transport": "sse",
        "user_agent": "client/1",
        "protocol_version": "2025-06-18",
        "server_version": "2025-11-25",
        "latency_ms": 2.5,
        "latency_total_ns": 2500000,
        "latency_policy_ns": 1,
        "latency_inspect_ns": 2,
        "latency_upstream_ns": 3,
        "request_bytes": 300,
        "response_bytes": 500,
        "response_summary": "2 items",
        "error_kind": "upstream_timeout",
        "error": "no answer in 5s"
    }]"#;
    assert_eq!(Value::from(rows), serde_json::from_str::<Value>(expected).unwrap());
}

#[test]
fn what_an_event_lacks_is_null() {
    let mut event = fixture::event(0);
    event.session_id = None;
    event.environment = "".into();
    event.server = "".into();
    event.tool = None;
    event.protocol_version = None;
    event.server_version = None;
    event.policy_revision = None;
    event.request_bytes = u64::MAX;
    let rows = stored(EVERYTHING, &[event]);
    let null = [
        "session_id",
        "agent_name",
        "did",
        "tool",
        "resource_uri",
        "prompt",
        "arguments",
        "matched_rule",
        "violations",
        "reasons",
        "rules",
        "obligations",
        "approval",
        "config_revision",
        "facts_id",
        "tool_facts_id",
        "request_count",
        "session_state",
        "policy_revision",
        "server",
        "source_ip",
        "environment",
        "user_agent",
        "protocol_version",
        "server_version",
        "response_summary",
        "error_kind",
        "error",
    ];
    for column in null {
        assert_eq!(rows[0][column], Value::Null, "{column}");
    }
    assert_eq!(rows[0]["capabilities"], json!([]));
    assert_eq!(rows[0]["allowed"], true);
    assert_eq!(rows[0]["request_bytes"], i64::MAX);
}

#[test]
fn the_capabilities_are_those_of_the_events_own_agent() {
    let agents = ["a", "b", "a"]
        .map(|name| Arc::new(Agent { capabilities: vec![name.into()], ..Agent::default() }));
    let events = [0, 0, 1, 2].map(|agent| {
        let mut event = fixture::event(0);
        event.agent = Arc::clone(&agents[agent]);
        event
    });
    let rows = stored(EVERYTHING, &events);
    let found: Vec<&Value> = rows.iter().map(|row| &row["capabilities"][0]).collect();
    assert_eq!(found, ["a", "a", "b", "a"]);
}

#[track_caller]
fn check_arguments(capture: Capture, arguments: &str, expected: &str) {
    let (config, _directory) = fixture::config();
    let mut event = fixture::event(0);
    event.arguments = Some(arguments.into());
    fixture::write(&config.db_path, capture, &[event]);
    let rows = fixture::rows(&config.db_path);
    let found = rows[0].arguments.as_ref().map_or("NULL", crate::Json::as_str);
    assert_eq!(found, expected, "{arguments}");
}

#[test]
fn arguments_are_kept_as_configured() {
    let long = format!(r#"{{"token":"{}","text":"äöü{}"}}"#, "s".repeat(100), "x".repeat(100));
    let kept = |max_bytes| Capture { max_bytes, ..EVERYTHING };
    check_arguments(Capture::default(), r#"{"a":1}"#, "NULL");
    check_arguments(kept(64), r#"{"a": 1e2}"#, r#"{"a": 1e2}"#);
    check_arguments(kept(64), r#"{"a": "#, "NULL");
    check_arguments(kept(10), r#"{"a":"bc"}"#, r#"{"a":"bc"}"#);
    check_arguments(
        kept(9),
        r#"{"a":"bc"}"#,
        r#"{"$truncated":{"bytes":10,"head":"{\"a\":\"bc\""}}"#,
    );
    check_arguments(kept(0), r#"{"a":"bc"}"#, r#"{"$truncated":{"bytes":10,"head":""}}"#);
    // Cut after masking, and between characters: the 26th byte is half an umlaut.
    check_arguments(
        kept(26),
        &long,
        r#"{"$truncated":{"bytes":228,"head":"{\"token\":\"***\",\"text\":\"ä"}}"#,
    );
}

#[track_caller]
fn check_redactions(capture: Capture, change: impl FnOnce(&mut AuditEvent), expected: Value) {
    let mut event = fixture::event(0);
    change(&mut event);
    assert_eq!(stored(capture, &[event])[0]["redactions"], expected);
}

#[test]
fn a_row_says_what_it_does_not_hold_as_policy_saw_it() {
    let with = |arguments: &str| {
        let arguments = arguments.into();
        move |event: &mut AuditEvent| event.arguments = Some(arguments)
    };
    let masked = r#"{"a":[{"token":{"b":1}},{"x/y~":{"p.password":"***"}}],"max_tokens":3}"#;
    let secrets = json!(["/arguments/a/0/token", "/arguments/a/1/x~1y~0/p.password"]);
    check_redactions(Capture { max_bytes: 200, ..EVERYTHING }, with(masked), secrets);
    check_redactions(EVERYTHING, |_| {}, json!([]));
    check_redactions(EVERYTHING, with(r#"{"a":1}"#), json!([]));
    check_redactions(EVERYTHING, with(&format!("{:70}", "{}")), json!(["/arguments"]));
    check_redactions(EVERYTHING, with("no json"), json!(["/arguments"]));
    let many = json!(vec![json!({ "token": 1 }); 1000]).to_string();
    check_redactions(
        Capture { max_bytes: 1 << 20, ..EVERYTHING },
        with(&many),
        json!(["/arguments"]),
    );
    check_redactions(Capture::default(), |_| {}, Value::Null);
    check_redactions(Capture::default(), |event| event.evidence.no_arguments = true, json!([]));
    let long = |event: &mut AuditEvent| event.tool = Some("t".repeat(5000).into());
    check_redactions(EVERYTHING, long, json!(["/tool"]));
    check_redactions(Capture::default(), long, json!(["/tool", "/arguments"]));
}

#[test]
fn summaries_are_cut_and_masked() {
    #[track_caller]
    fn check(summary: &str, max_bytes: usize, expected: &str) {
        let mut event = fixture::event(0);
        event.response_summary = Some(summary.into());
        let rows = stored(Capture { max_bytes, ..EVERYTHING }, &[event]);
        assert_eq!(rows[0]["response_summary"], expected);
    }
    check("abcdef", 100, "abcdef");
    check("abcdef", 3, "abc… [6 bytes]");
    check(r#"{"password":"hunter2","n":1}"#, 100, r#"{"password":"***","n":1}"#);
    check(r#"{"password":"hunter2"#, 100, "20 bytes");
}

#[test]
fn long_texts_are_cut() {
    let mut event = fixture::event(0);
    event.method = "m".repeat(5000).into();
    event.resource_uri = Some(format!("x://{}", "u".repeat(5000)).into());
    let rows = stored(EVERYTHING, &[event]);
    assert_eq!(rows[0]["method"], format!("{}… [5000 bytes]", "m".repeat(4096)));
    assert_eq!(rows[0]["resource_uri"], format!("x://{}… [5004 bytes]", "u".repeat(4092)));
}

#[test]
fn sql_in_any_field_is_stored_as_it_is() {
    let hostile = "'); DROP TABLE audit_log; --\"\0`%_\\ü\n";
    let mut event = fixture::denied(0);
    event.session_id = Some(hostile.into());
    event.agent = Arc::new(Agent {
        id: hostile.into(),
        name: hostile.into(),
        capabilities: vec![hostile.into()],
        ..Agent::default()
    });
    event.identity = Arc::new(Identity { verified: false, method: "".into(), did: hostile.into() });
    event.user_agent = Some(hostile.into());
    event.environment = hostile.into();
    event.method = hostile.into();
    event.tool = Some(hostile.into());
    event.resource_uri = Some(hostile.into());
    event.prompt = Some(hostile.into());
    event.arguments = Some(json!({ hostile: hostile }).to_string().into());
    event.matched_rule = Some(hostile.into());
    event.reasons = Arc::new([hostile.into()]);
    event.obligations = Arc::new([Obligation::Taint { label: hostile.into() }]);
    event.evidence.rules = Some(json!([hostile]).to_string().into());
    event.evidence.facts = Some(hostile.into());
    event.evidence.approval = Some(hostile.into());
    event.evidence.config_revision = Some(hostile.into());
    event.policy_revision = Some(hostile.into());
    event.server = hostile.into();
    event.response_summary = Some(hostile.into());
    event.error = Some(hostile.into());
    let rows = stored(Capture { max_bytes: 4096, ..EVERYTHING }, &[event]);
    let plain = [
        "session_id",
        "agent_id",
        "agent_name",
        "did",
        "user_agent",
        "environment",
        "method",
        "tool",
        "resource_uri",
        "prompt",
        "matched_rule",
        "violations",
        "policy_revision",
        "server",
        "response_summary",
        "error",
        "approval",
        "config_revision",
    ];
    for column in plain {
        assert_eq!(rows[0][column], hostile, "{column}");
    }
    assert_eq!(rows[0]["capabilities"], json!([hostile]));
    assert_eq!(rows[0]["arguments"], json!({ hostile: hostile }));
    assert_eq!(rows[0]["reasons"], json!([{ "message": hostile }]));
    assert_eq!(rows[0]["obligations"], json!([{ "action": "taint", "label": hostile }]));
    assert_eq!(rows[0]["rules"], json!([hostile]));
}

#[test]
fn odd_times_are_stored() {
    let mut before = fixture::event(0);
    before.received_at = UNIX_EPOCH - Duration::from_micros(1);
    let mut late = fixture::event(0);
    late.received_at = UNIX_EPOCH + Duration::from_secs(400_000_000_000);
    let rows = stored(EVERYTHING, &[before, late]);
    assert_eq!(rows[0]["timestamp"], "1969-12-31T23:59:59.999999Z");
    assert_eq!(rows[0]["timestamp_us"], -1);
    assert!(rows[1]["timestamp"].as_str().unwrap().starts_with("9999-12-"));
    assert_eq!(rows[1]["timestamp_us"], 400_000_000_000_000_000_i64);
}
