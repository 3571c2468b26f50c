//! Audit mode says what enforce mode would have done: one stream of messages through two gateways.

use std::time::Duration;

use domain::{
    Approval, AuditEvent, Decision, Mode, Obligation, Outcome, PolicyInput, RateKey, RateLimit,
    Reason, RuleMode, Stage,
};

use super::fixture::*;

/// Messages that go through both.
const MESSAGES: usize = 10_000;

/// What the text of a message is turned into, so that decisions differ from message to message and not from gateway to
/// gateway.
fn number(text: &str) -> u64 {
    text.bytes().fold(7, |number: u64, byte| number.wrapping_mul(31).wrapping_add(byte.into())) >> 3
}

/// Everything that can be decided, by the arguments of a call.
fn rules(input: &PolicyInput<'_>) -> Decision {
    let Some(arguments) = input.arguments else { return allow() };
    let asking = |obligation: Obligation| Decision { obligations: [obligation].into(), ..allow() };
    let number = number(arguments) / if input.stage == Stage::Response { 16 } else { 1 };
    match (number % 16, input.stage) {
        (0, _) => deny("no"),
        (1, _) => failed(),
        (2, _) => {
            let watched = Reason { mode: RuleMode::Observe, ..Reason::from("watched") };
            Decision { reasons: [watched].into(), ..allow() }
        }
        (3, _) => asking(Obligation::Redact { path: "/n".into(), with: "*".into() }),
        (4, _) => asking(Obligation::Strip { path: "no pointer".into() }),
        (5, Stage::Request) => asking(Obligation::RateLimit(RateLimit {
            key: vec![RateKey::Session],
            per: Duration::from_secs(3600),
            limit: 3,
        })),
        (6, Stage::Request) => asking(Obligation::RequireApproval { message: None }),
        (7, Stage::Request) => {
            asking(Obligation::SetHeader { name: "x-a".into(), value: "b".into() })
        }
        (8, _) => asking(Obligation::Taint { label: format!("t{}", number % 3).into() }),
        _ => allow(),
    }
}

async fn run(mode: Mode) -> (Gateway, Vec<AuditEvent>) {
    let people = People::answering(Ok(Approval::Pending("q".into())));
    let setup =
        Setup { mode, approvals: Some(people), ..Setup::default().examining().rules(rules) };
    let gateway = setup.start();
    let session = gateway.session().await;
    for n in 0..MESSAGES {
        let method = if n % 10 == 9 { "resources/read" } else { "tools/call" };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"{method}","params":{{"name":"t","uri":"a:b","arguments":{{"n":{n}}}}}}}"#
        );
        gateway.say(&session, &body).await;
    }
    gateway.settled();
    let events = gateway.log.take();
    (gateway, events)
}

/// What is decided, whatever is then done about it.
fn decided(event: &AuditEvent) -> String {
    format!(
        "{} {:?} {:?} {:?} {:?} {:?} {:?}",
        event.stage.as_str(),
        event.decision,
        event.matched_rule,
        event.reasons,
        event.obligations,
        event.error,
        event.policy_revision,
    )
}

#[tokio::test]
async fn audit_and_enforce_mode_decide_alike_and_forward_differently() {
    let (_enforced, enforced) = run(Mode::Enforce).await;
    let (_audited, audited) = run(Mode::Audit).await;
    assert_eq!((enforced.len(), audited.len()), (MESSAGES, MESSAGES));
    let mut seen = [0; 4];
    for (enforced, audited) in enforced.iter().zip(&audited) {
        seen[enforced.decision as usize] += 1;
        assert!(audited.forwarded);
        assert_eq!(audited.error_kind, None);
        let denied = matches!(enforced.decision, Outcome::Deny | Outcome::Error);
        assert_eq!(enforced.error_kind.is_some(), denied);
        assert_eq!(enforced.forwarded, !(denied && enforced.stage == Stage::Request));
        assert_eq!(decided(enforced), decided(audited));
    }
    assert!(seen.iter().all(|count| *count > 100), "every outcome came up: {seen:?}");
}
