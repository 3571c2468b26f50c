use replay::{Example, Outcome};
use serde_json::{Value, json};

use super::*;

fn outcome(obligations: &[Value]) -> Outcome {
    let (reasons, matched_rule, error) = Default::default();
    Outcome { allow: true, reasons, matched_rule, obligations: obligations.to_vec(), error }
}

/// Whether a change of obligations makes a set weaker.
#[track_caller]
fn check(then: &[Value], now: &[Value], weaker: bool) {
    let change = Change {
        class: Class::ObligationsChanged,
        method: "tools/call".to_owned(),
        tool: Some("write".to_owned()),
        agent: "a".to_owned(),
        rule: None,
        count: 3,
        post_divergence: 0,
        first_seen: String::new(),
        last_seen: String::new(),
        example: Example {
            decision_id: "d1".to_owned(),
            recorded: outcome(then),
            now: Some(outcome(now)),
            input: Value::Null,
        },
    };
    let report = Report { changes: vec![change], ..Report::default() };
    let told: Vec<String> = changes(&report).map(told).collect();
    let expected = "less asked for now: 3 × tools/call `write` of agent `a` (decision d1)";
    assert_eq!(told, [expected][..usize::from(weaker)]);
}

#[test]
fn what_asks_for_less_is_weaker() {
    let (ask, hide) =
        (json!({"action": "require_approval"}), json!({"action": "strip", "path": "/a"}));
    let (only_ask, only_hide) = ([ask.clone()], [hide.clone()]);
    let both = [ask, hide];
    check(&only_ask, &[], true);
    check(&both, &only_hide, true);
    check(&only_ask, &only_hide, true);
    check(&[], &only_ask, false);
    check(&only_ask, &both, false);
}

/// Or a set that reads what no log holds could not be found weaker, whatever it allows.
#[test]
fn a_denial_that_cannot_be_decided_again_is_doubt() {
    let mut report = Report::default();
    report.undecidable.insert("input.arguments.path".to_owned(), 5);
    assert_eq!(doubt(&report), None, "what was allowed before cannot be less");
    report.undecidable_denials = 2;
    let doubt = doubt(&report).unwrap();
    assert!(
        doubt.contains("2 denied before") && doubt.ends_with("`input.arguments.path`"),
        "{doubt}"
    );
}
