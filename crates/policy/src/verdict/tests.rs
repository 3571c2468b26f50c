use domain::Obligation;
use domain::Verdict::{Allow, Deny};

use crate::tests::fixture::{Ask, engine, messages};

/// What `rule` in package `mcp.policy` makes of a message: verdict, matched rule, error, messages.
#[track_caller]
fn check(rules: &str, verdict: domain::Verdict, rule: &str, expected: &[&str]) {
    let decision = Ask::call("t").decide(&engine(&format!("package mcp.policy\n{rules}")));
    assert_eq!(decision.error, None, "{rules}");
    assert_eq!(decision.verdict, verdict, "{rules}");
    assert_eq!(decision.matched_rule.as_deref().unwrap_or_default(), rule, "{rules}");
    assert_eq!(messages(&decision), expected, "{rules}");
}

#[track_caller]
fn check_error(rules: &str, error: &str) {
    let decision = Ask::call("t").decide(&engine(&format!("package mcp.policy\n{rules}")));
    assert_eq!(decision.verdict, Deny, "{rules}");
    assert_eq!(decision.error.as_deref(), Some(error), "{rules}");
    assert_eq!(decision.denial(), Some(domain::ErrorKind::PolicyError));
}

const DENY: &str = "data.mcp.policy.deny";
const VIOLATIONS: &str = "data.mcp.policy.violations";
const ALLOW: &str = "data.mcp.policy.allow";
const DECISION: &str = "data.mcp.policy.decision";

#[test]
fn deny_of_every_shape() {
    check("deny if input.tool == \"t\"", Deny, DENY, &["denied by `data.mcp.policy.deny`"]);
    check("deny := false", Allow, "", &[]);
    check("deny if input.tool == \"other\"", Allow, "", &[]);
    check("deny contains \"a\"\ndeny contains \"b\"", Deny, DENY, &["a", "b"]);
    check("deny contains \"a\" if false", Allow, "", &[]);
    check("deny := []", Allow, "", &[]);
    check("deny := [\"b\", \"a\", \"a\"]", Deny, DENY, &["a", "b"]);
    check("deny := {}", Allow, "", &[]);
    check("deny := {\"x\": true}", Deny, DENY, &["x"]);
    check_error(
        "deny := \"no\"",
        "`data.mcp.policy.deny` is a string, not a set, an array or an object",
    );
    check_error(
        "deny := 1",
        "`data.mcp.policy.deny` is a number, not a set, an array or an object",
    );
    check_error("deny := null", "`data.mcp.policy.deny` is null, not a set, an array or an object");
}

#[test]
fn violations_of_every_shape() {
    // The ancestor's form: an object with the messages as keys.
    check("violations[msg] if { msg := \"m\" }", Deny, VIOLATIONS, &["m"]);
    check("violations contains {\"msg\": \"m\", \"rule\": \"r\"}", Deny, "r", &["m"]);
    check(
        "violations := {\"r1\": \"one\", \"r2\": {\"message\": \"two\"}}",
        Deny,
        "r1",
        &["one", "two"],
    );
    check(
        "violations := [{\"severity\": \"high\"}, 7]",
        Deny,
        VIOLATIONS,
        &["7", "{\"severity\":\"high\"}"],
    );
    check("violations := set()", Allow, "", &[]);
    check("deny contains \"z\"\nviolations contains \"y\"", Deny, DENY, &["y", "z"]);
    check("deny if true\nviolations contains \"y\"", Deny, DENY, &["y"]);
    check_error(
        "violations := true",
        "`data.mcp.policy.violations` is a boolean, not a set, an array or an object",
    );
}

#[test]
fn every_member_of_a_reason_is_kept() {
    let engine = engine(
        "package mcp.policy\nviolations contains {\"msg\": \"m\", \"rule\": \"r\", \"severity\": \"low\", \
         \"owasp\": \"MCP05\", \"compliance\": [\"gdpr\", \"sox\"]}",
    );
    let reasons = Ask::call("t").decide(&engine).reasons;
    let reason = &reasons[0];
    assert_eq!(
        [&reason.rule, &reason.severity, &reason.owasp, &reason.compliance]
            .map(|text| text.as_deref()),
        [Some("r"), Some("low"), Some("MCP05"), Some("gdpr, sox")]
    );
}

#[test]
fn allow_must_be_true_where_it_exists() {
    check("allow := true", Allow, ALLOW, &[]);
    check("default allow := false", Deny, ALLOW, &["`data.mcp.policy.allow` is not true"]);
    check(
        "allow if input.tool == \"other\"",
        Deny,
        ALLOW,
        &["`data.mcp.policy.allow` is not true"],
    );
    check("allow := true\ndeny contains \"d\"", Deny, DENY, &["d"]);
    check("allow if input.session.request_count == 1", Allow, ALLOW, &[]);
    check(
        "allow if input.session.request_count == 2",
        Deny,
        ALLOW,
        &["`data.mcp.policy.allow` is not true"],
    );
    check_error("allow := \"yes\"", "`data.mcp.policy.allow` is a string, not a boolean");
    check_error("allow := {\"x\"}", "`data.mcp.policy.allow` is a set, not a boolean");
}

#[test]
fn a_decision_decides_alone() {
    check("decision := {\"allow\": true}\ndeny := true", Allow, DECISION, &[]);
    check("decision := {\"allow\": true, \"matched_rule\": \"r\"}", Allow, "r", &[]);
    check("decision := {\"allow\": false, \"violations\": [\"v\"]}", Deny, DECISION, &["v"]);
    check(
        "decision := {\"allow\": false, \"violations\": {\"v\": true}, \"matched_rule\": \"r\"}",
        Deny,
        "r",
        &["v"],
    );
    check(
        "decision := {\"allow\": false}",
        Deny,
        DECISION,
        &["denied by `data.mcp.policy.decision`"],
    );
    check("decision := {\"allow\": true, \"obligations\": []}", Allow, DECISION, &[]);
    check(
        "decision := {\"allow\": false, \"n\": input.session.request_count}",
        Deny,
        DECISION,
        &["denied by `data.mcp.policy.decision`"],
    );
    check_error(
        "decision := {\"allow\": true} if input.tool == \"x\"",
        "`data.mcp.policy.decision` is undefined; give it a default",
    );
    check_error("decision := {}", "`data.mcp.policy.decision` has no member `allow`");
    check_error(
        "decision := {\"allow\": \"true\"}",
        "`data.mcp.policy.decision.allow` is a string, not a boolean",
    );
    check_error(
        "decision := true",
        "`data.mcp.policy.decision` is a boolean, not an object with a member `allow`",
    );
    check_error(
        "decision := {\"allow\": true, \"matched_rule\": 1}",
        "`data.mcp.policy.decision.matched_rule` is a number, not a string",
    );
    check_error(
        "decision := {\"allow\": false, \"violations\": \"v\"}",
        "`data.mcp.policy.decision.violations` is a string, not a set, an array or an object",
    );
}

#[test]
fn obligations_come_from_the_decision_and_from_their_rule() {
    #[track_caller]
    fn check(rules: &str, labels: &[&str]) {
        let decision = Ask::call("t").decide(&engine(&format!("package mcp.policy\n{rules}")));
        assert_eq!(decision.error, None, "{rules}");
        let expected: Vec<Obligation> =
            labels.iter().map(|label| Obligation::Taint { label: (*label).into() }).collect();
        assert_eq!(*decision.obligations, expected, "{rules}");
    }
    let taint = |label: &str| format!("{{\"action\": \"taint\", \"label\": \"{label}\"}}");
    let (a, b) = (taint("a"), taint("b"));
    check("allow := true", &[]);
    check(&format!("decision := {{\"allow\": true, \"obligations\": [{a}]}}"), &["a"]);
    check(
        &format!(
            "decision := {{\"allow\": true, \"obligations\": obligations}}\nobligations := [{a}]"
        ),
        &["a"],
    );
    check(&format!("allow := true\nobligations contains {a} if input.tool == \"t\""), &["a"]);
    check(&format!("allow := true\nobligations contains {a} if input.tool == \"x\""), &[]);
    check(&format!("deny contains \"d\"\nobligations[o] if {{ o := {a} }}"), &["a"]);
    // One of the stable group, one of the volatile one.
    check(
        &format!(
            "allow := true\nobligations contains {b} if input.tool == \"t\"\n\
             obligations contains {a} if input.session.request_count == 1"
        ),
        &["b", "a"],
    );
    check_error(
        "allow := true\nobligations contains {\"action\": \"bless\"}",
        "obligation `bless`: this version knows no such action",
    );
    check_error(
        "decision := {\"allow\": true, \"obligations\": {\"redact\": {}}}",
        "an obligation is a string, not an object with `action`",
    );
}

#[test]
fn obligations_alone_decide_nothing() {
    let text = "package mcp.policy\nobligations contains {\"action\": \"taint\", \"label\": \"a\"}";
    let sources = crate::Sources::from_texts(&[("a.rego", text)]).unwrap();
    let error = crate::PolicySet::load(&sources, &crate::Config::default()).unwrap_err();
    assert!(error.to_string().contains("nothing would be decided"), "{error}");
}

#[test]
fn a_reason_says_what_would_help() {
    let engine = engine(
        "package mcp.policy\nviolations contains {\"msg\": \"m\", \"remedy\": \"ask\", \"scope\": \"files:write\"}",
    );
    let reasons = Ask::call("t").decide(&engine).reasons;
    assert_eq!(reasons[0].remedy.as_deref(), Some("ask"));
    assert_eq!(reasons[0].scope.as_deref(), Some("files:write"));
}

#[test]
fn contradicting_rules_are_an_error() {
    let engine = engine(
        "package mcp.policy\nallow := x if x := input.tool == \"t\"\nallow := false if input.method",
    );
    let decision = Ask::call("t").decide(&engine);
    assert_eq!(decision.verdict, Deny);
    assert!(decision.error.is_some(), "{decision:?}");
}
