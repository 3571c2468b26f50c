//! The decision cache of one thread. No lock, no sharing; bounded by count and by the size of a key; the whole key is
//! compared, never a hash of it.
//!
//! Two generations approximate least recent use: what is looked up moves into the recent one, and when that is half of
//! the bound, the older one is dropped.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Longer keys are not kept: a cache of large arguments would hold more text than it saves time.
const MAX_KEY: usize = 4096;

pub(crate) struct Cache<T> {
    recent: HashMap<Box<[u8]>, Entry<T>>,
    older: HashMap<Box<[u8]>, Entry<T>>,
    max_entries: usize,
    ttl: Duration,
}

struct Entry<T> {
    made: Instant,
    value: T,
}

impl<T> Cache<T> {
    pub(crate) fn new(max_entries: usize, ttl: Duration) -> Self {
        Self { recent: HashMap::new(), older: HashMap::new(), max_entries, ttl }
    }

    /// What was kept under `key`, unless it is too old.
    pub(crate) fn get(&mut self, key: &[u8], now: Instant) -> Option<&T> {
        if !self.recent.contains_key(key) {
            let (key, entry) = self.older.remove_entry(key)?;
            self.insert(key, entry);
        }
        let entry = self.recent.get(key)?;
        (now.saturating_duration_since(entry.made) < self.ttl).then_some(&entry.value)
    }

    pub(crate) fn put(&mut self, key: &[u8], value: T, now: Instant) {
        if key.len() <= MAX_KEY {
            self.older.remove(key);
            self.insert(key.into(), Entry { made: now, value });
        }
    }

    fn insert(&mut self, key: Box<[u8]>, entry: Entry<T>) {
        if self.recent.len() >= self.max_entries.div_ceil(2) {
            self.older = std::mem::take(&mut self.recent);
        }
        if self.recent.len() + self.older.len() >= self.max_entries {
            self.older.clear();
        }
        self.recent.insert(key, entry);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests;
