use std::time::Duration;

use domain::{Clock, SessionId};
use testkit::clock::ManualClock;

use super::{CAPACITY, Ended};

const TTL: Duration = Duration::from_secs(100);

fn id(number: usize) -> SessionId {
    SessionId::from(&*format!("s-{number}"))
}

#[test]
fn a_name_is_kept_until_its_token_has_expired() {
    let (ended, clock) = (Ended::default(), ManualClock::new());
    ended.add(&id(1), clock.monotonic(), TTL);
    clock.advance(TTL - Duration::from_secs(1));
    ended.add(&id(2), clock.monotonic(), TTL);
    assert!(ended.contains(&id(1)) && ended.contains(&id(2)) && !ended.contains(&id(3)));
    clock.advance(Duration::from_secs(1));
    ended.add(&id(3), clock.monotonic(), TTL);
    assert!(!ended.contains(&id(1)) && ended.contains(&id(2)) && ended.contains(&id(3)));
}

#[test]
fn beyond_the_capacity_the_oldest_is_forgotten() {
    let (ended, clock) = (Ended::default(), ManualClock::new());
    for number in 0..=CAPACITY {
        ended.add(&id(number), clock.monotonic(), Duration::ZERO);
        ended.add(&id(number), clock.monotonic(), Duration::ZERO);
    }
    assert!(!ended.contains(&id(0)) && ended.contains(&id(1)) && ended.contains(&id(CAPACITY)));
}
