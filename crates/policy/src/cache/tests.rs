use domain::{Clock, SystemClock};

use super::*;

#[test]
fn what_is_put_is_found_until_it_is_too_old() {
    let start = SystemClock.monotonic();
    let mut cache = Cache::new(10, Duration::from_secs(5));
    cache.put(b"a", 1, start);
    assert_eq!(cache.get(b"a", start + Duration::from_secs(4)), Some(&1));
    assert_eq!(cache.get(b"a", start + Duration::from_secs(5)), None);
    cache.put(b"a", 2, start + Duration::from_secs(5));
    assert_eq!(cache.get(b"a", start + Duration::from_secs(6)), Some(&2));
    assert_eq!(cache.get(b"b", start), None);
}

#[test]
fn the_bound_holds_and_what_is_used_stays() {
    let now = SystemClock.monotonic();
    for bound in [1, 2, 3, 10, 101] {
        let mut cache = Cache::new(bound, Duration::from_secs(5));
        for round in 0..1000_u32 {
            cache.put(&round.to_le_bytes(), round, now);
            assert!(cache.len() <= bound, "{} entries, bound {bound}", cache.len());
            assert_eq!(cache.get(&round.to_le_bytes(), now), Some(&round));
        }
    }
    let mut cache = Cache::new(10, Duration::from_secs(5));
    cache.put(b"used", 0, now);
    for round in 0..1000_u32 {
        cache.put(&round.to_le_bytes(), round, now);
        assert_eq!(cache.get(b"used", now), Some(&0), "{round}");
    }
}

#[test]
fn long_keys_are_not_kept() {
    let now = SystemClock.monotonic();
    let mut cache = Cache::new(10, Duration::from_secs(5));
    let long = vec![0; MAX_KEY + 1];
    cache.put(&long, 1, now);
    assert_eq!(cache.get(&long, now), None);
}
