//! One part of the table: windows by key, and those that keys without a place share.

use std::collections::HashMap;

use crate::window::Window;

/// How many places are looked at for one that is free, for each newcomer.
const LOOKS: usize = 8;

/// How many windows newcomers share while all places are in use.
const SHARED: usize = 64;

/// The hash of a bound and what it is counted by.
pub(crate) type Key = u128;

#[derive(Default)]
pub(crate) struct Table {
    places: HashMap<Key, usize>,
    windows: Vec<(Key, Window)>,
    /// Where to look next for a place that is free.
    hand: usize,
    shared: Vec<Window>,
}

impl Table {
    /// The window of a key, and whether it is its own. Of `capacity` keys each has one; what shares one for a while takes
    /// the count along when there is room again.
    pub(crate) fn window(&mut self, key: Key, capacity: usize, now: u64) -> (&mut Window, bool) {
        let place = self.places.get(&key).copied();
        let place = place.or_else(|| self.settle(key, capacity, now));
        match place {
            Some(place) => (self.own(place), true),
            None => (self.shared(key), false),
        }
    }

    /// Windows that keys have for themselves.
    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    /// Makes a place for a newcomer.
    fn settle(&mut self, key: Key, capacity: usize, now: u64) -> Option<usize> {
        self.reclaim(now);
        let place = self.windows.len();
        if place >= capacity {
            return None;
        }
        let window = match self.shared.is_empty() {
            true => Window::default(),
            false => self.shared(key).clone(),
        };
        self.windows.push((key, window));
        self.places.insert(key, place);
        Some(place)
    }

    /// Frees places whose windows are over, without looking at all of them.
    fn reclaim(&mut self, now: u64) {
        for _ in 0..LOOKS {
            if self.hand >= self.windows.len() {
                self.hand = 0;
            }
            match self.windows.get(self.hand) {
                Some((key, window)) if window.is_over(now) => {
                    self.places.remove(key);
                    self.windows.swap_remove(self.hand);
                    if let Some((moved, _)) = self.windows.get(self.hand) {
                        self.places.insert(*moved, self.hand);
                    }
                }
                Some(_) => self.hand += 1,
                None => return,
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "`places` holds indices of `windows` alone")]
    fn own(&mut self, place: usize) -> &mut Window {
        &mut self.windows[place].1
    }

    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length")]
    fn shared(&mut self, key: Key) -> &mut Window {
        self.shared.resize_with(SHARED, Window::default);
        // Other digits than those that chose the table.
        let index = usize::try_from((key >> 32) % SHARED as u128).unwrap_or_default();
        &mut self.shared[index]
    }
}

#[cfg(test)]
mod tests;
