//! `policy replay`: what other policies would have said of a real log.

use serde_json::{Value, json};

use crate::harness::gateway::Output;
use crate::harness::{Config, Gateway, Upstream};

const TODAY: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "no deleting", "rule": "deleting"} if input.tool == "delete_file"
"#;

const STRICTER: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "no deleting", "rule": "deleting"} if input.tool == "delete_file"

violations contains {"msg": "no writing", "rule": "writing"} if input.tool == "write_file"
"#;

const READS_ARGUMENTS: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "not there", "rule": "place"} if startswith(input.arguments.path, "/etc/")
"#;

/// A gateway on which some calls were made, and which has written them down.
fn worked(upstream: &Upstream, config: Config) -> Gateway {
    let config = config
        .policy(TODAY)
        .file("stricter/main.rego", STRICTER)
        .file("same/main.rego", TODAY)
        .file("weaker/main.rego", "package mcp.policy\n\ndefault allow := true\n")
        .file("places/main.rego", READS_ARGUMENTS);
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    client.call("read_file", json!({ "path": "/etc/passwd" }));
    client.call("write_file", json!({ "path": "notes" }));
    client.call("delete_file", json!({ "path": "notes" }));
    let calls = || gateway.recorded("tools/call") == 3;
    crate::harness::until("the rows are written", calls);
    assert_eq!(upstream.calls(), ["read_file", "write_file"]);
    gateway
}

#[track_caller]
fn replay(gateway: &Gateway, candidate: &str, more: &[&str]) -> (Output, Value) {
    let path = gateway.config.at(candidate);
    let args = ["policy", "replay", "--policies", path.to_str().unwrap(), "--format", "json"];
    let output = gateway.try_operate(&[&args, more].concat());
    let report = serde_json::from_str(&output.stdout).unwrap_or_default();
    (output, report)
}

#[test]
fn the_same_policies_say_the_same() {
    let upstream = Upstream::plain();
    let gateway = worked(&upstream, Config::new(upstream.addr));
    let (output, report) = replay(&gateway, "same", &[]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(report["evidence"]["mismatched"], 0, "{report}");
    assert!(report["evidence"]["reproduced"].as_u64().unwrap() >= 3, "{report}");
    assert_eq!(report["classes"]["newly_denied"], 0, "{report}");
}

#[test]
fn what_would_differ_is_found_with_an_example() {
    let upstream = Upstream::plain();
    let gateway = worked(&upstream, Config::new(upstream.addr));
    let (output, report) = replay(&gateway, "stricter", &[]);
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(report["classes"]["newly_denied"], 1, "{report}");
    let change = &report["changes"][0];
    assert_eq!((&change["tool"], &change["rule"]), (&json!("write_file"), &json!("writing")));
    assert_eq!(change["example"]["input"]["tool"], "write_file", "{change}");
    assert_eq!(replay(&gateway, "stricter", &["--fail-on", "newly-allowed"]).0.code, 0);
    let (output, report) = replay(&gateway, "weaker", &["--fail-on", "newly-allowed"]);
    assert_eq!((output.code, &report["classes"]["newly_allowed"]), (1, &json!(1)), "{report}");
}

#[test]
fn what_was_not_recorded_is_undecidable_and_never_undefined() {
    let upstream = Upstream::plain();
    let gateway = worked(&upstream, Config::new(upstream.addr));
    let (output, report) = replay(&gateway, "places", &[]);
    assert_eq!(output.code, 1, "{output:?}");
    let changes = report["changes"].as_array().unwrap();
    let calls = changes.iter().filter(|change| change["method"] == "tools/call");
    let found: Vec<_> = calls
        .map(|change| (change["class"].as_str().unwrap(), &change["example"]["now"]))
        .collect();
    assert_eq!(found, [("undecidable", &Value::Null); 3], "{report}");

    let upstream = Upstream::plain();
    let captured = Config::new(upstream.addr).set("audit.capture.request_arguments", true);
    let gateway = worked(&upstream, captured);
    let (output, report) = replay(&gateway, "places", &[]);
    let classes = &report["classes"];
    assert_eq!(
        (output.code, &classes["undecidable"], &classes["newly_denied"]),
        (1, &json!(0), &json!(1)),
        "{report}"
    );
}

#[test]
fn evidence_that_does_not_reproduce_stops_it() {
    // As if the row had been written by other policies than it names.
    let upstream = Upstream::plain();
    let gateway = worked(&upstream, Config::new(upstream.addr));
    crate::harness::python::sql(
        &gateway.config.db(),
        "UPDATE audit_log SET decision = 'allow' WHERE tool = 'delete_file' RETURNING id",
    );
    let (output, report) = replay(&gateway, "same", &[]);
    assert_eq!((output.code, &report["stopped"]), (2, &json!(true)), "{output:?}");
}
