//! Log lines whose number somebody else decides.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::{Clock, lock};

/// Lets through so many a second, and counts the rest.
pub struct Throttle {
    clock: Arc<dyn Clock>,
    per_second: u64,
    window: Mutex<Window>,
}

struct Window {
    start: Instant,
    seen: u64,
}

impl Throttle {
    /// A throttle that has let nothing through yet.
    pub fn new(clock: &Arc<dyn Clock>, per_second: u64) -> Self {
        let window = Mutex::new(Window { start: clock.monotonic(), seen: 0 });
        Self { clock: Arc::clone(clock), per_second, window }
    }

    /// Whether one more may pass; if so, how many did not since the last second began.
    pub fn admit(&self) -> Option<u64> {
        let now = self.clock.monotonic();
        let mut window = lock(&self.window);
        let mut suppressed = 0;
        if now.saturating_duration_since(window.start) >= Duration::from_secs(1) {
            suppressed = window.seen.saturating_sub(self.per_second);
            *window = Window { start: now, seen: 0 };
        }
        window.seen += 1;
        (window.seen <= self.per_second).then_some(suppressed)
    }
}

#[cfg(test)]
mod tests;
