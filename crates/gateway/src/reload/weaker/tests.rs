use std::sync::Arc;

use policy::{Config, PolicyEngine, Sources};

use super::{MOST, Rehearsed, compare};

fn engine(rules: &str) -> Arc<PolicyEngine> {
    let text = format!("package mcp.policy\n{rules}");
    let sources = Sources::from_texts(&[("a.rego", &text)]).unwrap();
    Arc::new(PolicyEngine::new(&sources, &Config::default()).unwrap())
}

/// What is weaker in the second set, when recorded decisions show nothing.
#[track_caller]
fn check(before: &str, after: &str, expected: &[&str]) {
    let nothing: super::Rehearse = Box::new(|_, _| Ok(Rehearsed::default()));
    let comparison = compare(&engine(before), &engine(after), &nothing);
    assert_eq!(comparison.weaker, expected);
}

const WRITES: &str =
    r#"violations contains {"msg": "no", "rule": "writes"} if input.tool == "write""#;
const DELETES: &str =
    r#"violations contains {"msg": "no", "rule": "deletes"} if input.tool == "delete""#;

#[test]
fn a_rule_that_is_gone_is_named() {
    let both = format!("{WRITES}\n{DELETES}");
    check(&both, &both, &[]);
    check(WRITES, &both, &[]);
    check(&both, WRITES, &["rule `deletes` is gone"]);
    check(&both, &format!("{WRITES}\n{}", DELETES.replace("\"delete\"", "\"remove\"")), &[]);
}

#[test]
fn of_rules_without_a_name_there_may_be_fewer() {
    let (one, two) = ("deny if input.tool == \"a\"", "deny if input.tool == \"b\"");
    let both = format!("{one}\n{two}");
    check(one, &both, &[]);
    check(&both, one, &["rule `data.mcp.policy.deny` has 1 definitions, 2 before"]);
    check(one, WRITES, &["rule `data.mcp.policy.deny` is gone"]);
}

#[test]
fn an_obligation_that_is_gone_is_named() {
    let ask = "obligations contains {\"action\": \"require_approval\"} if input.tool == \"write\"";
    let both = format!("{WRITES}\n{ask}");
    check(WRITES, &both, &[]);
    check(&both, WRITES, &["rule `data.mcp.policy.obligations` is gone"]);
}

#[test]
fn an_allow_list_that_is_gone_is_named() {
    let list = "default allow := false\nallow if input.tool == \"a\"";
    check(&format!("{list}\n{WRITES}"), WRITES, &["rule `data.mcp.policy.allow` is gone"]);
    check(&format!("{list}\nallow if input.tool == \"b\""), list, &[]);
}

#[test]
fn what_recorded_decisions_show_is_told_with_what_it_rests_on() {
    let rehearse: super::Rehearse = Box::new(|_, _| {
        let weaker = (0..MOST + 3).map(|number| format!("tool {number}")).collect();
        Ok(Rehearsed { decided: 90, undecidable: 10, weaker })
    });
    let comparison = compare(&engine(WRITES), &engine(WRITES), &rehearse);
    assert_eq!(comparison.weaker.len(), MOST + 1);
    assert_eq!(comparison.weaker[0], "tool 0");
    assert_eq!(comparison.weaker[MOST], "and 3 more");
    assert_eq!(
        comparison.basis,
        "recorded decisions made again: 90; undecidable for lack of evidence: 10"
    );
}

#[test]
fn a_comparison_that_fails_counts_as_weaker() {
    let rehearse: super::Rehearse = Box::new(|_, _| Err("the log is gone".to_owned()));
    let comparison = compare(&engine(WRITES), &engine(WRITES), &rehearse);
    assert_eq!(comparison.weaker, ["recorded decisions could not be made again: the log is gone"]);
}
