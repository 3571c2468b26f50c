use super::*;

#[track_caller]
fn check(forwarded: &[(Option<&str>, Option<bool>, u64)], reads: u64, writes: u64, tools: &str) {
    let mut state = SessionState::default();
    for &(tool, read, bytes) in forwarded {
        state.note_forwarded(tool, read, bytes);
    }
    assert_eq!((state.cumulative_reads, state.cumulative_writes), (reads, writes));
    assert_eq!(state.bytes_out, forwarded.iter().map(|(_, _, bytes)| bytes).sum::<u64>());
    assert_eq!(serde_json::to_string(&state.tools_used).unwrap(), tools);
}

#[test]
fn what_left_is_counted() {
    let long = "x".repeat(129);
    check(&[], 0, 0, "{}");
    check(&[(None, None, 7)], 0, 0, "{}");
    check(&[(None, Some(true), 10)], 1, 0, "{}");
    check(&[(Some("a"), Some(true), 1), (Some("b"), Some(false), 2)], 1, 1, r#"{"a":1,"b":1}"#);
    check(&[(Some("a"), Some(true), 1), (Some("a"), Some(true), 1)], 2, 0, r#"{"a":2}"#);
    check(&[(Some(&long), Some(false), 1), (Some("a"), Some(false), 1)], 0, 2, r#"{"*":1,"a":1}"#);
}

#[test]
fn tools_beyond_the_bound_are_counted_together() {
    let mut state = SessionState::default();
    for number in 0..TOOLS + 10 {
        state.note_forwarded(Some(&format!("tool-{number}")), Some(false), 0);
    }
    state.note_forwarded(Some("tool-0"), Some(false), 0);
    assert_eq!(state.tools_used.len(), TOOLS + 1);
    assert_eq!((state.tools_used.get("*"), state.tools_used.get("tool-0")), (Some(&10), Some(&2)));
}
