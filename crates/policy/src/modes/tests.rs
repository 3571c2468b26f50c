use domain::RuleMode::{Enforce, Observe, Off, Warn};
use domain::Verdict::{Allow, Deny};
use domain::{RuleMode, Verdict};

use crate::tests::fixture::{Ask, engine_with};
use crate::{Config, PolicySet, Sources};

const RULES: &str = "package mcp.policy
violations contains {\"msg\": \"a\", \"rule\": \"first\"} if input.tool in {\"t\", \"one\"}
violations contains {\"msg\": \"b\", \"rule\": \"second\"} if input.tool == \"t\"
deny contains \"c\" if input.tool == \"bare\"";

fn config(modes: &[(&str, RuleMode)]) -> Config {
    let rules = modes.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect();
    Config { rules, ..Config::default() }
}

/// Verdict, matched rule and reasons with their modes, first and from the cache.
#[track_caller]
fn check(
    rules: &str,
    (tool, modes): (&str, &[(&str, RuleMode)]),
    (verdict, matched): (Verdict, &str),
    reasons: &[(&str, RuleMode)],
) {
    let engine = engine_with(rules, &config(modes));
    for _ in 0..2 {
        let decision = Ask::call(tool).decide(&engine);
        assert_eq!(decision.error, None, "{modes:?}");
        let seen: Vec<_> =
            decision.reasons.iter().map(|it| (it.message.as_str(), it.mode)).collect();
        assert_eq!((decision.verdict, &*seen), (verdict, reasons), "{tool} {modes:?}");
        assert_eq!(decision.matched_rule.as_deref().unwrap_or_default(), matched, "{modes:?}");
        assert_eq!(decision.would_deny(), verdict == Allow && !reasons.is_empty());
    }
}

#[test]
fn only_enforced_rules_deny() {
    check(RULES, ("t", &[]), (Deny, "first"), &[("a", Enforce), ("b", Enforce)]);
    let both = [("b", Enforce), ("a", Observe)];
    check(RULES, ("t", &[("first", Observe)]), (Deny, "second"), &both);
    check(RULES, ("one", &[("first", Warn)]), (Allow, ""), &[("a", Warn)]);
    check(RULES, ("one", &[("first", Off)]), (Allow, ""), &[]);
    check(RULES, ("t", &[("first", Off)]), (Deny, "second"), &[("b", Enforce)]);
}

#[test]
fn a_verdict_rule_goes_by_its_path_and_a_named_one_before_it() {
    let path = "data.mcp.policy.violations";
    check(RULES, ("t", &[(path, Observe)]), (Allow, ""), &[("a", Observe), ("b", Observe)]);
    let modes = [(path, Observe), ("second", Enforce)];
    check(RULES, ("t", &modes), (Deny, "second"), &[("b", Enforce), ("a", Observe)]);
    check(RULES, ("t", &[(path, Off)]), (Allow, ""), &[]);
    let deny = "data.mcp.policy.deny";
    check(RULES, ("bare", &[(deny, Observe)]), (Allow, ""), &[("c", Observe)]);
}

#[test]
fn an_allow_list_can_be_watched() {
    let rules = "package mcp.policy\nallow if input.tool == \"t\"\ndeny contains \"d\" if input.tool == \"d\"";
    let (path, silent) = ("data.mcp.policy.allow", "`data.mcp.policy.allow` is not true");
    check(rules, ("t", &[(path, Observe)]), (Allow, path), &[]);
    check(rules, ("x", &[(path, Observe)]), (Allow, ""), &[(silent, Observe)]);
    check(rules, ("x", &[(path, Off)]), (Allow, ""), &[]);
    check(rules, ("d", &[(path, Observe)]), (Deny, "data.mcp.policy.deny"), &[("d", Enforce)]);
}

#[test]
fn a_bare_denial_that_is_enforced_denies_beside_watched_reasons() {
    let rules = "package mcp.policy\ndeny if input.tool == \"t\"\nviolations contains {\"msg\": \"a\", \"rule\": \"r\"}";
    let (deny, bare) = ("data.mcp.policy.deny", "denied by `data.mcp.policy.deny`");
    check(rules, ("t", &[("r", Observe)]), (Deny, deny), &[(bare, Enforce), ("a", Observe)]);
    check(rules, ("t", &[(deny, Observe)]), (Deny, "r"), &[("a", Enforce)]);
}

#[test]
fn a_decision_goes_by_the_rule_that_it_matched() {
    let rules = "package mcp.policy\ndecision := {\"allow\": false, \"matched_rule\": \"m\", \
                 \"violations\": [{\"msg\": \"a\", \"rule\": \"r\"}, \"b\"]}";
    let watched = [("a", Observe), ("b", Observe)];
    check(rules, ("t", &[("m", Observe)]), (Allow, "m"), &watched);
    check(rules, ("t", &[("data.mcp.policy.decision", Observe)]), (Allow, "m"), &watched);
    let modes = [("m", Observe), ("r", Enforce)];
    check(rules, ("t", &modes), (Deny, "m"), &[("a", Enforce), ("b", Observe)]);
}

#[test]
fn a_failing_policy_denies_in_every_mode() {
    let engine = engine_with(
        "package mcp.policy\ndeny := 1 if input.tool",
        &config(&[("data.mcp.policy.deny", Observe)]),
    );
    let decision = Ask::call("t").decide(&engine);
    assert_eq!((decision.verdict, decision.error.is_some()), (Deny, true));
}

#[test]
fn names_that_no_policy_gives_are_refused() {
    #[track_caller]
    fn check(modes: &[(&str, RuleMode)], error: &str) {
        let sources = Sources::from_texts(&[("a.rego", RULES)]).unwrap();
        let refused = PolicySet::load(&sources, &config(modes)).unwrap_err().to_string();
        assert!(refused.contains(error), "{refused}");
    }
    check(
        &[("frist", Warn)],
        "`policy.rules` is `frist`, a name that no policy gives (did you mean `first`?); name the `rule`",
    );
    check(&[("data.mcp.policy.allow", Warn)], "a name that no policy gives");
    check(&[("data.mcp.policy.obligations", Off)], "a name that no policy gives");
    let off = [("data.mcp.policy.deny", Off), ("data.mcp.policy.violations", Off)];
    check(&off, "`policy.rules` is `off` for every rule that decides");
}

#[test]
fn names_may_stand_in_data() {
    let rules = "package mcp.policy\nviolations contains {\"msg\": \"m\", \"rule\": data.blocked[input.tool]}";
    let data = ("d.json", "{\"blocked\": {\"t\": \"by_data\"}}");
    let sources = Sources::from_texts(&[("a.rego", rules), data]).unwrap();
    let engine = crate::PolicyEngine::new(&sources, &config(&[("by_data", Observe)])).unwrap();
    assert_eq!(Ask::call("t").decide(&engine).verdict, Allow);
}
