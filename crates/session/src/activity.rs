//! When a session was last used, and whether it is in use now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::Clock;

/// The times of one session, all on the injected monotonic clock.
pub(crate) struct Activity {
    clock: Arc<dyn Clock>,
    started: Instant,
    /// How old the session was at `started`: zero unless another replica or process opened it.
    lived: Duration,
    /// Nanoseconds from `started` to the last sign of life.
    last: AtomicU64,
    /// Messages under way, by [`Lane`].
    in_flight: [AtomicUsize; 2],
}

/// What a message under way is counted among.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    /// Requests.
    Requests,
    /// What expects no answer.
    Aside,
}

impl Activity {
    pub(crate) fn new(clock: Arc<dyn Clock>, lived: Duration) -> Self {
        let started = clock.monotonic();
        Self { clock, started, lived, last: AtomicU64::new(0), in_flight: Default::default() }
    }

    /// Time since the session opened, here or elsewhere.
    pub(crate) fn age(&self) -> Duration {
        self.here().saturating_add(self.lived)
    }

    fn here(&self) -> Duration {
        self.clock.monotonic().saturating_duration_since(self.started)
    }

    pub(crate) fn touch(&self) {
        let now = u64::try_from(self.here().as_nanos()).unwrap_or(u64::MAX);
        self.last.fetch_max(now, Ordering::Relaxed);
    }

    /// Time from the last sign of life to `age`; zero while a call is in flight.
    pub(crate) fn idle(&self, age: Duration) -> Duration {
        if self.in_flight() > 0 {
            return Duration::ZERO;
        }
        age.saturating_sub(self.lived).saturating_sub(self.last())
    }

    /// The last sign of life.
    pub(crate) fn used(&self) -> Instant {
        self.started + self.last()
    }

    fn last(&self) -> Duration {
        Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }

    /// Counts one more message unless `limit` of its lane are in flight; whether it was counted.
    pub(crate) fn enter(&self, lane: Lane, limit: usize) -> bool {
        let more = |calls: usize| (calls < limit).then_some(calls.saturating_add(1));
        self.lane(lane).fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// The end of a call is a sign of life; it is noted first, so that no one sees an idle session between.
    pub(crate) fn leave(&self, lane: Lane) {
        self.touch();
        self.lane(lane).fetch_sub(1, Ordering::AcqRel);
    }

    fn lane(&self, lane: Lane) -> &AtomicUsize {
        let [requests, aside] = &self.in_flight;
        match lane {
            Lane::Requests => requests,
            Lane::Aside => aside,
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.iter().map(|lane| lane.load(Ordering::Acquire)).sum()
    }
}
