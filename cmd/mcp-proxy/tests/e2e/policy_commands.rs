//! `policy check`, `test` and `explain` on real folders and a real log.

use serde_json::{Value, json};

use crate::harness::{Config, Gateway, Upstream, run, run_in, until};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// Checks a folder with one file of that text, and finds `told` in what is wrong with it.
#[track_caller]
fn refused(text: &str, told: &str) {
    let dir = folder(&[("p/main.rego", text)]);
    let output = run_in(dir.path(), &["policy", "check", "p"], &[]);
    assert_eq!(output.code, 1, "{text}\n{output:?}");
    assert!(output.stdout.contains("p/main.rego:") && output.stdout.contains(told), "{output:?}");
}

#[test]
fn check_names_the_place_and_what_was_meant() {
    let rule =
        |body: &str| format!("package mcp.policy\n\nimport rego.v1\n\ndeny if {{ {body} }}\n");
    refused(&rule("input.agent.nme == \"x\""), "`input.agent.name`");
    refused(&rule("startswth(input.tool, \"x\")"), "`startswth`");
    refused(&rule("x == 1"), "x");
    refused(&rule("input.stage == \"list\"\n\tinput.arguments.path == \"x\""), "list");
    refused("package mcp.policy\n\nimport rego.v1\n\ndeny if a\n\na if b\n\nb if a\n", "recursion");
    refused("package mcp.policy\n\nimport rego.v1\n\ndeny if {\n", "main.rego:");
    refused(&rule("http.send({\"url\": \"http://127.0.0.1\"}).status_code == 200"), "`http.send`");
    refused(&rule("opa.runtime().env.HOME"), "`opa.runtime`");
    refused(&rule("count(numbers.range(0, input.request.size)) > 5"), "`numbers.range`");
}

#[test]
fn check_writes_what_machines_read() {
    let dir = folder(&[(
        "p/main.rego",
        "package mcp.policy\n\nimport rego.v1\n\ndeny if input.usr == 1\n",
    )]);
    let written = |format: &str| {
        let output = run_in(dir.path(), &["policy", "check", "p", "--format", format], &[]);
        assert_eq!(output.code, 1, "{output:?}");
        output.stdout
    };
    let sarif: Value = serde_json::from_str(&written("sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "p/main.rego", "{sarif}");
    assert_eq!(place["region"]["startLine"], 5, "{sarif}");
    assert!(written("github").starts_with("::error file=p/main.rego,line=5"));
    assert!(written("junit").contains("<testsuite"));
}

#[test]
fn tests_fail_below_their_threshold_and_say_which_lines_are_missing() {
    let dir = folder(&[
        (
            "p/main.rego",
            "package mcp.policy\n\nimport rego.v1\n\ndeny if input.tool == \"a\"\n\ndeny if {\n\tinput.tool == \"b\"\n\tinput.method == \"tools/call\"\n}\n",
        ),
        (
            "p/main_test.rego",
            "package mcp.policy_test\n\nimport rego.v1\n\ntest_a if data.mcp.policy.deny with input as {\"tool\": \"a\"}\n",
        ),
    ]);
    let test = |threshold: &str| {
        run_in(dir.path(), &["policy", "test", "p", "--threshold", threshold], &[])
    };
    let output = test("100");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("p/main.rego: 9"), "{output:?}");
    assert_eq!(test("50").code, 0);
}

#[test]
fn the_shipped_policies_pass_their_own_tests_and_checks() {
    let policies = crate::harness::console::root().join("policies");
    let policies = policies.to_str().unwrap();
    let checked = run(&["policy", "check", "--strict", policies]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    let tested = run(&["policy", "test", policies, "--threshold", "100"]);
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
}

#[test]
fn a_decision_is_explained_from_the_log() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .set("audit.capture.request_arguments", true)
        .set("policy.policy_dir", "policies");
    let gateway = Gateway::start(config);
    let answer = gateway.client().call("delete_file", json!({ "path": "/tmp/x" }));
    let id = answer["error"]["data"]["decision_id"].as_str().unwrap();
    until("the row is written", || gateway.recorded("tools/call") == 1);
    let text = gateway.operate(&["policy", "explain", id]);
    for part in [
        "policies/main.rego:5",
        "nobody may delete /tmp/x",
        "delete_file",
        gateway_revision(&gateway).get(..12).unwrap(),
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    assert_ne!(gateway.try_operate(&["policy", "explain", "no-such-decision"]).code, 0);
}

/// The revision of the policy in force, as rows have it.
fn gateway_revision(gateway: &Gateway) -> String {
    let rows = crate::harness::rows(&gateway.config.db());
    rows[0].text("policy_revision").to_owned()
}
