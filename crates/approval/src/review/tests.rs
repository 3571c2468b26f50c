use std::time::Duration;

use domain::Clock as _;

use crate::fixture::{Fixture, id, pending, request};
use crate::{Filter, Grant, Scope, State};

/// Questions 1 to 3, asked a minute after each other.
async fn sample() -> Fixture {
    let fixture = Fixture::new();
    for number in 1..=3 {
        fixture.ask(request(number, &number.to_string())).await;
        fixture.clock.advance(Duration::from_secs(60));
    }
    fixture
}

#[tokio::test]
async fn a_question_shows_all_that_a_person_needs() {
    let fixture = sample().await;
    let grant = Grant { scope: Scope::Tool, note: Some("ok".into()), ..Grant::once("ann") };
    let question = fixture.store.grant("00000002", &grant).unwrap();
    let expected = r#"{
        "id": "00000002-0000-0000-0000-000000000000",
        "state": "granted",
        "asked_at": "2026-11-20T10:41:00Z",
        "expires_at": "2026-11-20T10:51:00Z",
        "agent": "agent-1",
        "server": "mail",
        "method": "tools/call",
        "tool": "send_mail",
        "target": null,
        "arguments": "2",
        "message": "mail leaves the house",
        "scope": "tool",
        "granted_until": "2026-11-20T11:43:00Z",
        "uses": 0,
        "uses_limit": 1,
        "decided_at": "2026-11-20T10:43:00Z",
        "decided_by": "ann",
        "note": "ok"
    }"#;
    let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    assert_eq!(serde_json::to_value(question).unwrap(), expected);
}

#[tokio::test]
async fn lists_are_filtered_and_newest_first() {
    let fixture = sample().await;
    let before = fixture.clock.wall();
    fixture.clock.advance(Duration::from_secs(1));
    fixture.store.grant(&id(1), &Grant::once("ann")).unwrap();
    fixture.store.deny(&id(2), "ann", None).unwrap();
    let check = |filter: Filter, expected: &[u32]| {
        let found = fixture.other_process().list(&filter).unwrap();
        let found: Vec<String> = found.into_iter().map(|question| question.id).collect();
        assert_eq!(
            found,
            expected.iter().map(|number| id(*number)).collect::<Vec<_>>(),
            "{filter:?}"
        );
    };
    let all = Filter::default;
    let state = |state| Filter { state: Some(state), ..all() };
    check(all(), &[3, 2, 1]);
    check(state(State::Pending), &[3]);
    check(state(State::Granted), &[1]);
    check(state(State::Denied), &[2]);
    check(state(State::Expired), &[]);
    check(Filter { agent: Some("agent-1".into()), ..state(State::Pending) }, &[3]);
    check(Filter { agent: Some("agent-2".into()), ..all() }, &[]);
    check(Filter { decided_after: Some(before), ..all() }, &[2, 1]);
    check(Filter { decided_after: Some(fixture.clock.wall()), ..all() }, &[]);
    fixture.clock.advance(Duration::from_secs(3600));
    check(state(State::Expired), &[3, 1]);
    check(state(State::Granted), &[]);
}

#[tokio::test]
async fn wrong_answers_are_refused_in_words() {
    let fixture = sample().await;
    let grant = |id: &str| fixture.store.grant(id, &Grant::once("ann"));
    let deny = |id: &str| fixture.store.deny(id, "ann", None);
    #[track_caller]
    fn check(result: Result<crate::Question, crate::Error>, wanted: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    check(grant("ffff0000"), "there is no question `ffff0000`; `mcp-proxy approvals list`");
    check(grant(""), "there is no question ``");
    check(grant("%%%%%%%%"), "there is no question");
    check(grant("0000"), "several questions begin with `0000`");
    grant(&id(1)).unwrap();
    check(grant(&id(1)), "is already granted; deny it to take that back");
    fixture.ask(request(9, "1")).await;
    check(deny(&id(1)), "is already used");
    fixture.clock.advance(Duration::from_secs(600));
    check(grant(&id(2)), "has expired; its sender has to ask again");
    check(deny(&id(2)), "has expired");
}

#[tokio::test]
async fn people_may_change_their_minds() {
    let fixture = sample().await;
    fixture.store.grant(&id(1), &Grant::once("ann")).unwrap();
    let taken_back = fixture.store.deny(&id(1), "bob", Some("no")).unwrap();
    assert_eq!((taken_back.state, taken_back.scope), (State::Denied, None));
    assert_ne!(fixture.ask(request(8, "1")).await, pending(8), "the denial stands");
    fixture.store.grant(&id(1), &Grant::once("ann")).unwrap();
    assert_eq!(fixture.ask(request(8, "1")).await, crate::fixture::granted(1));
}
