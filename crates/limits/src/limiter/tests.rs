use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::{RateKey, RateLimit};

use super::{RateLimiter, RetryAfter};
use crate::Config;

const MINUTE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "an instant to count from, whichever it is")]
fn limiter(max_keys: usize) -> (RateLimiter, Instant) {
    let now = Instant::now();
    (RateLimiter::new(&Config { max_keys }, now), now)
}

fn per_minute(limit: u64, key: &[RateKey]) -> RateLimit {
    RateLimit { key: key.to_vec(), per: MINUTE, limit }
}

/// Sends one message for each list of values at once, under a limit of one a minute, and says which pass.
#[track_caller]
fn check(key: &[RateKey], messages: &[&[&str]], pass: &[bool]) {
    let (limiter, now) = limiter(1_000);
    let limit = per_minute(1, key);
    let passed: Vec<_> =
        messages.iter().map(|values| limiter.check(&limit, values, now).is_ok()).collect();
    assert_eq!(passed, pass, "{messages:?}");
}

#[test]
fn what_the_key_names_is_counted_apart() {
    use RateKey::{Agent, Session, SourceIp, Tool};
    check(&[], &[&[], &[]], &[true, false]);
    check(&[Agent], &[&["a"], &["b"], &["a"]], &[true, true, false]);
    check(&[Agent, Tool], &[&["a", "x"], &["a", "y"], &["a", "x"]], &[true, true, false]);
    check(&[Agent, Tool], &[&["a", "bc"], &["ab", "c"]], &[true, true]);
    check(&[SourceIp], &[&["10.0.0.1"], &["10.0.0.2"], &["10.0.0.1"]], &[true, true, false]);
    check(&[SourceIp], &[&["::ffff:10.0.0.1"], &["10.0.0.1"]], &[true, false]);
    check(&[SourceIp], &[&["2001:db8:0:1::1"], &["2001:db8:0:1:ffff::2"]], &[true, false]);
    check(&[SourceIp], &[&["2001:db8:0:1::1"], &["2001:db8:0:2::1"]], &[true, true]);
    check(&[Session], &[&["2001:db8::1"], &["2001:db8::2"]], &[true, true]);
}

#[test]
fn the_wait_is_until_one_more_passes() {
    let (limiter, now) = limiter(1_000);
    let limit = per_minute(2, &[RateKey::Agent]);
    let second = Duration::from_secs(1);
    limiter.check(&limit, &["a"], now).unwrap();
    limiter.check(&limit, &["a"], now + 10 * second).unwrap();
    let refused = limiter.check(&limit, &["a"], now + 20 * second);
    assert_eq!(refused, Err(RetryAfter(40 * second)));
    assert!(limiter.check(&limit, &["a"], now + 59 * second).is_err());
    limiter.check(&limit, &["a"], now + MINUTE).unwrap();
    assert!(limiter.check(&limit, &["a"], now + MINUTE + second).is_err());
}

#[test]
fn limits_that_are_equal_share_a_count_and_others_do_not() {
    let (limiter, now) = limiter(1_000);
    let limit = per_minute(1, &[RateKey::Agent]);
    limiter.check(&limit, &["a"], now).unwrap();
    assert!(limiter.check(&limit.clone(), &["a"], now).is_err());
    limiter.check(&per_minute(2, &[RateKey::Agent]), &["a"], now).unwrap();
    limiter.check(&per_minute(1, &[RateKey::Identity]), &["a"], now).unwrap();
}

#[test]
fn of_several_limits_none_counts_what_another_refuses() {
    let (limiter, now) = limiter(1_000);
    let (agent, tool) = (per_minute(3, &[RateKey::Agent]), per_minute(1, &[RateKey::Tool]));
    let call = |tool_name: &str| {
        limiter.check_all(&[(&agent, &["a"]), (&tool, &[tool_name])], now).is_ok()
    };
    assert_eq!(["x", "x", "x", "y", "z", "w"].map(call), [true, false, false, true, true, false]);
    limiter.check_all(&[], now).unwrap();
}

#[test]
fn a_million_keys_take_bounded_memory_and_leave_others_alone() {
    let (limiter, start) = limiter(65_536);
    let limit = per_minute(5, &[RateKey::SourceIp]);
    let passes = |at| limiter.check(&limit, &["192.0.2.1"], at).is_ok();
    let mut victim: Vec<Duration> = Vec::new();
    for flood in 0..1_000_000_u32 {
        // Ten messages for each of the flood's addresses' time: two minutes in all.
        let at = Duration::from_micros(u64::from(flood) * 120);
        let network = (0x2001_0db8 << 96) | (u128::from(flood) << 64);
        let address = Ipv6Addr::from_bits(network | u128::from(flood)).to_string();
        limiter.check(&limit, &[&address], start + at).ok();
        if flood % 1_000 == 0 {
            let due = victim.iter().rev().take_while(|&&last| last + MINUTE > at).count() < 5;
            assert_eq!(passes(start + at), due, "after {flood}: {victim:?}");
            if due {
                victim.push(at);
            }
        }
    }
    assert_eq!(victim.len(), 10);
    assert!(limiter.keys() <= 65_536);
    assert!(limiter.keys() > 60_000, "the table is used: {}", limiter.keys());
}

#[test]
fn who_moves_on_within_a_network_gains_nothing() {
    let (limiter, now) = limiter(1_000);
    let limit = per_minute(10, &[RateKey::SourceIp]);
    let passed = (0..100_000_u128)
        .map(|host| Ipv6Addr::from_bits((0x2001_0db8 << 96) | (host * 7_919)).to_string())
        .filter(|address| limiter.check(&limit, &[address], now).is_ok());
    assert_eq!((passed.count(), limiter.keys()), (10, 1));
}

#[test]
fn threads_do_not_exceed_a_limit_together() {
    let (limiter, now) = limiter(1_000);
    for limit in [10, 1_000] {
        let limit = per_minute(limit, &[RateKey::Tool]);
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (limiter, limit, passed) = (&limiter, &limit, &passed);
                scope.spawn(move || {
                    for step in 0..1_000 {
                        // None has quite the time of the others.
                        let at = now + Duration::from_millis(step * 10 + thread * 3);
                        if limiter.check(limit, &["x"], at).is_ok() {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner() as u64, limit.limit);
    }
}
