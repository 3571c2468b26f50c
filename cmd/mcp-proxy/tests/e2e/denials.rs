//! What an agent is told of a denial, and in which form.

use serde_json::json;

use crate::harness::gateway::error_of;
use crate::harness::rows::only;
use crate::harness::{Config, Gateway, Modern, Upstream};

const RULES: &str = r#"package mcp.policy

import rego.v1

violations contains {
	"msg": "deleting needs a person",
	"rule": "no_delete",
	"severity": "high",
	"owasp": "MCP02",
	"remedy": "ask in #files",
	"scope": "files:delete",
} if input.tool == "delete_file"

violations contains {"msg": "the secret stays", "rule": "secret"} if input.resource == "demo://secret.txt"
"#;

#[test]
fn a_denial_says_what_an_agent_can_do_and_nothing_of_the_policy() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).policy(RULES));
    let answer = gateway.client().call("delete_file", json!({}));
    let data = &answer["error"]["data"];
    for (member, wanted) in [
        ("kind", json!("policy_denied")),
        ("reasons", json!(["deleting needs a person"])),
        ("rule", json!("no_delete")),
        ("remedy", json!("ask in #files")),
        ("unlock", json!({ "approval": false, "scopes": ["files:delete"] })),
        ("retryable", json!(false)),
    ] {
        assert_eq!(data[member], wanted, "{member}: {answer}");
    }
    assert!(!answer.to_string().contains("main.rego"), "{answer}");
    let rows = gateway.finish();
    let row = only(&rows, "tools/call", "delete_file");
    assert_eq!(row.text("decision_id"), data["decision_id"]);
    let reason = &row.0["reasons"][0];
    assert_eq!((&reason["severity"], &reason["owasp"]), (&json!("high"), &json!("MCP02")));
    assert!(reason["at"].as_str().unwrap().ends_with("policies/main.rego:5"), "{reason}");
}

#[test]
fn deny_as_tool_error_answers_a_call_with_a_result_that_models_read() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr).policy(RULES).set("policy.deny_as", "tool_error");
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    let mut modern = Modern::new(gateway.addr());
    for answer in [client.call("delete_file", json!({})), modern.call("delete_file", json!({}))] {
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(
            text.contains("deleting needs a person") && text.contains("ask in #files"),
            "{text}"
        );
    }
    let answer = client.request("resources/read", json!({ "uri": "demo://secret.txt" }));
    assert_eq!(error_of(&answer).0, -31001, "only calls of tools have such a result: {answer}");
    assert!(upstream.calls().is_empty());
    let rows = gateway.finish();
    let denied = rows.iter().filter(|row| row.is("tools/call", "delete_file"));
    assert!(denied.map(|row| row.text("decision")).eq(["deny", "deny"]), "{rows:#?}");
}

#[test]
fn hide_denied_answers_as_if_there_were_no_such_thing() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr).policy(RULES).set("policy.hide_denied", true);
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    for answer in [
        client.call("delete_file", json!({})),
        client.request("resources/read", json!({ "uri": "demo://secret.txt" })),
    ] {
        assert_ne!(answer["error"]["code"], -31001, "{answer}");
        let text = answer.to_string();
        for hint in ["denied", "policy", "person", "secret stays", "no_delete", "decision"] {
            assert!(!text.contains(hint), "tells `{hint}`: {answer}");
        }
    }
    let rows = gateway.finish();
    let row = only(&rows, "tools/call", "delete_file");
    assert_eq!((row.text("decision"), row.text("matched_rule")), ("deny", "no_delete"));
}

#[test]
fn policy_sees_the_headers_that_are_named_and_no_other() {
    let upstream = Upstream::plain();
    let policy = r#"package mcp.policy

import rego.v1

violations contains {"msg": sprintf("%v", [input.context.headers]), "rule": "seen"} if input.tool == "echo"
"#;
    let config =
        Config::new(upstream.addr).policy(policy).set("policy.headers", json!(["X-Tenant"]));
    let gateway = Gateway::start(config);
    let call =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "echo" } });
    let session = gateway.client().session.unwrap();
    let answer = crate::harness::Conn::open(gateway.addr()).request(
        "POST",
        "/mcp",
        &[
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("Mcp-Session-Id", &session),
            ("X-Tenant", "blue"),
            ("X-Other", "green"),
        ],
        call.to_string().as_bytes(),
    );
    assert_eq!(answer.json()["error"]["message"], r#"{"x-tenant": "blue"}"#, "{}", answer.text());
}

#[test]
fn policies_written_in_json_decide_with_the_others() {
    let upstream = Upstream::plain();
    let json = |tool: &str| {
        json!({ "version": "1.0", "name": "office", "rules": [
            { "id": "none", "type": "blocklist", "conditions": { "match_type": "tool", "values": [tool] }, "message": "%{agent.id} may not use %{tool}" } ] })
        .to_string()
    };
    let config = Config::new(upstream.addr)
        .file("policies/json/office.json", &json("read_file"))
        .file("more/extra.json", &json("write_file").replace("office", "extra"))
        .set("agent.id", "ann");
    let more = config.at("more").to_str().unwrap().to_owned();
    let gateway = Gateway::start(config.set("policy.json_policy_dir", more));
    let mut client = gateway.client();
    for (tool, rule) in
        [("read_file", "office/none"), ("write_file", "extra/none"), ("delete_file", "no_delete")]
    {
        let answer = client.call(tool, json!({}));
        assert_eq!(answer["error"]["data"]["rule"], rule, "{tool}: {answer}");
    }
    let answer = client.call("read_file", json!({}));
    assert_eq!(answer["error"]["message"], "ann may not use read_file", "{answer}");
    assert!(client.call("echo", json!({}))["result"].is_object());
}
