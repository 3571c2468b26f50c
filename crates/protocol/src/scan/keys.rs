//! Duplicate keys of one object, by what the keys mean.

use std::{borrow::Cow, collections::HashSet};

use super::offset;
use crate::text;

/// Up to this many keys are compared pair by pair; more of them go through a (seeded) hash set.
const PAIRWISE: usize = 32;

#[cfg(test)]
thread_local! {
    /// How often the text of a key was looked at, by which tests see that the work is linear.
    pub(super) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A key of an open object.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// Of the text between the quotes.
    start: u32,
    end: u32,
    /// First byte, last byte and length: keys that differ here need not be compared.
    print: u32,
    pub(super) escaped: bool,
}

impl Key {
    pub(super) fn new(bytes: &[u8], start: usize, end: usize, escaped: bool) -> Self {
        let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or(0));
        let print = (offset(end - start) << 16) | (byte(start) << 8) | byte(end - 1);
        Self { start: offset(start), end: offset(end), print, escaped }
    }

    /// The key as it is written, without the quotes.
    pub(super) fn inner(self, text: &str) -> &str {
        #[cfg(test)]
        LOOKS.set(LOOKS.get() + 1);
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Of the key with its quotes.
    pub(super) fn offset(self) -> usize {
        self.start as usize - 1
    }
}

/// The first key that means the same as an earlier one.
pub(super) fn duplicate(text: &str, keys: &[Key]) -> Option<Key> {
    if keys.len() <= PAIRWISE && !keys.iter().any(|key| key.escaped) {
        return pairwise(text, keys);
    }
    let mut seen = HashSet::<Cow<'_, str>>::with_capacity(keys.len());
    keys.iter().copied().find(|key| !seen.insert(text::unescape(key.inner(text))))
}

fn pairwise(text: &str, keys: &[Key]) -> Option<Key> {
    keys.iter().enumerate().find_map(|(index, later)| {
        let same = |earlier: &Key| {
            earlier.print == later.print && earlier.inner(text) == later.inner(text)
        };
        keys.iter().take(index).any(same).then_some(*later)
    })
}
