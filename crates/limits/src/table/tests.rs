use super::{SHARED, Table};
use crate::window::Bound;

const BOUND: Bound = Bound { limit: 2, per: 1_000 };
const CAPACITY: usize = 10;

impl Table {
    /// Whether one more passes, and whether its window is its own.
    fn admit(&mut self, key: u128, now: u64) -> (bool, bool) {
        let (window, own) = self.window(key << 32, CAPACITY, now);
        (window.admit(BOUND, now).is_ok(), own)
    }

    fn full() -> Self {
        let mut table = Self::default();
        for key in 0..CAPACITY as u128 {
            assert_eq!(table.admit(key, 0), (true, true));
        }
        table
    }
}

#[test]
fn keys_are_counted_apart_while_there_is_room() {
    let mut table = Table::full();
    for key in 0..CAPACITY as u128 {
        assert_eq!(table.admit(key, 1), (true, true));
        assert_eq!(table.admit(key, 2), (false, true));
    }
    assert_eq!(table.len(), CAPACITY);
}

#[test]
fn newcomers_share_while_there_is_none() {
    let mut table = Table::full();
    let (one, other) = (100, 100 + SHARED as u128);
    assert_eq!(table.admit(one, 1), (true, false));
    assert_eq!(table.admit(other, 1), (true, false));
    assert_eq!(table.admit(one, 1), (false, false), "both count");
    assert_eq!(table.admit(101, 1), (true, false), "this one shares with others");
    assert_eq!(table.admit(0, 1), (true, true), "who was there keeps its own");
    assert_eq!(table.len(), CAPACITY);
}

#[test]
fn who_gets_a_place_takes_the_count_along() {
    let mut table = Table::full();
    assert_eq!(table.admit(100, 900), (true, false));
    assert_eq!(table.admit(100, 1_000), (true, true));
    assert_eq!(table.admit(100, 1_001), (false, true), "never more than two in a window");
    assert_eq!(table.admit(100, 1_900), (true, true));
}

#[test]
fn places_are_free_again_when_their_windows_are_over() {
    let mut table = Table::full();
    table.admit(0, 999);
    for key in 100..200 {
        table.admit(key, 1_000 + key as u64 * 1_000);
    }
    assert!(table.len() < CAPACITY, "{} places for one key in use", table.len());
    assert_eq!(table.places.len(), table.len());
    for (place, (key, _)) in table.windows.iter().enumerate() {
        assert_eq!(table.places.get(key), Some(&place));
    }
}
