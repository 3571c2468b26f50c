use std::sync::Arc;

use domain::SessionId;

use super::{Parked, Questions};
use crate::Keys;

fn parked(upstream_id: &str) -> Parked {
    Parked { upstream_id: upstream_id.to_owned(), method: "roots/list".to_owned() }
}

/// Questions of that session, as a replica with that key asks them.
fn sealed(limit: usize, key: u8, session: &str) -> Questions {
    let questions = Questions::new(limit);
    questions.seal(Arc::new(Keys::new(&[key; 32], &[]).unwrap()), &SessionId::from(session));
    questions
}

#[test]
fn an_answer_finds_its_request_once() {
    for questions in [Questions::new(4), sealed(4, 1, "s-1")] {
        let (_, first) = questions.park(parked("7")).expect("room");
        let (_, second) = questions.park(parked("\"7\"")).expect("room");
        assert_ne!(first, second);
        assert_eq!(questions.answer(&second), Some(parked("\"7\"")));
        assert_eq!(questions.answer(&second), None);
        assert_eq!(questions.answer(&first), Some(parked("7")));
        assert_eq!(questions.answer(&first), None);
    }
}

#[test]
fn what_was_not_asked_has_no_answer() {
    for questions in [Questions::new(4), sealed(4, 1, "s-1")] {
        for id in ["1", "\"1\"", "\"\"", "\"", "", "-1", "1.0", "null"] {
            assert_eq!(questions.answer(id), None, "{id}");
        }
    }
}

#[test]
fn waiting_requests_are_bounded() {
    let questions = Questions::new(2);
    let (first, id) = questions.park(parked("1")).expect("room");
    assert_eq!((first, &*id), (1, "1"));
    questions.park(parked("2")).expect("room");
    assert_eq!(questions.park(parked("3")), None);
    questions.unpark(first);
    assert_eq!(questions.answer(&id), None, "nobody waits for it");
    let (third, _) = questions.park(parked("3")).expect("room again");
    assert_ne!(third, first, "an id is not used twice");
}

#[test]
fn a_withdrawn_request_no_longer_waits() {
    for questions in [Questions::new(1), sealed(1, 1, "s-1")] {
        let (_, id) = questions.park(parked("5")).expect("room");
        assert_eq!(questions.withdraw("6"), None);
        assert_eq!(questions.withdraw("5"), Some(id.clone()));
        assert_eq!(questions.answer(&id), None);
        assert_eq!(questions.withdraw("5"), None);
    }
}

/// What an answer finds at a replica with that key and session, and whether it counts there again.
#[track_caller]
fn check(key: u8, session: &str, found: bool) {
    let (here, there) = (sealed(4, 1, "s-1"), sealed(4, key, session));
    // The same number there is another question.
    there.park(parked("8")).expect("room");
    let (_, id) = here.park(parked("\"q\"")).expect("room");
    assert_eq!(there.answer(&id), found.then(|| parked("\"q\"")));
    assert!(there.withdraw("8").is_some(), "that one still waits");
    assert_eq!(here.answer(&id), Some(parked("\"q\"")));
}

#[test]
fn an_answer_counts_at_any_replica_for_its_session_alone() {
    check(1, "s-1", true);
    check(1, "s-2", false);
    check(2, "s-1", false);
    let (_, id) = sealed(4, 1, "s-1").park(parked("1")).expect("room");
    assert_eq!(Questions::new(4).answer(&id), None, "without keys");
}

#[test]
fn another_spelling_of_an_id_is_none() {
    let (here, there) = (sealed(4, 1, "s-1"), sealed(4, 1, "s-1"));
    let (number, id) = here.park(parked("1")).expect("room");
    let bare = id.trim_matches('"');
    let padded = format!("\"{bare}=\"");
    // The first byte of a box says its version.
    let escaped = id.replacen('A', "\\u0041", 1);
    for spelling in [bare.to_owned(), padded, escaped, number.to_string()] {
        assert_eq!(here.answer(&spelling), None, "{spelling}");
        assert_eq!(there.answer(&spelling), None, "{spelling}");
    }
    assert_eq!(there.answer(&id), Some(parked("1")));
}

#[test]
fn what_does_not_fit_into_an_id_has_a_number() {
    let questions = sealed(2, 1, "s-1");
    let long = |length: usize| parked(&format!("\"{}\"", "q".repeat(length)));
    let (_, id) = questions.park(long(70)).expect("room");
    assert!(id.starts_with('"') && id.len() <= 256, "{id}");
    let (_, id) = questions.park(long(200)).expect("room");
    assert_eq!(id, "2");
    assert_eq!(questions.answer("1"), None, "that one is known by its box");
    assert_eq!(questions.answer(&id), Some(long(200)));
}

#[test]
fn questions_that_were_answered_elsewhere_make_room() {
    let questions = sealed(2, 1, "s-1");
    let (_, long) = questions.park(parked(&"7".repeat(300))).expect("room");
    let ids = ["1", "1", "2"].map(|upstream_id| questions.park(parked(upstream_id)).unwrap().1);
    // Those that made room are known by their ids alone, that one is not.
    assert_eq!(questions.answer(&ids[0]), Some(parked("1")));
    assert_eq!(questions.answer(&ids[2]), Some(parked("2")));
    assert_eq!(questions.answer(&ids[2]), None);
    assert_eq!(questions.answer(&long).unwrap().upstream_id.len(), 300);
}

#[test]
fn the_latest_question_of_an_id_is_the_one_that_is_withdrawn() {
    let questions = sealed(4, 1, "s-1");
    let [first, second] = [(); 2].map(|()| questions.park(parked("1")).unwrap().1);
    assert_eq!(questions.withdraw("1"), Some(second));
    assert_eq!(questions.withdraw("1"), Some(first));
}
