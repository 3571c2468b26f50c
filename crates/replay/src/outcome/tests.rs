use super::{Because, Class, Outcome};

fn outcome(allow: bool, rules: &[&str]) -> Outcome {
    let because = |rule: &&str| Because {
        message: format!("because of {rule}"),
        rule: Some((*rule).to_owned()),
        mode: domain::RuleMode::Enforce,
        at: None,
    };
    Outcome {
        allow,
        reasons: rules.iter().map(because).collect(),
        matched_rule: None,
        obligations: Vec::new(),
        error: None,
    }
}

#[track_caller]
fn check(then: &Outcome, now: &Outcome, class: Class) {
    assert_eq!(then.compare(now), class, "{then:?} and {now:?}");
}

#[test]
fn the_weightiest_difference_counts() {
    let (allow, deny) = (outcome(true, &[]), outcome(false, &["a"]));
    check(&allow, &allow, Class::Same);
    check(&allow, &deny, Class::NewlyDenied);
    check(&deny, &allow, Class::NewlyAllowed);
    check(&deny, &outcome(false, &["b"]), Class::ReasonChanged);
    check(&allow, &outcome(true, &["a"]), Class::ReasonChanged);
    let failed = |text: &str| Outcome { error: Some(text.to_owned()), ..outcome(false, &[]) };
    check(&deny, &failed("x"), Class::ErrorChanged);
    check(&failed("x"), &failed("y"), Class::ErrorChanged);
    check(&failed("x"), &failed("x"), Class::Same);
    check(&failed("x; no answer in 5s"), &failed("x"), Class::Same);
    check(&failed("xy"), &failed("x"), Class::ErrorChanged);
    check(&failed("x"), &deny, Class::ErrorChanged);
    check(&allow, &failed("x"), Class::NewlyDenied);
    let asks = Outcome { obligations: vec![serde_json::json!({"action": "log"})], ..allow.clone() };
    check(&allow, &asks, Class::ObligationsChanged);
    let by =
        |rule: &str, allow| Outcome { matched_rule: Some(rule.to_owned()), ..outcome(allow, &[]) };
    check(&by("a", false), &by("b", false), Class::ReasonChanged);
    check(&by("a", true), &by("b", true), Class::Same);
}

#[test]
fn an_answer_that_passes_undoes_nothing() {
    let watched = outcome(true, &["watched"]);
    assert_eq!(watched.clone().then(outcome(true, &[])), watched);
    assert_eq!(watched.clone().then(outcome(false, &["a"])), outcome(false, &["a"]));
    assert_eq!(outcome(true, &[]).then(watched.clone()), watched);
}
