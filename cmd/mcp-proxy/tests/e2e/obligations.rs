//! What policy asks for besides a verdict is done, or the message is denied.

use serde_json::{Value, json};

use crate::harness::console::document;
use crate::harness::gateway::{error_of, sample};
use crate::harness::rows::only;
use crate::harness::{Config, Gateway, Modern, Upstream, WsClient, until};

/// A policy that asks for `obligation` for calls of `tool`.
fn asks(tool: &str, obligation: &Value) -> String {
    format!(
        "package mcp.policy\n\nimport rego.v1\n\ndefault allow := true\n\nobligations contains {obligation} if {{\n\tinput.stage == \"request\"\n\tinput.tool == \"{tool}\"\n}}\n"
    )
}

fn gateway(upstream: &Upstream, obligation: &Value) -> Gateway {
    Gateway::start(Config::new(upstream.addr).policy(&asks("echo", obligation)))
}

/// The arguments of the last call that reached the server.
#[track_caller]
fn arrived(upstream: &Upstream) -> Value {
    upstream.of_method("tools/call").last().expect("no call")["params"]["arguments"].clone()
}

#[test]
fn arguments_are_redacted_and_stripped_on_their_way_to_the_server() {
    let upstream = Upstream::plain();
    let sent = json!({ "message": "m", "cards": [{ "number": 1, "of": "ann" }, { "number": 2 }], "Num": 1.50 });
    for (obligation, left) in [
        (
            json!({ "action": "redact", "path": "/cards/*/number" }),
            json!({ "message": "m", "cards": [{ "number": "***", "of": "ann" }, { "number": "***" }], "Num": 1.5 }),
        ),
        (
            json!({ "action": "redact", "params": { "path": "/message", "with": "gone" } }),
            json!({ "message": "gone", "cards": [{ "number": 1, "of": "ann" }, { "number": 2 }], "Num": 1.5 }),
        ),
        (json!({ "action": "strip", "path": "/cards" }), json!({ "message": "m", "Num": 1.5 })),
        (json!({ "action": "strip", "path": "/nowhere/*" }), sent.clone()),
    ] {
        let gateway = gateway(&upstream, &obligation);
        let answer = gateway.client().call("echo", sent.clone());
        assert!(answer["result"].is_object(), "{obligation}: {answer}");
        assert_eq!(arrived(&upstream), left, "{obligation}");
        let rows = gateway.finish();
        let row = only(&rows, "tools/call", "echo");
        assert_eq!(row.text("decision"), "allow");
        assert!(row.0["obligations"].to_string().contains(obligation["action"].as_str().unwrap()));
    }
}

#[test]
fn results_are_redacted_on_their_way_to_the_client() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\nimport rego.v1\n\ndefault allow := true\n\nobligations contains {\"action\": \"redact\", \"path\": \"/content/*/text\"} if {\n\tinput.stage == \"response\"\n\tcontains(input.result.content[_].text, \"secret\")\n}\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let mut client = gateway.client();
    assert_eq!(client.call_text("echo", json!({ "message": "a secret" })), "***");
    assert_eq!(client.call_text("echo", json!({ "message": "nothing" })), "nothing");
    let mut modern = Modern::new(gateway.addr());
    let answer = modern.call("echo", json!({ "message": "a secret" }));
    assert_eq!(answer["result"]["content"][0]["text"], "***", "{answer}");
}

#[test]
fn nothing_is_changed_or_held_in_audit_mode() {
    let upstream = Upstream::plain();
    for obligation in [
        json!({ "action": "redact", "path": "/message" }),
        json!({ "action": "require_approval" }),
        json!({ "action": "rate_limit", "key": "agent", "per": "1h", "limit": 1 }),
    ] {
        let config = Config::new(upstream.addr)
            .policy(&asks("echo", &obligation))
            .set("policy.mode", "audit");
        let gateway = Gateway::start(config);
        let mut client = gateway.client();
        for _ in 0..2 {
            assert_eq!(client.call_text("echo", json!({ "message": "m" })), "m", "{obligation}");
        }
        let rows = gateway.finish();
        let last = rows.iter().rfind(|row| row.is("tools/call", "echo")).unwrap();
        let held = obligation["action"] != "redact";
        assert_eq!(last.text("decision"), if held { "deny" } else { "allow" }, "{obligation}");
        assert_eq!(last.number("forwarded"), Some(1));
    }
}

#[test]
fn n_allowed_means_n_also_over_reconnects() {
    let upstream = Upstream::plain();
    let limit = json!({ "action": "rate_limit", "key": "agent", "per": "1h", "limit": 3 });
    let gateway = gateway(&upstream, &limit);
    for number in 0..3 {
        let answer = gateway.client().call("echo", json!({}));
        assert!(answer["result"].is_object(), "{number}: {answer}");
    }
    let mut socket = WsClient::open(gateway.addr());
    socket.handshake();
    for answer in [
        gateway.client().call("echo", json!({})),
        gateway.legacy_client().call("echo", json!({})),
        socket.call("echo", json!({})),
        Modern::new(gateway.addr()).call("echo", json!({})),
    ] {
        assert_eq!(error_of(&answer), (-31003, "rate_limited".to_owned()));
        let data = &answer["error"]["data"];
        let wait = data["retry_after_ms"].as_u64().unwrap_or_else(|| panic!("{answer}"));
        assert!((3_500_000..=3_600_001).contains(&wait), "{answer}");
        assert_eq!(data["retryable"], true, "{answer}");
    }
    assert!(gateway.client().call("read_file", json!({}))["result"].is_object());
    assert_eq!(upstream.calls().iter().filter(|tool| *tool == "echo").count(), 3);
    assert_eq!(sample(&gateway.scrape(), "mcp_proxy_rate_limited_total", &[]), Some(4.0));
    let rows = gateway.finish();
    let kinds = rows.iter().filter(|row| row.text("error_kind") == "rate_limited");
    assert_eq!(kinds.count(), 4, "{rows:#?}");
}

#[test]
fn after_the_wait_that_was_told_a_message_passes_again() {
    let upstream = Upstream::plain();
    let limit =
        json!({ "action": "rate_limit", "key": ["session", "tool"], "per": "1s", "limit": 1 });
    let gateway = gateway(&upstream, &limit);
    let (mut ann, mut bob) = (gateway.client(), gateway.client());
    assert!(ann.call("echo", json!({}))["result"].is_object());
    let refused = ann.call("echo", json!({}));
    assert_eq!(error_of(&refused).0, -31003, "{refused}");
    assert!(bob.call("echo", json!({}))["result"].is_object(), "each session has its own");
    until("it passes again", || ann.call("echo", json!({}))["result"].is_object());
}

#[test]
fn keys_over_the_limit_share_counters() {
    let upstream = Upstream::plain();
    let limit = json!({ "action": "rate_limit", "key": "session", "per": "1h", "limit": 1 });
    for (keys, refused) in [(1, true), (65_536, false)] {
        let config =
            Config::new(upstream.addr).policy(&asks("echo", &limit)).set("limits.max_keys", keys);
        let gateway = Gateway::start(config);
        let calls = (0..200).map(|_| gateway.client().call("echo", json!({})));
        let found = calls.filter(|answer| answer["error"].is_object()).count();
        assert_eq!(found > 0, refused, "max_keys {keys}: {found} refused");
    }
}

#[test]
fn a_header_goes_to_the_server_where_there_are_headers() {
    let upstream = Upstream::plain();
    let header = json!({ "action": "set_header", "name": "X-Tenant", "value": "blue" });
    let gateway = gateway(&upstream, &header);
    let mut client = gateway.client();
    assert!(client.call("echo", json!({}))["result"].is_object());
    assert!(client.call("read_file", json!({}))["result"].is_object());
    let headers: Vec<Option<String>> = upstream
        .received()
        .iter()
        .filter(|one| one.message["method"] == "tools/call")
        .map(|one| one.head.header("x-tenant").map(str::to_owned))
        .collect();
    assert_eq!(headers, [Some("blue".to_owned()), None]);

    let server = Config::of(json!({})).file("server.py", crate::stdio_child::SERVER);
    let script = server.at("server.py").to_str().unwrap().to_owned();
    let child = Gateway::start(
        server
            .set("upstream", json!({ "command": ["python3", "-u", script] }))
            .policy(&asks("echo", &header)),
    );
    let answer = child.client().call("echo", json!({}));
    assert_eq!(error_of(&answer).1, "policy_error", "a pipe has no headers: {answer}");
}

#[test]
fn a_denial_has_the_error_that_policy_gives_it() {
    let upstream = Upstream::plain();
    let policy = r#"package mcp.policy

import rego.v1

deny contains "no" if input.tool == "echo"

obligations contains {"action": "deny_as", "code": -40001, "message": "come back on Monday"} if input.tool == "echo"
"#;
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let answer = gateway.client().call("echo", json!({}));
    assert_eq!(answer["error"]["code"], -40001, "{answer}");
    assert_eq!(answer["error"]["message"], "come back on Monday", "{answer}");
    assert_eq!(answer["error"]["data"]["kind"], "policy_denied", "{answer}");
}

#[test]
fn what_cannot_be_done_is_a_denial() {
    let upstream = Upstream::plain();
    for obligation in [
        json!({ "action": "dance" }),
        json!({ "action": "redact" }),
        json!({ "action": "redact", "kind": "email" }),
        json!({ "action": "tokenize", "path": "/message" }),
        json!({ "action": "rate_limit", "key": "phase_of_the_moon", "per": "1m", "limit": 3 }),
        json!({ "action": "rate_limit", "key": "agent", "per": "soon", "limit": 3 }),
        json!({ "action": "deny_as", "code": -32000, "message": "reserved" }),
        json!({ "action": "set_header", "name": "Content-Length", "value": "0" }),
        json!("redact"),
    ] {
        let gateway = gateway(&upstream, &obligation);
        let answer = gateway.client().call("echo", json!({}));
        assert_eq!(error_of(&answer), (-31001, "policy_error".to_owned()), "{obligation}");
        let rows = gateway.finish();
        assert_eq!(only(&rows, "tools/call", "echo").text("decision"), "error", "{obligation}");
    }
    assert!(upstream.calls().is_empty(), "{:?}", upstream.calls());
}

#[test]
fn alerts_and_lines_reach_the_operator() {
    let upstream = Upstream::plain();
    let policy = r#"package mcp.policy

import rego.v1

deny contains "no" if input.tool == "echo"

obligations contains {"action": "alert", "channel": "log", "severity": "high"} if input.tool == "echo"

obligations contains {"action": "log", "level": "warn"} if input.tool == "read_file"
"#;
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let mut client = gateway.client();
    let id = client.call("echo", json!({}))["error"]["data"]["decision_id"].clone();
    client.call("read_file", json!({}));
    let high = [("severity", "high")];
    assert_eq!(sample(&gateway.scrape(), "mcp_proxy_alerts_total", &high), Some(1.0));
    let finished = gateway.stop();
    let line =
        |text: &str| finished.stderr.lines().find(|line| line.contains(text)).map(str::to_owned);
    let alert = line("alert").unwrap_or_else(|| panic!("{}", finished.stderr));
    assert!(alert.contains(id.as_str().unwrap()) && alert.contains("high"), "{alert}");
    let asked = line("asks for this line").unwrap_or_else(|| panic!("{}", finished.stderr));
    assert!(asked.contains("read_file") && asked.contains("WARN"), "{asked}");
}

#[test]
fn the_third_step_of_a_toxic_flow_is_denied_whichever_it_is() {
    let upstream = Upstream::plain();
    let legs = json!({ "private_data": ["read_file"], "untrusted_content": ["write_file"], "egress": ["echo"] });
    let data = json!({ "toxic_flow": { "enabled": true, "legs": legs } }).to_string();
    let config = Config::new(upstream.addr)
        .file(
            "policies/toxic_flow/toxic_flow.rego",
            &document("policies/toxic_flow/toxic_flow.rego"),
        )
        .file("policies/toxic_flow/data.json", &data);
    let gateway = Gateway::start(config);
    let steps = ["read_file", "write_file", "echo"];
    for last in steps {
        let mut client = gateway.client();
        for _ in 0..2 {
            for step in steps.into_iter().filter(|step| *step != last) {
                let answer = client.call(step, json!({}));
                assert!(answer["result"].is_object(), "two are fine: {step}: {answer}");
            }
        }
        let answer = client.call(last, json!({}));
        assert_eq!(answer["error"]["data"]["rule"], "toxic_flow", "{last}: {answer}");
    }
}
