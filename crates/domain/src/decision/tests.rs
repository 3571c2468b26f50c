use std::sync::Arc;
use std::time::Duration;

use super::{Decision, Permit, Reason, Revision, Verdict};
use crate::{ErrorKind, Mode, Outcome, RuleMode};

fn decision(verdict: Verdict, error: Option<&str>) -> Decision {
    Decision {
        verdict,
        reasons: Arc::default(),
        matched_rule: None,
        rules: None,
        obligations: Arc::default(),
        error: error.map(Into::into),
        revision: Revision("r1".into()),
        cached: false,
        elapsed: Duration::ZERO,
    }
}

#[track_caller]
fn check(verdict: Verdict, error: Option<&str>, mode: Mode, granted: bool) {
    let permit = Permit::grant(&decision(verdict, error), mode);
    assert_eq!(permit.is_some(), granted, "{verdict:?} {error:?} {mode:?}");
}

#[test]
fn only_a_denial_in_enforce_mode_has_no_permit() {
    check(Verdict::Allow, None, Mode::Enforce, true);
    check(Verdict::Allow, None, Mode::Audit, true);
    check(Verdict::Deny, None, Mode::Enforce, false);
    check(Verdict::Deny, None, Mode::Audit, true);
    check(Verdict::Deny, Some("it broke"), Mode::Enforce, false);
    check(Verdict::Deny, Some("it broke"), Mode::Audit, true);
}

#[test]
fn the_mode_that_nobody_chose_denies() {
    assert_eq!(Mode::default(), Mode::Enforce);
}

#[track_caller]
fn check_denial(verdict: Verdict, error: Option<&str>, expected: Option<ErrorKind>) {
    assert_eq!(decision(verdict, error).denial(), expected, "{verdict:?} {error:?}");
}

#[test]
fn a_denial_says_whether_policy_failed() {
    check_denial(Verdict::Allow, None, None);
    check_denial(Verdict::Deny, None, Some(ErrorKind::PolicyDenied));
    check_denial(Verdict::Deny, Some("it broke"), Some(ErrorKind::PolicyError));
}

#[test]
fn a_sentence_is_a_reason_without_labels() {
    let reason = Reason::from("no");
    assert_eq!(reason, Reason { message: "no".to_owned(), ..Reason::default() });
    assert!(reason.denies());
    assert_eq!(serde_json::to_string(&reason).unwrap(), r#"{"message":"no"}"#);
}

#[test]
fn what_a_watched_rule_says_denies_nothing() {
    let watched = Reason { mode: RuleMode::Observe, ..Reason::from("no") };
    assert!(!watched.denies());
    let passed = Decision { reasons: Arc::new([watched]), ..decision(Verdict::Allow, None) };
    assert!(passed.would_deny());
    assert!(!decision(Verdict::Allow, None).would_deny());
    assert_eq!(Outcome::of(&passed), Outcome::WouldDeny);
}
