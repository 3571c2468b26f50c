//! `policy learn`: what agents were seen to do becomes a policy that passes its
//! own checks, allows what it was learned from, and denies the rest.

use serde_json::{Value, json};

use crate::harness::{Config, Gateway, Upstream, run_in, until};

#[test]
fn what_was_seen_is_allowed_and_the_rest_is_not() {
    let upstream = Upstream::plain();
    let allow = "package mcp.policy\n\ndefault allow := true\n";
    let config = Config::new(upstream.addr)
        .set("audit.capture.request_arguments", true)
        .set("agent.id", "ann")
        .policy(allow)
        .file(
            "policies/data.json",
            r#"{"tool_capabilities": {"read_file": "a", "delete_file": "a"}}"#,
        );
    let gateway = Gateway::start(config);
    for number in 0..10 {
        let mut client = gateway.client();
        client.request("tools/list", json!({}));
        for part in ["notes", "plan"] {
            client.call("read_file", json!({ "path": format!("/srv/docs/{part}-{number}.md") }));
        }
    }
    until("the rows are written", || gateway.recorded("tools/call") == 20);
    let out = gateway.config.at("learned");
    let out = out.to_str().unwrap();
    let printed = gateway.operate(&["policy", "learn", "--out", out, "--format", "json"]);
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["training"]["newly_denied"], 0, "{report}");
    assert!(report["holdout"]["newly_denied_rate"].is_number(), "{report}");

    let dir = gateway.config.root();
    let checked = run_in(dir, &["policy", "check", "--strict", "learned"], &[]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let tested = run_in(dir, &["policy", "test", "learned"], &[]);
    assert_eq!(tested.code, 0, "{tested:?}");
    let unused = gateway.operate(&["policy", "learn", "--unused", "--format", "json"]);
    assert!(unused.contains("delete_file") && !unused.contains("read_file"), "{unused}");

    let config = Config::new(upstream.addr).set("agent.id", "ann").set("policy.policy_dir", out);
    let learned = Gateway::start(config);
    let mut client = learned.client();
    client.request("tools/list", json!({}));
    let seen = client.call("read_file", json!({ "path": "/srv/docs/notes-3.md" }));
    assert!(seen["result"].is_object(), "{seen}");
    for (tool, arguments) in [
        ("delete_file", json!({ "path": "/srv/docs/notes-3.md" })),
        ("read_file", json!({ "path": "/etc/shadow" })),
    ] {
        let answer = client.call(tool, arguments);
        assert_eq!(answer["error"]["code"], -31001, "{tool}: {answer}");
    }
}
