//! Limits by what messages are counted by.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use domain::{RateKey, RateLimit, lock};

use crate::Config;
use crate::table::{Key, Table};
use crate::window::{Bound, Window};

const TABLES: usize = 16;

/// How often the operator is told that keys share counters.
const REMINDER: Duration = Duration::from_secs(60);

/// Counts what passes, by limit and key. Limits that are equal share their counts, whichever rules ask for them.
pub struct RateLimiter {
    tables: [Mutex<Table>; TABLES],
    /// Keys of each table.
    capacity: usize,
    hashers: [RandomState; 2],
    /// What times are counted from.
    beginning: Instant,
    /// When the operator is to be told again, in nanoseconds.
    remind: AtomicU64,
}

/// Too many passed: how long until one more would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

impl RateLimiter {
    /// A limiter that has counted nothing.
    #[must_use]
    pub fn new(config: &Config, now: Instant) -> Self {
        let (tables, hashers, remind) = Default::default();
        let capacity = (config.max_keys / TABLES).max(1);
        Self { tables, capacity, hashers, beginning: now, remind }
    }

    /// Counts one message if the limit lets it pass. `values` are what `limit.key` names, in its order; of an IPv6
    /// address the first 64 bits count, as one client has all the others.
    ///
    /// # Errors
    ///
    /// How long to wait when it does not.
    pub fn check(
        &self,
        limit: &RateLimit,
        values: &[&str],
        now: Instant,
    ) -> Result<(), RetryAfter> {
        self.look(limit, values, now, Window::admit)
    }

    /// Counts one message under several limits if all let it pass, else under none; but when others use up one of them
    /// at the same moment, the message stays counted under those before.
    ///
    /// # Errors
    ///
    /// How long to wait for the first limit that does not.
    pub fn check_all(
        &self,
        limits: &[(&RateLimit, &[&str])],
        now: Instant,
    ) -> Result<(), RetryAfter> {
        if limits.len() > 1 {
            for (limit, values) in limits {
                self.look(limit, values, now, |window, bound, now| window.within(bound, now))?;
            }
        }
        limits.iter().try_for_each(|(limit, values)| self.check(limit, values, now))
    }

    /// How many keys are counted by themselves now, those whose windows are over but not yet forgotten included.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.tables.iter().map(|table| lock(table).len()).sum()
    }

    fn look(
        &self,
        limit: &RateLimit,
        values: &[&str],
        now: Instant,
        at: impl FnOnce(&mut Window, Bound, u64) -> Result<(), u64>,
    ) -> Result<(), RetryAfter> {
        let now = nanos(now.saturating_duration_since(self.beginning));
        let bound = Bound { limit: limit.limit, per: nanos(limit.per) };
        let key = self.key(limit, values);
        let mut table = self.table(key);
        let (window, own) = table.window(key, self.capacity, now);
        let result = at(window, bound, now);
        drop(table);
        if !own {
            self.remind(now);
        }
        result.map_err(|wait| RetryAfter(Duration::from_nanos(wait)))
    }

    fn key(&self, limit: &RateLimit, values: &[&str]) -> Key {
        let [high, low] = self.hashers.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            limit.hash(&mut hasher);
            for (at, value) in values.iter().enumerate() {
                let is_address = limit.key.get(at) == Some(&RateKey::SourceIp);
                match is_address.then(|| value.parse()) {
                    Some(Ok(address)) => network(address).hash(&mut hasher),
                    _ => value.hash(&mut hasher),
                }
            }
            hasher.finish()
        });
        Key::from(high) << 64 | Key::from(low)
    }

    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length")]
    fn table(&self, key: Key) -> MutexGuard<'_, Table> {
        let index = usize::try_from(key % TABLES as Key).unwrap_or_default();
        lock(&self.tables[index])
    }

    fn remind(&self, now: u64) {
        let due = self.remind.load(Ordering::Relaxed);
        let next = now.saturating_add(nanos(REMINDER));
        let ours = || {
            self.remind.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if now >= due && ours() {
            tracing::warn!(
                max_keys = self.capacity * TABLES,
                "more keys than `limits.max_keys` have a rate limit: newcomers share counters"
            );
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The addresses that one client is thought to have: one of IPv4 (RFC 4291, section 2.5.5.2 for how IPv6 writes it), a
/// /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests;
