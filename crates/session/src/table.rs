//! The open sessions, by token.

use std::array;
use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use domain::{Clock, Connection, ErrorKind, Failure, SessionToken};

use crate::{Config, Opening, Session};

const SHARDS: usize = 16;

type Shard = RwLock<HashMap<SessionToken, Arc<Session>>>;

/// The open sessions. A removed session is gone at once: nothing in the table keeps it alive.
pub struct Sessions {
    config: Config,
    clock: Arc<dyn Clock>,
    /// Sessions that have their place, whether or not they are in a shard yet.
    count: AtomicUsize,
    shards: [Shard; SHARDS],
}

impl Sessions {
    /// An empty table.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        let shards = array::from_fn(|_| RwLock::default());
        Self { config, clock, count: AtomicUsize::new(0), shards }
    }

    /// Opens a session. `connect` makes its upstream side and is given a handle that works once this returns.
    ///
    /// # Errors
    ///
    /// `Overloaded` when `session.max_sessions` are open.
    pub fn open(
        &self,
        opening: Opening,
        connect: impl FnOnce(&Weak<Session>) -> Arc<dyn Connection>,
    ) -> Result<Arc<Session>, Failure> {
        let place = Place::take(&self.count, self.config.max_sessions)?;
        let session =
            Arc::new_cyclic(|weak| Session::new(opening, &self.config, &self.clock, connect(weak)));
        let token = session.token().clone();
        write(self.shard(token.expose())).insert(token, Arc::clone(&session));
        place.keep();
        Ok(session)
    }

    /// The open session of a token; never one that a limit has ended, even before the next sweep.
    pub fn get(&self, token: &str) -> Option<Arc<Session>> {
        let session = read(self.shard(token)).get(token).map(Arc::clone)?;
        (!session.ended(&self.config)).then_some(session)
    }

    /// Takes a session out and closes it. Of several callers exactly one is given the session.
    pub fn remove(&self, token: &str) -> Option<Arc<Session>> {
        self.remove_if(token, |_| true)
    }

    /// Takes out and closes every session that `session.ttl` or `session.idle_timeout` ended, and returns them.
    pub fn sweep(&self) -> Vec<Arc<Session>> {
        let ended = self.matching(|session| session.ended(&self.config));
        // Asked again under the lock: the session may have been used, or removed, since.
        ended
            .iter()
            .filter_map(|session| {
                self.remove_if(session.token().expose(), |session| session.ended(&self.config))
            })
            .collect()
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The open sessions, in no order.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.matching(|_| true)
    }

    fn matching(&self, keep: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(read(shard).values().filter(|session| keep(session)).cloned());
        }
        found
    }

    fn remove_if(&self, token: &str, condition: impl Fn(&Session) -> bool) -> Option<Arc<Session>> {
        let session = {
            let mut shard = write(self.shard(token));
            shard.get(token).filter(|session| condition(session))?;
            shard.remove(token)?
        };
        self.count.fetch_sub(1, Ordering::AcqRel);
        session.close();
        Some(session)
    }

    /// Tokens are random, so that a few of their bytes spread them well enough.
    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length")]
    fn shard(&self, token: &str) -> &Shard {
        let spread = token
            .bytes()
            .take(4)
            .fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.shards[spread % SHARDS]
    }
}

fn read(shard: &Shard) -> RwLockReadGuard<'_, HashMap<SessionToken, Arc<Session>>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &Shard) -> RwLockWriteGuard<'_, HashMap<SessionToken, Arc<Session>>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// One of the places that `session.max_sessions` allows; given back when the session does not come to be.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(count: &'a AtomicUsize, limit: usize) -> Result<Self, Failure> {
        count
            .try_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < limit).then_some(count + 1)
            })
            .map(|_| Self(count))
            .map_err(|_| overloaded(limit))
    }

    fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn overloaded(limit: usize) -> Failure {
    Failure::new(ErrorKind::Overloaded, "too many sessions are open; try again later")
        .detail(format_args!("all {limit} sessions of `session.max_sessions` are open"))
}

#[cfg(test)]
mod tests;
