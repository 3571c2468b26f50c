use std::time::SystemTime;

use super::*;

struct Hand(Mutex<Instant>);

impl Clock for Hand {
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Instant {
        *lock(&self.0)
    }
}

#[test]
fn so_many_a_second_pass_and_the_rest_are_counted() {
    let hand = Arc::new(Hand(Mutex::new(domain::SystemClock.monotonic())));
    let clock: Arc<dyn Clock> = hand.clone();
    let throttle = Throttle::new(&clock, 2);
    let admitted = |count: usize| (0..count).map(|_| throttle.admit()).collect::<Vec<_>>();
    assert_eq!(admitted(5), [Some(0), Some(0), None, None, None]);
    *lock(&hand.0) += Duration::from_millis(999);
    assert_eq!(admitted(1), [None]);
    *lock(&hand.0) += Duration::from_millis(1);
    assert_eq!(admitted(3), [Some(4), Some(0), None]);
}

#[test]
fn protocol_errors_are_counted_also_when_they_are_not_logged() {
    let clock: Arc<dyn Clock> = Arc::new(domain::SystemClock);
    let protocol_errors = ProtocolErrors::new(&clock);
    for _ in 0..100 {
        protocol_errors.note("odd");
    }
    assert_eq!(protocol_errors.count(), 100);
}
