//! Time as a dependency: every deadline, age and timestamp comes through [`Clock`].

use std::time::{Instant, SystemTime};

/// Where the gateway takes the time from; tests set it by hand.
pub trait Clock: Send + Sync {
    /// The wall clock, for timestamps. It may jump.
    fn wall(&self) -> SystemTime;

    /// The monotonic clock, for durations and deadlines. It never goes back.
    fn monotonic(&self) -> Instant;
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}
