use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, ErrorKind, SessionState};
use testkit::clock::ManualClock;

use super::{LABELS, Tally};

fn tally() -> (Tally, Arc<ManualClock>) {
    let clock = ManualClock::new();
    (Tally::new(&(Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>)), clock)
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let (tally, _) = tally();
    let before = tally.state();
    tally.note_forwarded(Some("a"), Some(true), 1);
    tally.taint("private").unwrap();
    assert_eq!(*before, SessionState::default());
    assert_eq!(tally.state().tools_used.get("a"), Some(&1));
    let unread = Arc::as_ptr(&tally.state());
    tally.note_forwarded(Some("a"), Some(true), 1);
    assert_eq!(Arc::as_ptr(&tally.state()), unread, "nobody reads it: no copy");
}

#[test]
fn taints_stay_and_are_bounded() {
    let (tally, _) = tally();
    for label in ["", &"x".repeat(65)] {
        assert_eq!(tally.taint(label).unwrap_err().kind, ErrorKind::PolicyError, "{label}");
    }
    assert!(!tally.is_tainted());
    for number in 0..LABELS {
        tally.taint(&format!("label-{number}")).unwrap();
    }
    tally.taint("label-0").unwrap();
    let refused = tally.taint("one-more").unwrap_err();
    assert!(refused.detail.contains("`one-more`"), "{refused}");
    assert_eq!(tally.state().taints.len(), LABELS);
}

#[test]
fn a_mark_starts_the_time_anew() {
    let second = Duration::from_secs(1);
    let (tally, clock) = tally();
    clock.advance(5 * second);
    assert!(
        tally.expired(5 * second) && !tally.expired(6 * second) && !tally.expired(Duration::ZERO)
    );
    tally.note_forwarded(None, None, 1);
    assert!(tally.expired(5 * second), "counting does not");
    tally.taint("private").unwrap();
    clock.advance(4 * second);
    tally.taint("private").unwrap();
    clock.advance(4 * second);
    assert!(!tally.expired(5 * second));
}
