use crate::tests::fixture::{Ask, engine};
use domain::Decision;

/// `file:line` of each reason of the decision on `rules`, which begin on line 2 of `test.rego`.
#[track_caller]
fn check(rules: &str, lines: &[u32]) -> Decision {
    let decision = Ask::call("t").decide(&engine(&format!("package mcp.policy\n{rules}")));
    assert_eq!(decision.error, None, "{rules}");
    let expected: Vec<String> = lines.iter().map(|line| format!("test.rego:{line}")).collect();
    let seen: Vec<&str> =
        decision.reasons.iter().map(|reason| reason.at.as_deref().unwrap_or("nowhere")).collect();
    assert_eq!(seen, expected, "{rules}");
    decision
}

#[test]
fn every_form_of_a_definition_is_told_apart() {
    check("deny contains \"a\"\ndeny contains \"b\" if input.tool == \"t\"", &[2, 3]);
    check("deny contains `a` if input.tool == \"x\"\ndeny contains `b`", &[3]);
    check(
        "violations contains {\"msg\": \"a\"} if {\n  input.tool == \"t\"\n}\nviolations contains m if {\n  m := \"b\"\n}",
        &[2, 5],
    );
    check("violations[msg] if { msg := \"a\" }\nviolations[msg] if {\n  msg := \"b\"\n}", &[2, 3]);
    check("deny contains sprintf(\"%v\", [input.tool])", &[2]);
    check("deny contains m if some m in [\"a\", \"b\"]", &[2, 2]);
    // Comments between the parts of a head.
    check("deny contains # why\n  \"a\" if input.tool", &[2]);
}

#[test]
fn a_bare_denial_has_a_place() {
    check("default deny := false\ndeny if input.tool == \"x\"\ndeny if input.tool == \"t\"", &[4]);
    check("deny := true if input.tool == \"t\"\ndeny if input.tool == \"x\"", &[2]);
    check("deny if {\n  input.tool == \"t\"\n}", &[2]);
}

#[test]
fn rules_of_v0_are_numbered_too() {
    check("deny[msg] {\n  msg := \"a\"\n}\ndeny[\"b\"] { input.tool == \"t\" }", &[2, 5]);
    check(
        "default deny = false\ndeny { input.tool == \"x\" }\ndeny = true { input.tool == \"t\" }",
        &[4],
    );
}

#[test]
fn the_parts_of_a_divided_rule_are_numbered() {
    check(
        "deny contains \"a\" if input.session.request_count == 1\ndeny contains \"b\" if input.tool == \"t\"",
        &[2, 3],
    );
}

#[test]
fn one_reason_of_two_definitions_names_both_places() {
    let decision =
        check("deny contains \"a\" if input.tool\ndeny contains \"a\" if input.method", &[2]);
    assert_eq!(
        decision.rules.as_deref(),
        Some(
            r#"[{"rule":"data.mcp.policy.deny","at":"test.rego:2"},{"rule":"data.mcp.policy.deny","at":"test.rego:3"}]"#
        )
    );
}
