use super::*;

#[track_caller]
fn refused(rules: &str, parts: &[&str]) {
    let text = format!(r#"{{"version": "1", "name": "p", "rules": {rules}}}"#);
    let error = compile("p.json", &text).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{error}` does not say `{part}`");
    }
}

fn custom(conditions: &str) -> String {
    format!(r#"[{{"id": "a", "type": "custom", "action": "deny", "conditions": {conditions}}}]"#)
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    refused("[]", &["p.json", "`rules`", "empty list"]);
    refused(
        r#"[{"id": "a", "type": "blocklst", "conditions": {}}]"#,
        &["rules[0].type", "`blocklist`"],
    );
    refused(
        r#"[{"id": "a", "type": "blocklist", "conditions": {"match_type": "tool", "value": ["x"]}}]"#,
        &["rules[0].conditions", "`values`"],
    );
    refused(
        r#"[{"id": "a", "type": "blocklist", "prioriti": 1, "conditions": {"match_type": "tool", "values": ["x"]}}]"#,
        &["rules[0].prioriti", "did you mean `priority`"],
    );
    refused(r#"[{"id": "1a", "type": "custom", "conditions": {}}]"#, &["rules[0].id", "letter"]);
    refused(r#"[{"id": "a", "type": "custom", "conditions": {"tool": "x"}}]"#, &["`action`"]);
    refused(
        r#"[{"id": "a", "type": "rate_limit", "action": "allow", "conditions": {"limit": 1}}]"#,
        &["rules[0].action", "must be `deny`"],
    );
    refused(r#"[{"id": "a", "type": "rate_limit", "conditions": {"limit": 0}}]"#, &["1 or more"]);
    refused(&custom(r#"{"any": []}"#), &["rules[0].conditions.any", "empty"]);
    refused(&custom(r#"{"tol": "x"}"#), &["rules[0].conditions.tol", "not known"]);
    refused(&custom(r#"{"agnt.id": "x"}"#), &["`agnt.id`", "agent"]);
    refused(
        &custom(r#"{"field": "tool", "op": "like", "value": "x"}"#),
        &["conditions.op", "`matches`"],
    );
    refused(&custom(r#"{"field": "tool", "value": "x"}"#), &["conditions", "`op`"]);
    refused(
        &custom(r#"{"field_matches": {"tool": "("}}"#),
        &["field_matches.tool", "regular expression"],
    );
    refused(&custom(r#"{"field": "tool", "op": "gt", "value": true}"#), &["number or a string"]);
    let allowing =
        r#"[{"id": "a", "type": "custom", "action": "allow", "conditions": {"tool": "x"}}]"#;
    refused(allowing, &["`rules`", "can deny nothing"]);
    let twice = r#"{"id": "a", "type": "blocklist", "conditions": {"match_type": "tool", "values": ["x"]}}"#;
    refused(&format!("[{twice}, {twice}]"), &["rules[1]", "`a`"]);
    let nested = format!("{}{}{}", r#"{"not": "#.repeat(40), r#"{"tool": "x"}"#, "}".repeat(40));
    refused(&custom(&nested), &["nests deeper"]);
}

#[test]
fn what_is_not_json_is_refused() {
    for text in ["", "[1]", "{", r#"{"name": "a", "name": "b"}"#] {
        compile("p.json", text).unwrap_err();
    }
    let error = compile("p.json", r#"{"a": {"b": 1, "b": 2}}"#).unwrap_err().to_string();
    assert!(error.contains("`b` is given twice"), "{error}");
}

#[test]
fn text_of_a_file_cannot_leave_its_string() {
    let hostile = "x\\\"}\\n}\\ndeny := false\\n# \u{2028}";
    let rules = format!(
        r#"[{{"id": "a", "type": "custom", "action": "deny", "description": "{hostile}", "message": "{hostile}%{{tool}}",
             "conditions": {{"field": "arguments.{hostile}", "op": "contains", "value": "{hostile}"}}}}]"#
    );
    let module = compile("p.json", &format!(r#"{{"version": 1, "name": "p", "rules": {rules}}}"#))
        .unwrap()
        .rego;
    assert!(module.is_ascii());
    assert!(!module.contains("\ndeny"), "{module}");
    assert!(module.lines().all(|line| line.len() < 1024));
}

#[test]
fn names_that_differ_stay_apart() {
    let module = |name: &str| {
        let text = format!(
            r#"{{"version": 1, "name": "{name}", "rules":
                 [{{"id": "a", "type": "blocklist", "conditions": {{"match_type": "tool", "values": ["x"]}}}}]}}"#
        );
        compile("p.json", &text).unwrap().rego
    };
    for (one, other) in [("a-b", "a_b"), ("a-b", "a_hb"), ("a__b", "a_-b")] {
        let first = module(one);
        let name = first.lines().find_map(|line| line.strip_suffix("_r0 if {")).unwrap();
        assert!(!module(other).contains(&format!("{name}_r0")), "{one} and {other}");
    }
    assert_eq!(module("same"), module("same"));
}
