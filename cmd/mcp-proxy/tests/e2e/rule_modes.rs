//! `policy.rules`: one rule is watched, or off, while the others deny.

use serde_json::json;

use crate::harness::gateway::sample;
use crate::harness::rows::only;
use crate::harness::{Config, Gateway, Upstream};

const TWO: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "no reading", "rule": "reading"} if input.tool == "read_file"

violations contains {"msg": "no files", "rule": "files"} if endswith(input.tool, "_file")
"#;

#[test]
fn a_watched_rule_passes_and_says_what_it_would_deny() {
    let upstream = Upstream::plain();
    for mode in ["observe", "warn"] {
        let config = Config::new(upstream.addr)
            .policy(TWO)
            .set("policy.rules", json!({ "files": mode }))
            .set("policy.mode", "enforce");
        let gateway = Gateway::start(config);
        let mut client = gateway.client();
        assert!(client.call("write_file", json!({}))["result"].is_object());
        let answer = client.call("read_file", json!({}));
        assert_eq!(answer["error"]["data"]["reasons"], json!(["no reading"]), "{answer}");
        let labels = [("decision", "would_deny"), ("stage", "request")];
        let page = gateway.scrape();
        assert_eq!(sample(&page, "mcp_proxy_policy_decisions_total", &labels), Some(1.0));
        let finished = gateway.stop();
        let warned = finished.stderr.lines().filter(|line| line.contains("no files")).count();
        assert_eq!(warned > 0, mode == "warn", "{}", finished.stderr);
        let rows = finished.rows();
        let row = only(&rows, "tools/call", "write_file");
        assert_eq!((row.text("decision"), row.number("forwarded")), ("would_deny", Some(1)));
        assert_eq!(row.0["reasons"][0]["rule"], "files");
        assert_eq!(row.0["reasons"][0]["mode"], mode);
        let place = row.0["reasons"][0]["at"].as_str().unwrap();
        assert!(place.ends_with("policies/main.rego:7"), "{place}");
        let row = only(&rows, "tools/call", "read_file");
        assert_eq!(row.text("decision"), "deny");
    }
}

#[test]
fn a_rule_that_is_off_says_nothing() {
    let upstream = Upstream::plain();
    let config =
        Config::new(upstream.addr).policy(TWO).set("policy.rules", json!({ "files": "off" }));
    let gateway = Gateway::start(config);
    assert!(gateway.client().call("write_file", json!({}))["result"].is_object());
    let rows = gateway.finish();
    assert_eq!(only(&rows, "tools/call", "write_file").text("decision"), "allow");
}

#[test]
fn a_name_that_no_rule_has_stops_the_start_with_the_nearest_one() {
    let upstream = Upstream::plain();
    let config =
        Config::new(upstream.addr).policy(TWO).set("policy.rules", json!({ "file": "observe" }));
    let mut gateway = Gateway::launch(config);
    assert_eq!(gateway.process.wait(), Some(2));
    let told = gateway.process.stderr();
    assert!(told.contains("`file`") && told.contains("`files`"), "{told}");
}

#[test]
fn audit_and_enforce_decide_alike_and_differ_in_what_is_forwarded() {
    let messages = [
        ("tools/call", json!({ "name": "echo", "arguments": { "message": "m" } })),
        ("tools/call", json!({ "name": "read_file", "arguments": {} })),
        ("tools/call", json!({ "name": "write_file", "arguments": { "path": [1, null] } })),
        ("tools/call", json!({ "name": "" })),
        ("tools/list", json!({})),
        ("resources/read", json!({ "uri": "demo://secret.txt" })),
        ("prompts/get", json!({ "name": "read_file" })),
        ("ping", json!({})),
        ("vendor/other", json!({ "tool": "read_file" })),
    ];
    let upstream = Upstream::plain();
    let [enforced, watched] = ["enforce", "audit"].map(|mode| {
        let config = Config::new(upstream.addr).policy(TWO).set("policy.mode", mode);
        let gateway = Gateway::start(config);
        let mut client = gateway.client();
        for (method, params) in &messages {
            client.request(method, params.clone());
        }
        gateway.finish()
    });
    assert_eq!(enforced.len(), watched.len());
    for (one, other) in enforced.iter().zip(&watched) {
        for column in ["method", "tool", "stage", "decision", "matched_rule", "violations"] {
            assert_eq!(one.0[column], other.0[column], "{column}: {one:?}\n{other:?}");
        }
        let denied = one.text("decision") == "deny";
        let forwarded = (one.number("forwarded"), other.number("forwarded"));
        let wanted = if denied { (Some(0), Some(1)) } else { (forwarded.1, forwarded.1) };
        assert_eq!(forwarded, wanted, "{one:?}\n{other:?}");
    }
    assert!(enforced.iter().any(|row| row.text("decision") == "deny"));
}
