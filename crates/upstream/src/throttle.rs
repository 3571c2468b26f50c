//! Log lines whose number the server decides.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::Clock;

use crate::ledger::lock;

/// Lets through so many a second, and counts the rest.
pub(crate) struct Throttle {
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
    pub(crate) fn new(clock: &Arc<dyn Clock>, per_second: u64) -> Self {
        let window = Mutex::new(Window { start: clock.monotonic(), seen: 0 });
        Self { clock: Arc::clone(clock), per_second, window }
    }

    /// Whether one more may pass; if so, how many did not since the last second began.
    pub(crate) fn admit(&self) -> Option<u64> {
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

/// Messages of the server that it should not have sent: dropped, counted, and logged while they
/// are few.
pub(crate) struct ProtocolErrors {
    count: AtomicU64,
    throttle: Throttle,
}

impl ProtocolErrors {
    /// None yet.
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self { count: AtomicU64::new(0), throttle: Throttle::new(clock, 20) }
    }

    /// One more.
    pub(crate) fn note(&self, what: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = self.throttle.admit() {
            tracing::warn!(what, suppressed, "dropped a message of the server");
        }
    }

    /// All so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
