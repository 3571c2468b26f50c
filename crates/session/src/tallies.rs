//! The tallies that outlive the session they are looked up from: those of stateless clients, one an agent, and those of
//! sessions that made room for others.
//!
//! They are kept in memory, within bounds. Counters alone may be forgotten when there are too many, taints may not before
//! `session.ttl`: where a tally with taints would have to go, newcomers share one instead.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Clock, SessionId};

use crate::Tally;

const SHARDS: usize = 16;

/// Most tallies of a shard: 4,096 in all.
const CAPACITY: usize = 4_096 / SHARDS;

/// Whose tally it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A session, by its public name.
    Session(SessionId),
    /// The stateless clients of an agent, by the agent's id.
    Agent(Arc<str>),
}

pub(crate) struct Tallies {
    clock: Arc<dyn Clock>,
    ttl: Duration,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// What agents share for whom there is no room.
    shared: Arc<Tally>,
}

#[derive(Default)]
struct Shard {
    kept: HashMap<Owner, Kept>,
    /// Counts look-ups, to tell which was last.
    lookups: u64,
}

struct Kept {
    tally: Arc<Tally>,
    used: u64,
}

impl Tallies {
    /// None yet. A tally ends `ttl` after it began, or after its last taint; zero is no limit.
    pub(crate) fn new(clock: &Arc<dyn Clock>, ttl: Duration) -> Self {
        let (hasher, shards) = Default::default();
        Self { clock: Arc::clone(clock), ttl, hasher, shards, shared: Arc::new(Tally::new(clock)) }
    }

    /// The tally of an agent's stateless clients; a new one when there is none.
    pub(crate) fn of_agent(&self, agent: &Arc<str>) -> Arc<Tally> {
        let owner = Owner::Agent(Arc::clone(agent));
        let mut shard = self.shard(&owner);
        if let Some(tally) = shard.find(&owner, self.ttl) {
            return tally;
        }
        let tally = Arc::new(Tally::new(&self.clock));
        if shard.keep(owner, &tally, self.ttl) { tally } else { Arc::clone(&self.shared) }
    }

    /// The tally of a session that made room, if it has one that is not blank.
    pub(crate) fn of_session(&self, id: &SessionId) -> Option<Arc<Tally>> {
        let owner = Owner::Session(id.clone());
        self.shard(&owner).find(&owner, self.ttl)
    }

    /// Keeps the tally of a session that makes room; whether that was possible.
    #[must_use]
    pub(crate) fn keep(&self, id: &SessionId, tally: &Arc<Tally>) -> bool {
        let owner = Owner::Session(id.clone());
        tally.is_blank() || self.shard(&owner).keep(owner, tally, self.ttl)
    }

    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length")]
    fn shard(&self, owner: &Owner) -> MutexGuard<'_, Shard> {
        let hash = usize::try_from(self.hasher.hash_one(owner) >> 32).unwrap_or_default();
        self.shards[hash % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn find(&mut self, owner: &Owner, ttl: Duration) -> Option<Arc<Tally>> {
        let kept = self.kept.get_mut(owner)?;
        if kept.tally.expired(ttl) {
            self.kept.remove(owner);
            return None;
        }
        self.lookups += 1;
        kept.used = self.lookups;
        Some(Arc::clone(&kept.tally))
    }

    /// Keeps a tally, and lets another go if need be; whether it could.
    fn keep(&mut self, owner: Owner, tally: &Arc<Tally>, ttl: Duration) -> bool {
        if !self.kept.contains_key(&owner) && self.kept.len() >= CAPACITY && !self.evict(ttl) {
            return false;
        }
        self.lookups += 1;
        self.kept.insert(owner, Kept { tally: Arc::clone(tally), used: self.lookups });
        true
    }

    /// Lets go of what has ended, or else of the tally without taints that was not looked up for longest.
    fn evict(&mut self, ttl: Duration) -> bool {
        self.kept.retain(|_, kept| !kept.tally.expired(ttl));
        if self.kept.len() < CAPACITY {
            return true;
        }
        let untainted = self.kept.iter().filter(|(_, kept)| !kept.tally.is_tainted());
        let oldest = untainted.min_by_key(|(_, kept)| kept.used).map(|(owner, _)| owner.clone());
        oldest.is_some_and(|owner| self.kept.remove(&owner).is_some())
    }
}

#[cfg(test)]
mod tests;
