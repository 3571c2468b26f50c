use super::*;
use crate::message::Arguments;

fn message(tool: &str) -> Message {
    let value = json!({ "n": tool.len() });
    Message {
        row: 1,
        at: "2026-11-20T10:40:00.000000Z".to_owned(),
        decision_id: String::new(),
        session: "s".to_owned(),
        revision: None,
        agent: "a".to_owned(),
        server: "s".to_owned(),
        method: "tools/call".to_owned(),
        subject: Subject::Tool {
            name: tool.to_owned(),
            digest: None,
            arguments: Some(Arguments { value, secrets: BTreeSet::new() }),
        },
    }
}

#[test]
fn names_without_end_are_not_all_kept() {
    let mut entries = Entries::default();
    for number in 0..ENTRIES + 5 {
        entries.add(&message(&format!("t{number}")), 0);
    }
    entries.add(&message("t0"), 1);
    assert_eq!(entries.crowded, 5);
    let (agents, count) = entries.written(Floors::default());
    assert_eq!(count, Count { entries: ENTRIES, for_review: ENTRIES });
    assert_eq!(agents.pointer("/a/s/tools/t0/evidence/events"), Some(&json!(2)));
    assert_eq!(agents.pointer(&format!("/a/s/tools/t{ENTRIES}")), None);
}

#[track_caller]
fn check_review(floors: Floors, expected: &[&str]) {
    let mut entries = Entries::default();
    for session in 0..3 {
        entries.add(&message("t"), session / 2);
    }
    let (agents, _) = entries.written(floors);
    let found = agents.pointer("/a/s/tools/t/review").and_then(Value::as_array).unwrap();
    let (definition, found) = found.split_last().unwrap();
    assert_eq!(*definition, json!("no definition of the tool was recorded; any will do"));
    assert_eq!(found, expected);
}

#[test]
fn too_little_evidence_is_said() {
    check_review(Floors { events: 3, sessions: 2 }, &[]);
    check_review(Floors { events: 4, sessions: 2 }, &["events: 3, fewer than 4"]);
    check_review(Floors::default(), &["events: 3, fewer than 5"]);
    check_review(Floors { events: 1, sessions: 3 }, &["sessions: 2, fewer than 3"]);
}
