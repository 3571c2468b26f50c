use super::*;

const POLICY: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "no", "rule": "etc"} if {
	input.tool == "write_file"
	startswith(input.arguments.path, "/etc/")
	print("path is", input.arguments.path)
}

violations contains "never" if {
	input.tool == "other"
	input.arguments.path
}
"#;

fn traced_on(input: &str) -> Trace {
    let sources = Sources::from_texts(&[("p.rego", POLICY)]).unwrap();
    trace(&sources, &Config::default(), input).unwrap()
}

#[test]
fn a_definition_that_decided_came_to_its_end() {
    let trace = traced_on(
        r#"{"method": "tools/call", "tool": "write_file", "arguments": {"path": "/etc/x"}}"#,
    );
    let [etc, never, ..] = &trace.definitions[..] else { panic!("{trace:?}") };
    assert!(etc.decided && etc.stopped_at().is_none(), "{etc:?}");
    assert_eq!(never.stopped_at().unwrap().text, r#"input.tool == "other""#);
    assert!(
        trace.printed.iter().any(|line| line.contains("path is /etc/x")),
        "{:?}",
        trace.printed
    );
}

#[test]
fn a_definition_that_did_not_says_where_it_ended() {
    let trace = traced_on(
        r#"{"method": "tools/call", "tool": "write_file", "arguments": {"path": "/tmp/x"}}"#,
    );
    let etc = &trace.definitions[0];
    let stopped = etc.stopped_at().unwrap();
    assert_eq!((stopped.line, etc.decided), (7, false));
    assert!(stopped.text.starts_with("startswith"));
    assert_eq!(trace.printed, Vec::<String>::new());
}

#[track_caller]
fn check_stop(body: &str, tool: &str, expected: Option<&str>) {
    let text = format!("package mcp.policy\n\nimport rego.v1\n\n{body}\n");
    let sources = Sources::from_texts(&[("p.rego", &text)]).unwrap();
    let input = format!(r#"{{"method": "tools/call", "tool": "{tool}"}}"#);
    let trace = trace(&sources, &Config::default(), &input).unwrap();
    assert_eq!(trace.definitions[0].stopped_at().map(|step| &*step.text), expected, "{trace:?}");
}

#[test]
fn the_last_condition_may_be_the_one_that_does_not_hold() {
    let set = "violations contains \"no\" if {\n\tinput.method\n\tinput.tool == \"a\"\n}";
    check_stop(set, "a", None);
    check_stop(set, "b", Some("input.tool == \"a\""));
    let flag = "deny if {\n\tinput.method\n\tinput.tool == \"a\"\n}";
    check_stop(flag, "a", None);
    check_stop(flag, "b", Some("input.tool == \"a\""));
    let line = "deny if input.tool == \"a\"";
    check_stop(line, "a", None);
    check_stop(line, "b", Some(line));
    let set_line = "violations contains \"no\" if input.tool == \"a\"";
    check_stop(set_line, "a", None);
    check_stop(set_line, "b", Some(set_line));
    let obligation = "obligations contains {\"action\": \"log\", \"level\": \"warn\"} if input.tool == \"a\"\n\ndeny if input.tool == \"c\"";
    check_stop(obligation, "a", None);
    let helper = "deny if is_a\n\nis_a if {\n\tinput.method\n\tinput.tool == \"a\"\n}";
    check_stop(helper, "b", Some("deny if is_a"));
}
