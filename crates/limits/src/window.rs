//! What passed lately, under one key.
//!
//! Times that lie close together are kept as one, the latest of them: what is counted for too long is refused too early,
//! never too late. Up to [`EXACT`] messages a window nothing is merged, and the count is exact to the nanosecond.

use std::collections::VecDeque;

/// Most times that are kept, and the largest limit that is counted exactly.
pub(crate) const EXACT: usize = 64;

/// Into how many spans a window with a larger limit is divided: two fewer, as the first and the last may be cut.
const SPANS: u64 = EXACT as u64 - 2;

/// Times are nanoseconds since some beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// In order of time.
    passed: VecDeque<Passed>,
    /// When the newest of them began.
    newest_from: u64,
    /// How long they are kept: the longest window that was asked for.
    keep: u64,
}

#[derive(Clone, Copy, Debug)]
struct Passed {
    /// The last of them.
    at: u64,
    count: u64,
}

/// At most so many in any span of so many nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) limit: u64,
    pub(crate) per: u64,
}

impl Window {
    /// Counts one more if that stays within the bound; else says after how many nanoseconds it would.
    pub(crate) fn admit(&mut self, bound: Bound, now: u64) -> Result<(), u64> {
        self.within(bound, now)?;
        // Whoever took the time first may come second.
        let now = self.passed.back().map_or(now, |newest| now.max(newest.at));
        self.keep = self.keep.max(bound.per);
        self.forget(now);
        let grain = if bound.limit > EXACT as u64 { bound.per / SPANS } else { 0 };
        let full = self.passed.len() >= EXACT;
        match self.passed.back_mut() {
            Some(newest) if full || now - self.newest_from <= grain => {
                newest.at = now;
                newest.count += 1;
            }
            _ => {
                self.passed.push_back(Passed { at: now, count: 1 });
                self.newest_from = now;
            }
        }
        Ok(())
    }

    /// Whether nothing in it counts any more.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.passed.back().is_none_or(|newest| newest.at.saturating_add(self.keep) <= now)
    }

    /// Whether one more would stay within the bound; else after how many nanoseconds it would.
    pub(crate) fn within(&self, Bound { limit, per }: Bound, now: u64) -> Result<(), u64> {
        let mut count = 0_u64;
        for passed in self.passed.iter().rev() {
            let over = passed.at.saturating_add(per);
            if over <= now {
                break;
            }
            count = count.saturating_add(passed.count);
            if count >= limit {
                return Err(over - now);
            }
        }
        if limit == 0 { Err(per) } else { Ok(()) }
    }

    fn forget(&mut self, now: u64) {
        while let Some(oldest) = self.passed.front()
            && oldest.at.saturating_add(self.keep) <= now
        {
            self.passed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
