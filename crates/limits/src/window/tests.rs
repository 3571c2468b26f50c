use proptest::prelude::*;

use super::{Bound, EXACT, Window};

const PER: u64 = 1_000_000;

/// What a window must do: every time is remembered.
#[derive(Default)]
struct Log(Vec<u64>);

impl Log {
    fn within(&self, bound: Bound, now: u64) -> u64 {
        self.0.iter().filter(|&&at| at + bound.per > now).count() as u64
    }
}

fn gaps(longest: u64) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![3 => 0..longest, 1 => Just(0)], 1..400)
}

proptest! {
    #[test]
    fn small_limits_are_exact(limit in 0..=EXACT as u64, gaps in gaps(PER / 10)) {
        let (mut window, mut log, mut now) = (Window::default(), Log::default(), 0);
        let bound = Bound { limit, per: PER };
        for gap in gaps {
            now += gap;
            let passes = log.within(bound, now) < limit;
            match window.admit(bound, now) {
                Ok(()) => {
                    prop_assert!(passes, "one too many");
                    log.0.push(now);
                }
                Err(wait) => {
                    prop_assert!(!passes, "one too few");
                    if limit > 0 {
                        prop_assert!(log.within(bound, now + wait) < limit, "the wait is long enough");
                        prop_assert!(log.within(bound, now + wait - 1) >= limit, "and no longer");
                    }
                }
            }
            prop_assert!(window.passed.len() <= EXACT);
        }
    }

    #[test]
    fn large_limits_are_never_exceeded(limit in EXACT as u64 + 1..300, gaps in gaps(PER / 50)) {
        let (mut window, mut log, mut now) = (Window::default(), Log::default(), 0);
        let bound = Bound { limit, per: PER };
        // What may be counted for too long, by the width of one span.
        let slack = Bound { limit, per: PER + PER / 60 };
        for gap in gaps {
            now += gap;
            match window.admit(bound, now) {
                Ok(()) => {
                    prop_assert!(log.within(bound, now) < limit, "one too many");
                    log.0.push(now);
                }
                Err(wait) => {
                    prop_assert!(log.within(slack, now) >= limit, "too few by more than the edge");
                    prop_assert!(window.clone().admit(bound, now + wait).is_ok());
                    prop_assert!(window.clone().admit(bound, now + wait - 1).is_err());
                }
            }
            prop_assert!(window.passed.len() <= EXACT);
        }
        now += PER;
        for _ in 0..limit {
            prop_assert!(window.admit(bound, now).is_ok(), "the first N of a fresh window");
        }
        prop_assert!(window.admit(bound, now).is_err());
    }

    /// Keys with different limits share a window: each is held to its own, at least.
    #[test]
    fn shared_windows_hold_every_limit(
        steps in prop::collection::vec((0..3_usize, 0..PER / 5), 1..400)
    ) {
        let bounds = [(3, PER), (100, PER / 4), (20, 5 * PER)].map(|(limit, per)| Bound { limit, per });
        let mut logs = [(); 3].map(|()| Log::default());
        let (mut window, mut now) = (Window::default(), 0);
        for (key, gap) in steps {
            now += gap;
            if window.admit(bounds[key], now).is_ok() {
                prop_assert!(logs[key].within(bounds[key], now) < bounds[key].limit);
                logs[key].0.push(now);
            }
            prop_assert!(window.passed.len() <= EXACT);
        }
        prop_assert!(!window.is_over(now) || logs.iter().all(|log| log.0.is_empty()));
        prop_assert!(window.is_over(now + 5 * PER));
    }
}

#[test]
fn a_time_from_before_the_last_counts_as_the_last() {
    let (mut window, bound) = (Window::default(), Bound { limit: 2, per: PER });
    window.admit(bound, 500).unwrap();
    window.admit(bound, 100).unwrap();
    assert_eq!(window.admit(bound, PER + 100), Err(400));
    assert_eq!(window.admit(bound, PER + 499), Err(1));
    window.admit(bound, PER + 500).unwrap();
}

#[test]
fn nothing_is_a_limit_too() {
    let mut window = Window::default();
    assert_eq!(window.admit(Bound { limit: 0, per: PER }, 0), Err(PER));
    assert!(window.is_over(0));
}
