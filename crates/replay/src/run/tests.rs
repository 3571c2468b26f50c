use std::sync::Arc;

use audit::Capture;
use domain::{Agent, AuditEvent, ErrorKind, Mode, Reason, Stage};
use serde_json::{Value, json};

use super::{Options, State};
use crate::fixture::{KEPT, Log, Message, call, judge};
use crate::{Class, Classes, Judge, Report};

const OLD: &str = r#"violations contains {"msg": "no secrets", "rule": "secrets"} if contains(input.arguments.path, "secret")"#;

/// Denies more than [`OLD`].
const NEW: &str = r#"violations contains {"msg": "no secrets", "rule": "secrets"} if contains(input.arguments.path, "secret")
violations contains {"msg": "read only", "rule": "read_only"} if {
	input.tool == "write_file"
	input.agent.model == "m-1"
}"#;

fn sample() -> Vec<Message> {
    vec![
        call(1, "read_file", r#"{"path":"/a","n":1}"#),
        call(2, "read_file", r#"{"path":"/secret","n":2}"#),
        call(3, "write_file", r#"{"path":"/a","text":"x","o":{"p":1}}"#),
        call(4, "write_file", r#"{"path":"/secret"}"#),
        call(5, "write_file", r#"{"path":"/b"}"#).in_session("s-2"),
    ]
}

/// Records `messages` under `old`, and replays them under `new` with `old` at hand.
fn replayed(old: &Judge, messages: &[Message], new: &Judge, state: State) -> Report {
    let log = Log::of(&**old.engine(), messages);
    log.replay(new, Options { state, recorded: std::slice::from_ref(old), ..Options::default() })
}

fn summary(report: &Report) -> Vec<(Class, &str, Option<&str>, u64, u64)> {
    report
        .changes
        .iter()
        .map(|change| {
            let tool = change.tool.as_deref().unwrap_or_default();
            (change.class, tool, change.rule.as_deref(), change.count, change.post_divergence)
        })
        .collect()
}

#[test]
fn what_a_candidate_would_change_is_told_by_class_tool_and_rule() {
    let (old, new) = (judge(OLD), judge(NEW));
    let report = replayed(&old, &sample(), &new, State::Recorded);
    assert_eq!(report.evidence.reproduced, 5, "{report:?}");
    assert!(!report.stopped && report.differs());
    let expected = Classes { same: 2, newly_denied: 2, reason_changed: 1, ..Classes::default() };
    assert_eq!(report.classes, expected);
    assert_eq!(
        summary(&report),
        [
            (Class::NewlyDenied, "write_file", Some("read_only"), 2, 0),
            (Class::ReasonChanged, "write_file", Some("read_only"), 1, 1),
        ]
    );
    let change = &report.changes[0];
    assert_eq!(change.first_seen, "2026-11-20T10:40:03.000000Z");
    assert_eq!(change.last_seen, "2026-11-20T10:40:05.000000Z");
    assert_eq!(change.example.decision_id, "00000003-0000-0000-0000-000000000000");
    // All that is needed: neither the arguments nor the agent's name.
    assert_eq!(change.example.input, json!({ "tool": "write_file", "agent": { "model": "m-1" } }));
    let back = replayed(&new, &sample(), &old, State::Recorded);
    let expected = Classes { same: 2, newly_allowed: 2, reason_changed: 1, ..Classes::default() };
    assert_eq!(back.classes, expected);
    assert_eq!(back.changes[0].rule.as_deref(), Some("read_only"), "the rule that denied then");
}

#[test]
fn the_policies_that_decided_change_nothing() {
    let old = judge(OLD);
    let log = Log::of(&**old.engine(), &sample());
    let report = log.replay(&old, Options::default());
    assert_eq!(report.evidence.reproduced, 5);
    assert_eq!(report.classes, Classes { same: 5, ..Classes::default() });
    assert!(!report.differs() && report.changes.is_empty());
}

#[test]
fn evidence_that_does_not_reproduce_stops_the_replay() {
    let (old, new) = (judge(OLD), judge(NEW));
    let mut messages = sample();
    messages[1].change = |event| event.arguments = Some(r#"{"path":"/harmless"}"#.into());
    let report = replayed(&old, &messages, &new, State::Recorded);
    assert!(report.stopped && report.differs());
    assert_eq!((report.evidence.reproduced, report.evidence.mismatched), (4, 1));
    let mismatch = &report.evidence.mismatches[0];
    assert_eq!(mismatch.decision_id, "00000002-0000-0000-0000-000000000000");
    assert!(!mismatch.recorded.allow && mismatch.now.allow);
    assert_eq!(report.classes, Classes::default());
    assert!(report.changes.is_empty());
}

#[test]
fn rows_of_policies_that_are_not_at_hand_count_by_what_they_record() {
    let (old, new) = (judge(OLD), judge(NEW));
    let log = Log::of(&**old.engine(), &sample());
    let report = log.replay(&new, Options::default());
    assert_eq!((report.evidence.reproduced, report.evidence.unverified), (0, 5));
    assert_eq!(report.classes.newly_denied, 2);
}

#[track_caller]
fn check_undecidable(rules: &str, capture: Capture, message: Message, path: Option<&str>) {
    let (old, new) = (judge("allow := true"), judge(rules));
    let log = Log::keeping(capture, &**old.engine(), &[message]);
    let report = log.replay(&new, Options::default());
    let found: Vec<(&str, u64)> =
        report.undecidable.iter().map(|(path, count)| (&**path, *count)).collect();
    assert_eq!(found, path.map(|path| (path, 1)).into_iter().collect::<Vec<_>>(), "{rules}");
    assert_eq!(report.classes.undecidable, path.is_some() as u64, "{rules}");
    if path.is_some() {
        assert_eq!(report.changes[0].rule.as_deref(), path);
        assert_eq!(report.changes[0].example.now, None);
    }
}

#[test]
fn what_was_not_recorded_is_never_taken_for_undefined() {
    // Each of these denies when what it reads is undefined.
    let unless = |path: &str| format!("allow if {path} == \"x\"");
    let plain = || call(1, "t", r#"{"a":"x","b":{"password":"p"}}"#);
    let check = check_undecidable;
    check(&unless("input.arguments.a"), KEPT, plain(), None);
    check(&unless("input.arguments.b.password"), KEPT, plain(), Some("input.arguments.b.password"));
    check(
        &unless("input.request.arguments.b.password"),
        KEPT,
        plain(),
        Some("input.request.arguments.b.password"),
    );
    check(
        "allow if count(input.arguments) == 3",
        KEPT,
        plain(),
        Some("input.arguments.b.password"),
    );
    check(&unless("input.arguments.a"), Capture::default(), plain(), Some("input.arguments"));
    check(&unless("input.tool"), Capture::default(), plain(), None);
    let cut = Capture { max_bytes: 8, ..KEPT };
    check(&unless("input.arguments.a"), cut, plain(), Some("input.arguments"));
    check(&unless("input.request.params.name"), KEPT, plain(), Some("input.request.params"));
    check("allow if input.request.id == 1", KEPT, plain(), Some("input.request.id"));
    check(&unless("input.context.headers.a"), KEPT, plain(), Some("input.context.headers"));
    check(&unless("input.context.environment"), KEPT, plain(), None);
    let masked = call(1, "t", "{}").with(|it| it.resource = Some("x://u:p@h/".to_owned()));
    check(&unless("input.resource"), KEPT, masked.clone(), Some("input.resource"));
    check(&unless("input.request.resource"), KEPT, masked, Some("input.request.resource"));
    let stateless = plain().with(|it| it.state = None);
    check(
        "allow if input.session.cumulative_reads == 0",
        KEPT,
        stateless.clone(),
        Some("input.session.cumulative_reads"),
    );
    check(&unless("input.tool"), KEPT, stateless, None);
    let mut old_row = plain();
    old_row.change = |event| event.evidence.facts = None;
    check(&unless("input.agent.model"), KEPT, old_row.clone(), Some("input.agent.model"));
    check(&unless("input.agent.id"), KEPT, old_row.clone(), None);
    check(
        "allow if input.session.request_count < 9",
        KEPT,
        old_row,
        Some("input.session.request_count"),
    );
    check("allow if time.now_ns() > 0", KEPT, plain(), Some("the clock or chance"));
    check("allow if input.context.timestamp != \"x\"", KEPT, plain(), None);
    let answer = plain().with(|it| it.stage = Stage::Response);
    check("deny if input.result.isError", KEPT, answer, Some("input.result"));
}

#[test]
fn denials_that_are_undecidable_are_counted() {
    let (old, new) = (judge("allow if input.tool == \"a\""), judge("deny if input.arguments.x"));
    let capture = Capture { request_arguments: false, ..KEPT };
    let messages = [call(1, "a", "{}"), call(2, "b", "{}"), call(3, "b", "{}")];
    let log = Log::keeping(capture, &**old.engine(), &messages);
    let report = log.replay(&new, Options::default());
    assert_eq!((report.classes.undecidable, report.undecidable_denials), (3, 2));
}

#[test]
fn an_answer_that_no_row_holds_is_counted() {
    let (old, new) = (judge("allow := true"), judge("allow := true\ndeny if input.result.isError"));
    let mut failed = call(2, "t", "{}");
    failed.change = |event| event.error_kind = Some(ErrorKind::UpstreamTimeout);
    let log = Log::of(&**old.engine(), &[call(1, "t", "{}"), failed]);
    let report = log.replay(&new, Options::default());
    assert_eq!(report.answers_unseen, 1);
    assert_eq!(report.classes.same, 2);
}

#[test]
fn what_holds_no_decision_of_a_policy_is_left_out() {
    let old = judge(OLD);
    let changes: [fn(&mut AuditEvent); 6] = [
        |event| event.policy_revision = None,
        |event| event.stage = Stage::Gateway,
        |event| event.matched_rule = Some("lockdown".into()),
        |event| event.error = Some("denied as `resources/subscribe`".into()),
        |event| event.stage = Stage::ServerRequest,
        |event| event.evidence.facts = Some("{}".into()),
    ];
    let messages: Vec<Message> = (1..)
        .zip(changes)
        .map(|(number, change)| Message { change, ..call(number, "t", "{}") })
        .collect();
    let report = replayed(&old, &messages, &old, State::Recorded);
    let left_out = serde_json::to_value(&report.left_out).unwrap();
    let expected = json!({ "undecided": 1, "gateway": 2, "companions": 2, "unreadable": 1 });
    assert_eq!(left_out, expected);
    assert_eq!((report.rows, report.classes.total()), (6, 0));
}

#[test]
fn a_message_that_an_obligation_held_was_allowed_by_policy() {
    let limit =
        r#"obligations contains {"action": "rate_limit", "key": "agent", "per": "1m", "limit": 3}"#;
    let old = judge(&format!("allow := true\n{limit}"));
    let mut held = call(1, "t", "{}");
    held.change = |event| {
        let reason = Reason {
            message: "too many".to_owned(),
            rule: Some("rate_limit".to_owned()),
            ..Reason::default()
        };
        event.reasons = [reason].into();
        event.decision = domain::Outcome::Deny;
        event.forwarded = false;
    };
    let mut failed = call(2, "t", "{}");
    failed.change = |event| {
        event.decision = domain::Outcome::Error;
        event.error = Some("obligation `set_header`: no headers over stdio".into());
    };
    let messages = [held, failed, call(3, "t", "{}")];
    let report = replayed(&old, &messages, &old, State::Recorded);
    assert_eq!((report.evidence.reproduced, report.evidence.mismatched), (3, 0), "{report:?}");
    let bare = replayed(&old, &messages, &judge("allow := true"), State::Recorded);
    assert_eq!(bare.classes, Classes { obligations_changed: 3, ..Classes::default() });
}

/// Taints what reads private data, and denies writing after it. The state in rows is what the old policies made of it.
const FLOW: &str = r#"allow if not blocked
blocked if {
	input.tool == "send"
	"private" in input.session.taints
}
obligations contains {"action": "taint", "label": "private"} if input.tool == "read_private""#;

#[test]
fn counters_and_marks_are_as_recorded_or_as_they_would_have_become() {
    let (old, new) = (judge("allow := true"), judge(FLOW));
    let messages = [call(1, "read_private", "{}"), call(2, "send", "{}"), call(3, "send", "{}")];
    let recorded = replayed(&old, &messages, &new, State::Recorded);
    assert_eq!(recorded.classes.newly_denied, 0);
    let recomputed = replayed(&old, &messages, &new, State::Recomputed);
    assert_eq!(recomputed.classes.newly_denied, 2);
    assert_eq!(recomputed.post_divergence.newly_denied, 1);
    let example = &recomputed.changes[0].example;
    let expected = json!({ "method": "tools/call", "stage": "request", "tool": "send",
        "session": { "taints": ["private"] } });
    assert_eq!(example.input, expected);
}

#[test]
fn what_the_candidate_denies_is_not_counted_as_forwarded() {
    let old = judge("allow := true");
    let new =
        judge("allow if input.session.cumulative_writes + input.session.cumulative_reads < 2");
    let messages: Vec<Message> = (1..=5)
        .map(|number| call(number, "t", "{}").tool_says(r#"{"readOnlyHint": true}"#))
        .collect();
    let report = replayed(&old, &messages, &new, State::Recomputed);
    assert_eq!((report.classes.same, report.classes.newly_denied), (2, 3));
    // In audit mode everything was forwarded, and would be again.
    let audit: Vec<Message> =
        messages.iter().map(|it| Message { mode: Mode::Audit, ..it.clone() }).collect();
    let writes = judge("allow if input.session.cumulative_reads < 4");
    let report = replayed(&old, &audit, &writes, State::Recomputed);
    assert_eq!(report.classes.newly_denied, 1);
}

#[test]
fn a_session_whose_beginning_is_unknown_has_no_recomputed_state() {
    let (old, new) = (judge("allow := true"), judge(FLOW));
    let unknown = |number| call(number, "send", "{}").with(|it| it.state = None);
    let report = replayed(&old, &[unknown(7), unknown(8)], &new, State::Recomputed);
    assert_eq!(report.classes.undecidable, 2);
    let begun = replayed(&old, &[unknown(1), unknown(2)], &new, State::Recomputed);
    assert_eq!(begun.classes.same, 2);
}

#[test]
fn clients_that_come_in_are_decided_as_they_were() {
    let door = r#"allow := true
deny contains "no agents at night" if {
	input.stage == "connect"
	input.agent.model == "m-2"
}"#;
    let (old, new) = (judge("allow := true"), judge(door));
    let hello = |model: &'static str| {
        call(1, "t", "{}").facts(|it| it.agent = agent(model)).with(|it| {
            it.method = "initialize".to_owned();
            it.tool = None;
        })
    };
    let late = replayed(&old, &[hello("m-1"), hello("m-2")], &new, State::Recorded);
    assert_eq!((late.classes.same, late.classes.newly_denied), (1, 1));
    // What the router records of a client that it turned away: the message, under the stage connect.
    let turned_away = hello("m-2").with(|it| it.stage = Stage::Connect);
    let report = replayed(&new, &[hello("m-1"), turned_away], &new, State::Recorded);
    assert_eq!((report.evidence.reproduced, report.evidence.mismatched), (2, 0), "{report:?}");
}

fn agent(model: &str) -> Arc<Agent> {
    Arc::new(Agent { id: "agent-1".into(), model: model.into(), ..Agent::default() })
}

#[test]
fn rows_are_chosen_by_session_time_and_number() {
    let old = judge(OLD);
    let log = Log::of(&**old.engine(), &sample());
    let rows = |options| log.replay(&old, options).rows;
    assert_eq!(rows(Options { session: Some("s-2"), ..Options::default() }), 1);
    assert_eq!(rows(Options { newest: Some(3), ..Options::default() }), 3);
    let third = call(3, "t", "{}").recorded.at;
    assert_eq!(rows(Options { since: Some(third), ..Options::default() }), 3);
}

#[test]
fn rows_that_agree_in_all_that_is_read_are_decided_once() {
    let (old, new) = (judge("allow := true"), judge(NEW));
    let messages: Vec<Message> = (1..=300)
        .map(|number| {
            let session = format!("s-{}", number % 7);
            call(number, ["read_file", "write_file"][number as usize % 2], r#"{"path":"/a"}"#)
                .in_session(&session)
        })
        .collect();
    let report = replayed(&old, &messages, &new, State::Recorded);
    assert_eq!(report.classes.newly_denied, 150);
    assert_eq!(report.evaluated, 2);
}

#[test]
fn groups_have_a_bound() {
    let (old, new) = (judge("allow := true"), judge("allow := false"));
    let messages: Vec<Message> =
        (1..=1100).map(|number| call(number, &format!("tool-{number}"), "{}")).collect();
    let report = replayed(&old, &messages, &new, State::Recorded);
    assert_eq!(report.changes.len(), super::GROUPS + 1);
    assert_eq!(report.changes[0].count, 100);
    assert_eq!(report.changes[0].method, "*");
    assert_eq!(report.classes.newly_denied, 1100);
}

#[test]
fn a_report_is_json() {
    let (old, new) = (judge(OLD), judge(NEW));
    let report = serde_json::to_value(replayed(&old, &sample(), &new, State::Recorded)).unwrap();
    assert_eq!(report["changes"][0]["class"], "newly_denied");
    assert_eq!(report["changes"][0]["example"]["now"]["reasons"][0]["rule"], "read_only");
    assert_eq!(report["changes"][0]["example"]["recorded"], json!({ "allow": true }));
    assert_eq!(report["post_divergence"]["reason_changed"], 1);
    assert_eq!(report["evidence"]["mismatches"], Value::from(Vec::<Value>::new()));
}
