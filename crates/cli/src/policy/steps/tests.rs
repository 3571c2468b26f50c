use policy::{Config, Sources};

use super::*;

const POLICY: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "no", "rule": "etc"} if {
	input.tool == "write_file"
	print("path is", input.arguments.path)
	startswith(input.arguments.path, "/etc/")
}

violations contains {
	"msg": "never",
	"rule": "never",
} if {
	input.tool == "other"
	input.arguments.path
}
"#;

fn traced(path: &str) -> Trace {
    let sources = Sources::from_texts(&[("p.rego", POLICY)]).unwrap();
    let input = json!({"method": "tools/call", "tool": "write_file", "arguments": {"path": path}});
    let mut trace = policy::trace(&sources, &Config::default(), &input.to_string()).unwrap();
    // The baseline is not what is tested here.
    trace.definitions.retain(|it| it.file == "p.rego");
    trace
}

#[track_caller]
fn check(path: &str, explain: Explain, expected: &str) {
    assert_eq!(pretty(&traced(path), explain), expected);
}

#[test]
fn notes_are_what_was_printed() {
    check("/etc/x", Explain::Notes, "  p.rego:7: path is /etc/x\n");
    check("/tmp/\u{1b}", Explain::Notes, "  p.rego:7: path is /tmp/\\u{1b}\n");
}

#[test]
fn fails_are_the_conditions_that_do_not_hold() {
    let other = "  p.rego:11 data.mcp.policy.violations stopped at\n    p.rego:15: input.tool == \"other\"\n";
    check("/etc/x", Explain::Fails, &format!("  p.rego:7: path is /etc/x\n{other}"));
    let etc = "  p.rego:5 data.mcp.policy.violations stopped at\n    p.rego:8: startswith(input.arguments.path, \"/etc/\")\n";
    check("/tmp/x", Explain::Fails, &format!("  p.rego:7: path is /tmp/x\n{etc}{other}"));
}

#[test]
fn full_is_the_text_with_marks() {
    insta::assert_snapshot!(pretty(&traced("/etc/x"), Explain::Full));
}

#[test]
fn programs_get_the_same() {
    let trace = traced("/tmp/x");
    let all = [Explain::Notes, Explain::Fails, Explain::Full].map(|how| as_json(&trace, how));
    insta::assert_snapshot!(serde_json::to_string_pretty(&all).unwrap());
}
