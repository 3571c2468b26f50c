use serde_json::{Value, json};

use super::{TOUR, difference, one_row_each};

#[track_caller]
fn check(expected: Value, found: Value, said: Option<&str>) {
    assert_eq!(difference("", &expected, &found).as_deref(), said);
}

#[test]
fn a_difference_is_named_by_its_place() {
    check(json!({"a": [1, {"b": null}]}), json!({"a": [1, {"b": null}]}), None);
    check(json!({"a": [1, 2]}), json!({"a": [1, 3]}), Some("`.a[1]` is 3, expected 2"));
    check(json!({"a": [1]}), json!({"a": []}), Some("`.a` is [], expected [1]"));
    check(json!({"a": {"b": 1}}), json!({"a": {}}), Some("`.a.b` is gone"));
    check(json!({"a": {}}), json!({"a": {"b": 1}}), Some("`.a.b` is new"));
    check(json!(1), json!("1"), Some("`` is \"1\", expected 1"));
}

fn tour(session: &str) -> Vec<Value> {
    let row = |method: &str| json!({"method": method, "tool": "echo", "decision": "allow", "forwarded": 1, "session_id": session});
    TOUR.iter()
        .flat_map(|&(method, n)| std::iter::repeat_with(move || row(method)).take(n))
        .collect()
}

#[test]
fn a_tour_is_one_row_a_message() {
    let mut rows = tour("one");
    assert!(one_row_each(&rows, 1).is_ok());
    rows.extend(tour("two"));
    assert!(one_row_each(&rows, 2).is_ok());
    assert!(one_row_each(&rows, 1).is_err());
}

#[test]
fn a_lost_row_a_double_row_and_a_crossed_session_are_found() {
    for method in TOUR.map(|(method, _)| method) {
        let mut lost = tour("one");
        let at = lost.iter().position(|row| row["method"] == method).unwrap();
        let mut double = lost.clone();
        double.push(lost.remove(at));
        assert!(one_row_each(&lost, 1).is_err(), "{method} lost");
        assert!(one_row_each(&double, 1).is_err(), "{method} twice");
    }
    let mut crossed = tour("one");
    crossed.extend(tour("two"));
    let call = crossed.iter_mut().rfind(|row| row["method"] == "tools/call").unwrap();
    call["session_id"] = json!("one");
    assert!(one_row_each(&crossed, 2).is_err());
}
