use std::time::SystemTime;

use std::sync::Mutex;

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
    let hand = Arc::new(Hand(Mutex::new(crate::SystemClock.monotonic())));
    let clock: Arc<dyn Clock> = hand.clone();
    let throttle = Throttle::new(&clock, 2);
    let admitted = |count: usize| (0..count).map(|_| throttle.admit()).collect::<Vec<_>>();
    assert_eq!(admitted(5), [Some(0), Some(0), None, None, None]);
    *lock(&hand.0) += Duration::from_millis(999);
    assert_eq!(admitted(1), [None]);
    *lock(&hand.0) += Duration::from_millis(1);
    assert_eq!(admitted(3), [Some(4), Some(0), None]);
}
