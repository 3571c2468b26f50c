//! `require_approval`: the call waits for a person, or its sender is told to.

use serde_json::{Value, json};

use crate::harness::gateway::{error_of, sample};
use crate::harness::rows::only;
use crate::harness::{Config, Gateway, Upstream, run, until, until_some};

const ASKS: &str = r#"package mcp.policy

import rego.v1

default allow := true

obligations contains {"action": "require_approval", "message": "writing is for people to allow"} if {
	input.stage == "request"
	input.tool == "write_file"
}
"#;

fn config(upstream: &Upstream) -> Config {
    Config::new(upstream.addr).policy(ASKS)
}

fn waiting(gateway: &Gateway) -> Vec<Value> {
    let listed = gateway.operate(&["approvals", "list", "--format", "json"]);
    serde_json::from_str(&listed).unwrap()
}

/// The question that an answer names.
#[track_caller]
fn asked(answer: &Value) -> String {
    assert_eq!(error_of(answer), (-31007, "approval_required".to_owned()), "{answer}");
    answer["error"]["data"]["approval"].as_str().expect("no question is named").to_owned()
}

#[test]
fn a_person_is_asked_and_what_they_grant_passes_once() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(config(&upstream).set("agent.id", "ann"));
    let mut client = gateway.client();
    let answer = client.call("write_file", json!({ "path": "a" }));
    let question = asked(&answer);
    assert_eq!(answer["error"]["data"]["unlock"]["approval"], true, "{answer}");
    assert_eq!(answer["error"]["message"], "writing is for people to allow", "{answer}");
    assert!(upstream.calls().is_empty());
    let listed = waiting(&gateway);
    assert_eq!(listed.len(), 1, "{listed:?}");
    for (member, wanted) in
        [("id", &*question), ("agent", "ann"), ("tool", "write_file"), ("state", "pending")]
    {
        assert_eq!(listed[0][member], wanted, "{listed:?}");
    }
    assert_eq!(asked(&client.call("write_file", json!({ "path": "a" }))), question, "asked once");

    gateway.operate(&["approvals", "grant", &question, "--note", "fine"]);
    assert!(waiting(&gateway).is_empty());
    let other = asked(&client.call("write_file", json!({ "path": "b" })));
    assert_ne!(other, question, "the grant is for these arguments");
    assert!(client.call("write_file", json!({ "path": "a" }))["result"].is_object());
    assert_ne!(asked(&client.call("write_file", json!({ "path": "a" }))), question, "and for once");
    assert_eq!(upstream.calls(), ["write_file"]);
    until("the answer is recorded", || gateway.recorded("gateway/approval") == 1);
    let counted =
        |result| sample(&gateway.scrape(), "mcp_proxy_approvals_total", &[("result", result)]);
    assert_eq!((counted("pending"), counted("granted")), (Some(4.0), Some(1.0)));
    let rows = gateway.finish();
    let passed = rows
        .iter()
        .find(|row| row.number("forwarded") == Some(1) && row.text("tool") == "write_file");
    assert_eq!(passed.expect("no row").text("approval"), question);
    let act = only(&rows, "gateway/approval", "");
    assert!(act.0["reasons"].to_string().contains("fine"), "{act:?}");
}

#[test]
fn what_a_person_denies_stays_denied() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(config(&upstream));
    let mut client = gateway.client();
    let question = asked(&client.call("write_file", json!({ "path": "a" })));
    gateway.operate(&["approvals", "deny", &question]);
    for _ in 0..2 {
        let answer = client.call("write_file", json!({ "path": "a" }));
        assert_eq!(error_of(&answer), (-31001, "policy_denied".to_owned()), "{answer}");
        assert_eq!(answer["error"]["data"]["rule"], "require_approval", "{answer}");
    }
    assert!(upstream.calls().is_empty());
}

#[test]
fn a_wider_grant_lets_more_pass() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(config(&upstream));
    let mut client = gateway.client();
    let question = asked(&client.call("write_file", json!({ "path": "a" })));
    let grant = ["approvals", "grant", &question, "--scope", "tool", "--uses", "2", "--for", "1h"];
    gateway.operate(&grant);
    for path in ["b", "c"] {
        let answer = gateway.client().call("write_file", json!({ "path": path }));
        assert!(answer["result"].is_object(), "in any session: {answer}");
    }
    asked(&client.call("write_file", json!({ "path": "d" })));
}

#[test]
fn a_call_that_waits_goes_on_when_it_is_granted() {
    let upstream = Upstream::plain();
    let config = config(&upstream).set("approval.wait", "30s").set("approval.db_path", "asked.db");
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    client.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "write_file", "arguments": {} } }));
    let db = gateway.config.at("asked.db");
    let db = db.to_str().unwrap();
    let question = until_some("the question is there", || {
        let listed = run(&["approvals", "list", "--db", db, "--format", "json"]);
        let questions: Value = serde_json::from_str(&listed.stdout).ok()?;
        questions[0]["id"].as_str().map(str::to_owned)
    });
    assert!(upstream.calls().is_empty());
    assert_eq!(run(&["approvals", "grant", &question, "--db", db]).code, 0);
    assert!(client.answer_to(&json!(1))["result"].is_object());
    assert_eq!(upstream.calls(), ["write_file"]);
}

#[test]
fn a_question_that_nobody_answers_expires() {
    let upstream = Upstream::plain();
    let config = config(&upstream).set("approval.wait", "1s").set("approval.expires", "1s");
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    let first = asked(&client.call("write_file", json!({})));
    until("another question is asked", || asked(&client.call("write_file", json!({}))) != first);
    assert_ne!(gateway.try_operate(&["approvals", "grant", &first]).code, 0, "it is over");
}
