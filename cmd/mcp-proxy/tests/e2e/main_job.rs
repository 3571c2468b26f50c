//! The main job: one call allowed, one denied with its reason, one row each.

use serde_json::{Value, json};

use crate::harness::rows::only;
use crate::harness::{Config, Gateway, Kind, Row, Upstream};

/// Every transport and manner of answering that an upstream can have.
const KINDS: [(&str, Kind); 5] = [
    ("stateful json", Kind { stateful: true, sse: false, legacy: None }),
    ("stateful sse", Kind { stateful: true, sse: true, legacy: None }),
    ("stateless json", Kind { stateful: false, sse: false, legacy: None }),
    ("stateless sse", Kind { stateful: false, sse: true, legacy: None }),
    ("legacy", Kind { stateful: false, sse: false, legacy: Some("/sse") }),
];

fn config_for(upstream: &Upstream, kind: Kind) -> Config {
    match kind.legacy {
        Some(path) => Config::of(
            json!({ "url": format!("http://{}{path}", upstream.addr), "transport": "sse" }),
        ),
        None => Config::new(upstream.addr),
    }
}

#[test]
fn an_allowed_call_is_forwarded_and_answered() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    assert_eq!(client.call_text("echo", json!({ "message": "hello" })), "hello");
    assert_eq!(upstream.calls(), ["echo"]);

    let rows = gateway.finish();
    let row = only(&rows, "tools/call", "echo");
    assert_eq!(row.text("decision"), "allow");
    assert_eq!(row.number("forwarded"), Some(1));
    assert_eq!(row.number("allowed"), Some(1));
    assert_eq!(row.text("mode"), "enforce");
    assert_eq!(row.text("stage"), "request");
    assert_eq!(row.text("source_ip"), "127.0.0.1");
    assert_eq!(row.text("protocol_version"), "2025-06-18");
    for column in [
        "request_id",
        "session_id",
        "decision_id",
        "policy_revision",
        "timestamp",
        "transport",
        "server",
    ] {
        assert!(!row.text(column).is_empty(), "{column} is empty in {row:?}");
    }
    assert_utc_with_microseconds(row.text("timestamp"));
}

#[track_caller]
fn assert_utc_with_microseconds(text: &str) {
    let shape: String =
        text.chars().map(|letter| if letter.is_ascii_digit() { '9' } else { letter }).collect();
    let wanted = "9999-99-99T99:99:99.999999";
    assert!(shape == format!("{wanted}Z") || shape == format!("{wanted}+99:99"), "{text}");
    assert!(text.ends_with('Z') || text.ends_with("+00:00"), "{text}");
}

#[test]
fn a_denied_call_says_why_and_never_leaves_the_gateway() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    assert_eq!(client.call_text("echo", json!({ "message": "warm" })), "warm");
    upstream.wait_for("the handshake is over", |message| {
        message["method"] == "notifications/initialized"
    });
    let before = (upstream.bytes(), upstream.connections());
    let answer = client.call("delete_file", json!({ "path": "/tmp/a" }));
    assert_eq!(
        (upstream.bytes(), upstream.connections()),
        before,
        "something reached the server: {:?}",
        upstream.messages()
    );

    let error = &answer["error"];
    assert_eq!(error["code"], -31001, "{answer}");
    assert!(error["message"].is_string(), "{answer}");
    let data = &error["data"];
    assert_eq!(data["kind"], "policy_denied", "{answer}");
    assert_eq!(data["reasons"], json!(["nobody may delete /tmp/a"]), "{answer}");
    assert_eq!(data["matched_rule"], "no_delete", "{answer}");
    assert_eq!(data["policy_mode"], "enforce", "{answer}");
    for member in ["decision_id", "request_id", "docs"] {
        assert!(
            data[member].as_str().is_some_and(|text| !text.is_empty()),
            "{member} is missing: {answer}"
        );
    }

    let rows = gateway.finish();
    let row = only(&rows, "tools/call", "delete_file");
    assert_eq!(row.text("decision"), "deny");
    assert_eq!(row.number("forwarded"), Some(0));
    assert_eq!(row.number("allowed"), Some(0));
    assert_eq!(row.text("mode"), "enforce");
    assert_eq!(row.text("matched_rule"), "no_delete");
    assert_eq!(reasons(row), ["nobody may delete /tmp/a"]);
    assert_eq!(row.text("decision_id"), data["decision_id"]);
    assert_eq!(row.text("request_id"), data["request_id"]);
}

/// The texts of the reasons of a row.
fn reasons(row: &Row) -> Vec<&str> {
    row.0["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|reason| reason["message"].as_str())
        .collect()
}

#[test]
fn audit_mode_forwards_and_writes_down_what_it_would_have_denied() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("policy.mode", "audit"));
    let mut client = gateway.client();
    assert_eq!(client.call_text("delete_file", json!({ "path": "/tmp/a" })), "ran delete_file");
    assert_eq!(upstream.calls(), ["delete_file"]);

    let rows = gateway.finish();
    let row = only(&rows, "tools/call", "delete_file");
    assert_eq!(row.text("decision"), "deny");
    assert_eq!(row.number("allowed"), Some(0));
    assert_eq!(row.number("forwarded"), Some(1));
    assert_eq!(row.text("mode"), "audit");
    assert_eq!(reasons(row), ["nobody may delete /tmp/a"]);
}

#[test]
fn policy_switched_off_forwards_all_and_still_records() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("policy.enabled", false));
    let mut client = gateway.client();
    assert_eq!(client.call_text("delete_file", json!({})), "ran delete_file");
    let rows = gateway.finish();
    assert_eq!(only(&rows, "tools/call", "delete_file").number("forwarded"), Some(1));
}

#[test]
fn initialize_list_call_list_call_works_with_every_kind_of_server() {
    for (name, kind) in KINDS {
        let upstream = Upstream::start(kind);
        let gateway = Gateway::start(config_for(&upstream, kind));
        let mut client = gateway.client();
        for round in 0..2 {
            let list = client.request("tools/list", json!({}));
            let tools =
                list["result"]["tools"].as_array().unwrap_or_else(|| panic!("{name}: {list}"));
            assert!(tools.iter().any(|tool| tool["name"] == "echo"), "{name}: {list}");
            let said = format!("{name} {round}");
            assert_eq!(client.call_text("echo", json!({ "message": said })), said);
        }
        let denied = client.call("delete_file", json!({}));
        assert_eq!(denied["error"]["code"], -31001, "{name}: {denied}");
        assert_eq!(upstream.calls(), ["echo", "echo"], "{name}");

        let rows = gateway.finish();
        let wanted = [
            "initialize",
            "notifications/initialized",
            "tools/call",
            "tools/call",
            "tools/call",
            "tools/list",
            "tools/list",
        ];
        let mut methods: Vec<&str> = rows.iter().map(|row| row.text("method")).collect();
        methods.sort_unstable();
        assert_eq!(methods, wanted, "{name}: exactly one row a message");
        assert!(
            rows.iter().all(|row| row.text("session_id") == rows[0].text("session_id")),
            "{name}: {rows:#?}"
        );
    }
}

#[test]
fn a_client_of_the_old_transport_gets_the_same() {
    for (name, kind) in KINDS {
        let upstream = Upstream::start(kind);
        let gateway = Gateway::start(config_for(&upstream, kind));
        let mut client = gateway.legacy_client();
        for _ in 0..2 {
            assert!(
                client.request("tools/list", json!({}))["result"]["tools"].is_array(),
                "{name}"
            );
            let answer = client.call("echo", json!({ "message": "old" }));
            assert_eq!(answer["result"]["content"][0]["text"], "old", "{name}: {answer}");
        }
        let denied = client.call("delete_file", json!({}));
        assert_eq!(denied["error"]["code"], -31001, "{name}: {denied}");
        assert_eq!(upstream.calls(), ["echo", "echo"], "{name}");
        let rows = gateway.finish();
        assert_eq!(
            rows.iter().filter(|row| row.text("method") == "tools/call").count(),
            3,
            "{name}: {rows:#?}"
        );
        assert_eq!(rows.len(), 7, "{name}: {rows:#?}");
    }
}

#[test]
fn every_method_goes_through_policy() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\ndeny if not input.method in {\"initialize\", \"notifications/initialized\"}\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let mut client = gateway.client();
    upstream.wait_for("the handshake is over", |message| {
        message["method"] == "notifications/initialized"
    });
    let before = upstream.messages().len();
    let methods = [
        ("ping", json!({})),
        ("tools/list", json!({})),
        ("tools/call", json!({ "name": "echo", "arguments": {} })),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({ "uri": "file:///etc/shadow" })),
        ("resources/subscribe", json!({ "uri": "demo://x" })),
        ("prompts/list", json!({})),
        ("prompts/get", json!({ "name": "open" })),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "open" }, "argument": { "name": "a", "value": "b" } }),
        ),
        ("logging/setLevel", json!({ "level": "debug" })),
        ("vendor/never-heard-of", json!({ "x": 1 })),
    ];
    for (method, params) in &methods {
        let answer = client.request(method, params.clone());
        assert_eq!(answer["error"]["code"], -31001, "{method}: {answer}");
    }
    assert_eq!(client.notify("notifications/roots/list_changed", json!({})).body, b"");
    assert_eq!(upstream.messages().len(), before, "{:?}", upstream.messages());

    let rows = gateway.finish();
    for (method, _) in &methods {
        let found: Vec<&Row> = rows.iter().filter(|row| row.text("method") == *method).collect();
        assert_eq!(found.len(), 1, "{method}: {rows:#?}");
        assert_eq!(
            (found[0].text("decision"), found[0].number("forwarded")),
            ("deny", Some(0)),
            "{method}"
        );
    }
    let denied =
        rows.iter().find(|row| row.text("method") == "notifications/roots/list_changed").unwrap();
    assert_eq!(denied.text("decision"), "deny");
}

#[test]
fn an_allow_list_denies_every_use_it_does_not_name() {
    let upstream = Upstream::plain();
    let policy =
        "package mcp.policy\n\ndefault allow := false\n\nallow if input.tool == \"echo\"\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let mut client = gateway.client();
    assert_eq!(client.call_text("echo", json!({ "message": "named" })), "named");
    for (method, params) in [
        ("tools/call", json!({ "name": "read_file", "arguments": {} })),
        ("resources/read", json!({ "uri": "file:///etc/shadow" })),
        ("resources/subscribe", json!({ "uri": "demo://x" })),
        ("prompts/get", json!({ "name": "open" })),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "open" }, "argument": { "name": "a", "value": "b" } }),
        ),
        ("vendor/never-heard-of", json!({})),
    ] {
        let answer = client.request(method, params);
        assert_eq!(answer["error"]["code"], -31001, "{method}: {answer}");
        assert!(
            upstream.of_method(method).iter().all(|message| message["params"]["name"] == "echo"),
            "{method} was forwarded"
        );
    }
}

#[test]
fn policy_sees_both_shapes_of_the_input() {
    let upstream = Upstream::plain();
    let policy = r#"package mcp.policy

default allow := true

violations contains "tool" if input.arguments.path == input.request.arguments.path
violations contains "resource" if {
	input.resource == "file:///etc/shadow"
	input.request.resource == input.resource
}
violations contains "prompt" if {
	input.prompt == "open"
	input.request.prompt == "open"
}
violations contains "context" if {
	input.method == "logging/setLevel"
	input.stage == "request"
	input.agent.id == "bot"
	input.agent.name == "Bot"
	"read:*" in input.agent.capabilities
	input.agent.model == "m1"
	input.agent.publisher == "p1"
	"blue" in input.agent.tags
	"reader" in input.agent.roles
	input.session.id != ""
	input.session.request_count >= 2
	input.session.client.name == "e2e"
	input.session.protocol_version == "2025-06-18"
	input.context.source_ip == "127.0.0.1"
	input.context.environment == "staging"
	input.identity.verified == false
	input.server.transport != ""
	input.request.params.level == "debug"
}
"#;
    let config = Config::new(upstream.addr)
        .policy(policy)
        .set("agent", json!({ "id": "bot", "name": "Bot", "capabilities": ["read:*"], "model": "m1", "publisher": "p1", "tags": ["blue"], "roles": ["reader"] }))
        .set("policy.environment", "staging");
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    let cases = [
        ("tools/call", json!({ "name": "read_file", "arguments": { "path": "/x" } }), "tool"),
        ("resources/read", json!({ "uri": "file:///etc/shadow" }), "resource"),
        ("prompts/get", json!({ "name": "open" }), "prompt"),
        ("logging/setLevel", json!({ "level": "debug" }), "context"),
    ];
    for (method, params, reason) in cases {
        let answer = client.request(method, params);
        assert_eq!(answer["error"]["data"]["reasons"], json!([reason]), "{method}: {answer}");
    }
    let rows = gateway.finish();
    let row = only(&rows, "tools/call", "read_file");
    assert_eq!((row.text("agent_id"), row.text("agent_name")), ("bot", "Bot"));
    assert_eq!(row.text("environment"), "staging");
    let read = rows.iter().find(|row| row.text("method") == "resources/read").unwrap();
    assert_eq!(read.text("resource_uri"), "file:///etc/shadow");
}

#[test]
fn a_decision_that_reads_arguments_is_not_answered_from_memory() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\ndefault allow := false\n\nallow if input.method != \"tools/call\"\n\nallow if startswith(input.arguments.path, \"/tmp/\")\n";
    let config = Config::new(upstream.addr).policy(policy).set("policy.cache.enabled", true);
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.call_text("read_file", json!({ "path": "/tmp/a" })), "ran read_file");
        assert_eq!(
            client.call("read_file", json!({ "path": "/etc/shadow" }))["error"]["code"],
            -31001
        );
    }
    assert_eq!(upstream.calls().len(), 3);
}

#[test]
fn a_limit_on_requests_is_exact_with_the_cache_on() {
    let upstream = Upstream::plain();
    let policy =
        "package mcp.policy\n\ndefault allow := true\n\ndeny if input.session.request_count > 10\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    for _ in 0..2 {
        let mut client = gateway.client();
        let answers: Vec<Value> =
            (0..20).map(|_| client.call("echo", json!({ "message": "m" }))).collect();
        let allowed = answers.iter().take_while(|answer| answer.get("result").is_some()).count();
        // The handshake counts too: its two messages leave eight, or nine when only requests count.
        assert!((8..=9).contains(&allowed), "{allowed} calls were allowed");
        assert!(
            answers[allowed..].iter().all(|answer| answer["error"]["code"] == -31001),
            "a later call got through"
        );
    }
}

#[test]
fn fields_and_numbers_that_nobody_knows_come_through_unchanged() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    let list = client.request("tools/list", json!({}));
    assert_eq!(list["result"]["tools"][0]["x-unknown"], json!({ "kept": true }), "{list}");
    assert_eq!(list["result"]["x-page"], 7, "{list}");

    let answer = client.post_raw(
        br#"{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"odd_number","arguments":{"n":1.50,"big":12345678901234567890123},"x-mine":true}}"#,
    );
    let text = answer.text();
    for part in [
        "\"price\":1.50",
        "\"big\":12345678901234567890123",
        "\"e\":1E+2",
        "\"x-new\":[1]",
        "\"id\":9007199254740993",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let raw = String::from_utf8(upstream.received().last().unwrap().raw.clone()).unwrap();
    for part in ["\"n\":1.50", "\"big\":12345678901234567890123", "\"x-mine\":true"] {
        assert!(raw.contains(part), "{part} is not in {raw}");
    }
    let failed = client.call("fails", json!({}));
    assert_eq!(
        failed["error"],
        json!({ "code": -32050, "message": "the tool failed", "data": { "why": "because" } })
    );
}
