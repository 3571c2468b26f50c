//! Which sessions were idle for longest, without looking at all of them each time.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::Session;

/// How many are looked up at once.
const BATCH: usize = 64;

/// How long nobody looks again when there was none: looking at ten thousand sessions costs more than a refusal should.
const PAUSE: Duration = Duration::from_millis(100);

/// The sessions that were idle for longest when somebody looked. As a last use only moves forward, those of them that
/// were not used since still are.
#[derive(Default)]
pub(crate) struct Idlest(Mutex<Found>);

#[derive(Default)]
struct Found {
    /// With the time since when each was idle; the longest last.
    sessions: Vec<(Instant, Weak<Session>)>,
    /// When there was none.
    none: Option<Instant>,
}

impl Idlest {
    /// The session that was idle for longest, if `take` takes it, which is told since when it was idle; else the next.
    /// `look` finds idle sessions.
    pub(crate) fn pop(
        &self,
        now: Instant,
        look: impl FnOnce() -> Vec<Arc<Session>>,
        take: impl Fn(&Session, Instant) -> Option<Arc<Session>>,
    ) -> Option<Arc<Session>> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = found.pop(&take) {
            return Some(taken);
        }
        if found.none.is_some_and(|none| now.saturating_duration_since(none) < PAUSE) {
            return None;
        }
        found.fill(&look());
        let taken = found.pop(&take);
        found.none = taken.is_none().then_some(now);
        taken
    }
}

impl Found {
    fn pop(
        &mut self,
        take: impl Fn(&Session, Instant) -> Option<Arc<Session>>,
    ) -> Option<Arc<Session>> {
        while let Some((since, session)) = self.sessions.pop() {
            let taken = session.upgrade().and_then(|session| take(&session, since));
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    fn fill(&mut self, idle: &[Arc<Session>]) {
        let idle = idle.iter().filter_map(|it| Some((it.idle_since()?, Arc::downgrade(it))));
        self.sessions.extend(idle);
        if self.sessions.len() > BATCH {
            self.sessions.select_nth_unstable_by_key(BATCH, |(since, _)| *since);
            self.sessions.truncate(BATCH);
            // The room of all that were looked at.
            self.sessions.shrink_to_fit();
        }
        self.sessions.sort_unstable_by_key(|(since, _)| Reverse(*since));
    }
}

#[cfg(test)]
mod tests;
