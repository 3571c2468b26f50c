use std::sync::Arc;
use std::time::Duration;

use domain::{Decision, Obligation, Reason, Revision};
use policy::Engine;
use tempfile::TempDir;

use super::*;

const POLICY: &str = r#"
package mcp.policy

deny contains reason if {
	input.tool == data.forbidden[_]
	reason := {"msg": sprintf("`%s` is forbidden", [input.tool]), "severity": "high", "rule": "forbidden"}
}
"#;

const BROKEN: &str = "package mcp.policy\n\ndeny := input.tool";

/// The folder and the input of one evaluation.
fn files(input: &str) -> (TempDir, EvalArgs) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    std::fs::create_dir(path("policies")).unwrap();
    std::fs::write(path("policies/policy.rego"), POLICY).unwrap();
    std::fs::write(path("more.yaml"), "forbidden: [burn]").unwrap();
    std::fs::write(path("input.json"), input).unwrap();
    let question = Question {
        data: vec![path("policies"), path("more.yaml")],
        input: path("input.json"),
        config: None,
    };
    let args = EvalArgs { question, explain: None, format: Format::Pretty };
    (folder, args)
}

#[track_caller]
fn check(input: &str, exit: Exit) {
    let (_folder, mut args) = files(input);
    for format in [Format::Pretty, Format::Json] {
        args.format = format;
        for explain in [None, Some(Explain::Notes), Some(Explain::Fails), Some(Explain::Full)] {
            args.explain = explain;
            assert_eq!(execute(&args).unwrap(), exit);
        }
    }
}

#[test]
fn the_decision_is_the_exit() {
    check(r#"{"method": "tools/call", "tool": "read"}"#, Exit::Done);
    check(r#"{"method": "tools/call", "tool": "burn"}"#, Exit::No);
}

/// The shipped policies deny what they deny in the gateway, however little the input says.
#[test]
fn inputs_that_leave_much_out_are_decided_as_in_the_gateway() {
    for (input, exit) in [
        (r#"{"method": "tools/call", "tool": "write_file"}"#, Exit::No),
        (r#"{"request": {"method": "tools/call", "tool": "write_file"}}"#, Exit::No),
        (r#"{"method": "tools/call", "tool": "read_file"}"#, Exit::Done),
    ] {
        let (_folder, mut args) = files(input);
        args.question.data = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies").into()];
        assert_eq!(execute(&args).unwrap(), exit, "{input}");
    }
}

#[track_caller]
fn check_no_answer(args: &EvalArgs, mentions: &str) {
    let error = format!("{:#}", execute(args).unwrap_err());
    assert!(error.contains(mentions), "{error}");
}

#[test]
fn what_cannot_be_evaluated_is_no_answer() {
    let (folder, args) = files(r#"{"tool": "read"}"#);
    std::fs::write(folder.path().join("policies/policy.rego"), BROKEN).unwrap();
    check_no_answer(
        &args,
        "the policy could not be evaluated, hence the denial: `data.mcp.policy.deny`",
    );
    let (folder, _) = &files("");
    let (_other, mut args) = files("no json");
    check_no_answer(&args, "not JSON");
    args.question.input = folder.path().join("missing.json");
    check_no_answer(&args, "missing.json");
    args.question.data.push(folder.path().join("missing.yaml"));
    check_no_answer(&args, "missing.yaml");
    args.question.data = vec![folder.path().join("missing")];
    check_no_answer(&args, "missing");
}

#[test]
fn the_policies_of_the_configuration_decide_when_none_are_named() {
    let (folder, mut args) = files(r#"{"method": "tools/call", "tool": "burn"}"#);
    let config = folder.path().join("config.yaml");
    let policies = folder.path().join("policies");
    let data = folder.path().join("more.yaml");
    let text = format!(
        "policy: {{ policy_dir: {}, data_file: {} }}\n",
        policies.display(),
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    args.question.data = Vec::new();
    args.question.config = Some(config);
    assert_eq!(execute(&args).unwrap(), Exit::No);
}

fn outcome() -> EvalOutcome {
    let full = Reason {
        message: "`burn` is\nforbidden\u{1b}[2J".to_owned(),
        rule: Some("forbidden".to_owned()),
        severity: Some("high".to_owned()),
        owasp: Some("MCP05".to_owned()),
        compliance: Some("SOC2".to_owned()),
        at: Some("policies/burn.rego:7".into()),
        ..Reason::default()
    };
    EvalOutcome {
        decision: Decision {
            verdict: Verdict::Deny,
            reasons: Arc::new([full, "and late".into()]),
            matched_rule: Some("data.mcp.policy.deny".into()),
            rules: Some(r#"[{"rule":"forbidden","at":"policies/burn.rego:7"}]"#.into()),
            obligations: Arc::new([Obligation::Log { level: "warn".into() }]),
            error: None,
            revision: Revision("0123abcd".into()),
            cached: false,
            elapsed: Duration::from_micros(17),
        },
        engine: Engine::Rvm,
        agrees: true,
    }
}

#[test]
fn a_denial_has_a_line_a_reason() {
    insta::assert_snapshot!(pretty(&outcome()));
}

#[test]
fn programs_get_the_whole_decision() {
    insta::assert_snapshot!(output::json(&as_json(&outcome()).unwrap()).unwrap());
}

#[test]
fn what_is_allowed_without_a_rule_is_one_word() {
    let mut outcome = outcome();
    outcome.decision.verdict = Verdict::Allow;
    outcome.decision.reasons = Arc::new([]);
    outcome.decision.matched_rule = None;
    outcome.decision.rules = None;
    outcome.decision.obligations = Arc::new([]);
    assert_eq!(pretty(&outcome), "allow\n");
}

#[test]
fn a_rule_that_is_only_watched_would_deny() {
    let mut outcome = outcome();
    outcome.decision.verdict = Verdict::Allow;
    let watched = Reason { mode: domain::RuleMode::Observe, ..Reason::from("late") };
    outcome.decision.reasons = Arc::new([watched]);
    outcome.decision.obligations = Arc::new([]);
    assert_eq!(pretty(&outcome), "allow data.mcp.policy.deny\n  - would deny: late\n");
}

#[test]
fn what_is_allowed_says_by_which_definition() {
    let mut outcome = outcome();
    outcome.decision.verdict = Verdict::Allow;
    outcome.decision.reasons = Arc::new([]);
    outcome.decision.obligations = Arc::new([]);
    assert_eq!(pretty(&outcome), "allow data.mcp.policy.deny\n  by policies/burn.rego:7\n");
}

#[test]
fn json_policies_decide_with_the_others() {
    let (folder, args) = files(r#"{"method": "tools/call", "tool": "shred"}"#);
    assert_eq!(execute(&args).unwrap(), Exit::Done);
    std::fs::create_dir(folder.path().join("policies/json")).unwrap();
    let policy = r#"{"name": "office", "version": "1.0", "rules": [
        {"id": "no-shredding", "type": "blocklist", "conditions": {"match_type": "tool", "values": ["shred"]}}]}"#;
    std::fs::write(folder.path().join("policies/json/office.json"), policy).unwrap();
    assert_eq!(execute(&args).unwrap(), Exit::No);
}
