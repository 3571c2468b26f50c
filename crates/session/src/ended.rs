//! The names of sessions that ended before their sealed tokens expire: those tokens are worth nothing any more.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::SessionId;

/// Most names that are kept; beyond it the oldest is forgotten.
const CAPACITY: usize = 65_536;

/// The ended sessions of this process. Other replicas and later processes do not know of them.
#[derive(Default)]
pub(crate) struct Ended(Mutex<Names>);

#[derive(Default)]
struct Names {
    set: HashSet<SessionId>,
    by_age: VecDeque<(Instant, SessionId)>,
}

impl Ended {
    /// Notes the end of a session, and forgets those that ended longer than `ttl` ago. A zero `ttl` is no limit.
    pub(crate) fn add(&self, id: &SessionId, now: Instant, ttl: Duration) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.set.insert(id.clone()) {
            names.by_age.push_back((now, id.clone()));
        }
        while let Some((at, oldest)) = names.by_age.front().cloned() {
            let expired = !ttl.is_zero() && now.saturating_duration_since(at) >= ttl;
            if !expired && names.by_age.len() <= CAPACITY {
                break;
            }
            names.by_age.pop_front();
            names.set.remove(&oldest);
        }
    }

    pub(crate) fn contains(&self, id: &SessionId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set.contains(id)
    }
}

#[cfg(test)]
mod tests;
