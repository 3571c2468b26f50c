//! Messages of the server that it should not have sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{Clock, Throttle};

/// Messages of the server that it should not have sent: dropped, counted, and logged while they
/// are few.
pub(crate) struct ProtocolErrors {
    count: AtomicU64,
    throttle: Throttle,
}

impl ProtocolErrors {
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self { count: AtomicU64::new(0), throttle: Throttle::new(clock, 20) }
    }

    pub(crate) fn note(&self, what: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = self.throttle.admit() {
            tracing::warn!(what, suppressed, "dropped a message of the server");
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
