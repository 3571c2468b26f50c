use super::{Callbacks, Parked};

fn parked(upstream_id: &str) -> Parked {
    Parked { upstream_id: upstream_id.to_owned(), method: "roots/list".to_owned() }
}

#[test]
fn an_answer_finds_its_request_once() {
    let callbacks = Callbacks::new(4);
    let first = callbacks.park(parked("7")).expect("room");
    let second = callbacks.park(parked("\"7\"")).expect("room");
    assert_ne!(first, second);
    assert_eq!(callbacks.unpark(second), Some(parked("\"7\"")));
    assert_eq!(callbacks.unpark(second), None);
    assert_eq!(callbacks.unpark(first), Some(parked("7")));
}

#[test]
fn what_was_not_asked_has_no_answer() {
    assert_eq!(Callbacks::new(4).unpark(1), None);
}

#[test]
fn waiting_requests_are_bounded() {
    let callbacks = Callbacks::new(2);
    let first = callbacks.park(parked("1")).expect("room");
    callbacks.park(parked("2")).expect("room");
    assert_eq!(callbacks.park(parked("3")), None);
    callbacks.unpark(first);
    let third = callbacks.park(parked("3")).expect("room again");
    assert_ne!(third, first, "an id is not used twice");
}

#[test]
fn a_withdrawn_request_no_longer_waits() {
    let callbacks = Callbacks::new(1);
    let id = callbacks.park(parked("5")).expect("room");
    assert_eq!(callbacks.withdraw("6"), None);
    assert_eq!(callbacks.withdraw("5"), Some(id));
    assert_eq!(callbacks.unpark(id), None);
}
