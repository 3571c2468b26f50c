use crate::tests::fixture::{Ask, engine};

/// What decided, as `rule at line`.
#[track_caller]
fn check(rules: &str, expected: &[&str]) {
    let decision = Ask::call("t").decide(&engine(&format!("package mcp.policy\n{rules}")));
    assert_eq!(decision.error, None, "{rules}");
    let json = decision.rules.as_deref().unwrap_or("[]");
    let entries: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    let seen: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!("{} {}", entry["rule"].as_str().unwrap(), entry["at"].as_str().unwrap())
        })
        .collect();
    assert_eq!(seen, expected, "{rules}");
}

#[test]
fn a_grant_names_its_definitions() {
    check("allow if input.tool == \"t\"", &["data.mcp.policy.allow test.rego:2"]);
    check(
        "default allow := false\nallow if input.tool == \"t\"",
        &["data.mcp.policy.allow test.rego:2", "data.mcp.policy.allow test.rego:3"],
    );
    check("allow if input.tool == \"x\"", &["data.mcp.policy.allow test.rego:2"]);
    check("deny if input.tool == \"x\"", &[]);
}

#[test]
fn a_decision_is_found_by_the_names_that_it_gives() {
    let rules = "decision := {\"allow\": count(found) == 0, \"violations\": found}\n\
                 found contains {\"msg\": \"m\", \"rule\": \"r\"} if input.tool == \"t\"";
    check(rules, &["r test.rego:3"]);
    check(
        "decision := {\"allow\": true, \"matched_rule\": name}\nname := \"open\" if input.tool",
        &["open test.rego:3"],
    );
    check("decision := {\"allow\": true}", &["data.mcp.policy.decision test.rego:2"]);
}

#[test]
fn a_rule_that_others_refer_to_is_found_by_the_names_in_it() {
    check(
        "deny contains {\"msg\": \"m\", \"rule\": \"r\"} if input.tool == \"t\"\n\
         deny contains {\"msg\": \"m\", \"rule\": \"s\"} if input.tool == \"x\"\n\
         violations contains \"v\" if count(deny) > 9",
        &["r test.rego:2"],
    );
}
