//! The open sessions, by token.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use domain::{Agent, Clock, Connection, ErrorKind, Failure, Handshake, SessionId, SessionToken};

use crate::ended::Ended;
use crate::idlest::Idlest;
use crate::seal::{self, Subject};
use crate::session::Birth;
use crate::shards::{Shard, Shards};
use crate::tallies::Tallies;
use crate::{Config, Keys, Opening, Sealed, Session};

/// The open sessions. A removed session is gone at once: nothing in the table keeps it alive.
pub struct Sessions {
    config: Config,
    clock: Arc<dyn Clock>,
    keys: Arc<Keys>,
    /// Sessions that have their place, whether or not they are in a shard yet.
    count: AtomicUsize,
    shards: Shards,
    idlest: Idlest,
    ended: Ended,
    pub(crate) tallies: Arc<Tallies>,
    /// Bytes of events that the sessions keep.
    replayed: Arc<AtomicUsize>,
}

impl Sessions {
    /// An empty table, whose tokens are sealed with `keys`.
    pub fn new(config: Config, clock: Arc<dyn Clock>, keys: Keys) -> Self {
        let (count, shards, idlest, ended, replayed) = Default::default();
        let tallies = Arc::new(Tallies::new(&clock, config.ttl.duration()));
        let keys = Arc::new(keys);
        Self { config, clock, keys, count, shards, idlest, ended, tallies, replayed }
    }

    /// Opens a session. `connect` makes its upstream side and is given a handle that works once this returns. At
    /// `session.max_sessions` the session that was idle for longest makes room: it is out of the table, closed, and
    /// returned beside the new one.
    ///
    /// # Errors
    ///
    /// `Overloaded` when `session.max_sessions` are open and none is idle.
    pub fn open(
        &self,
        opening: Opening,
        connect: impl FnOnce(&Weak<Session>) -> Arc<dyn Connection>,
    ) -> Result<(Arc<Session>, Option<Arc<Session>>), Failure> {
        let (place, evicted) = self.place()?;
        let birth = Birth::now(&*self.clock);
        let session = Arc::new_cyclic(|weak| self.build(birth, opening, connect(weak)));
        let token = session.token().clone();
        self.shards.write(token.expose()).insert(token, Arc::clone(&session));
        place.keep();
        Ok((session, evicted))
    }

    /// The session of all stateless clients of one principal. It is not in the table, has no end but
    /// [`close`](Session::close), and its requests in flight are bounded by `session.max_stateless`.
    pub fn stateless(
        &self,
        opening: Opening,
        connect: impl FnOnce(&Weak<Session>) -> Arc<dyn Connection>,
    ) -> Arc<Session> {
        let birth = Birth::now(&*self.clock);
        Arc::new_cyclic(|weak| {
            self.build(birth, opening, connect(weak)).shared(&self.config, &self.tallies)
        })
    }

    /// Gives an open session the token that its client is told: one that says how the session began, sealed. From now
    /// on the table knows the session by it. A handshake that does not fit leaves the session its random token.
    pub fn announce(&self, session: &Arc<Session>, handshake: &Handshake) -> SessionToken {
        let old = session.token();
        if session.is_announced() {
            return old.clone();
        }
        let subject = Subject {
            id: session.id(),
            principal: principal(session.agent()),
            started_at: session.started_at(),
            handshake,
        };
        // In the same shard, so that at no time nobody finds the session.
        let shard = old.expose().chars().next().unwrap_or_default();
        let Some(token) = seal::seal(&self.keys, shard, &subject) else { return old.clone() };
        let mut shard = self.shards.write(token.expose());
        if let Some(open) = shard.remove(old.expose()) {
            self.rename(&open, token.clone(), handshake);
            shard.insert(token, open);
        }
        session.token().clone()
    }

    /// The open session of a token; never one that a limit has ended, even before the next sweep.
    pub fn get(&self, token: &str) -> Option<Arc<Session>> {
        let session = self.shards.read(token).get(token).map(Arc::clone)?;
        (!session.ended(&self.config)).then_some(session)
    }

    /// What a token says that is not in the table: that of a session which another replica or process opened, or that
    /// made room here. `None` for what this gateway's keys did not seal, for other principals, after `session.ttl`, and
    /// for sessions that ended here.
    pub fn unseal(&self, token: &str, principal: &str) -> Option<Sealed> {
        let sealed = seal::unseal(&self.keys, token, principal)?;
        sealed.age(self.clock.wall(), self.config.ttl.duration())?;
        (!self.ended.contains(&sealed.id)).then_some(sealed)
    }

    /// Opens the session of an unsealed token here, under that token. `connect` and the second session returned are as
    /// in [`open`](Self::open); when someone else was faster, theirs is returned, and `connect` is not called.
    ///
    /// # Errors
    ///
    /// `Overloaded` as in `open`; `SessionNotFound` when the session ended meanwhile.
    pub fn adopt(
        &self,
        sealed: Sealed,
        token: &str,
        opening: Opening,
        connect: impl FnOnce(&Weak<Session>) -> Arc<dyn Connection>,
    ) -> Result<(Arc<Session>, Option<Arc<Session>>), Failure> {
        if let Some(open) = self.still(&self.shards.read(token), token, &sealed.id)? {
            return Ok((open, None));
        }
        let (place, evicted) = self.place()?;
        let mut shard = self.shards.write(token);
        // Asked again: nobody waited for us.
        if let Some(open) = self.still(&shard, token, &sealed.id)? {
            return Ok((open, evicted));
        }
        let handshake = sealed.handshake.clone();
        let kept = self.tallies.of_session(&sealed.id);
        let token = SessionToken::from(token.to_owned());
        let birth = Birth::elsewhere(sealed, token.clone(), &*self.clock);
        let session = Arc::new_cyclic(|weak| {
            let session = self.build(birth, opening, connect(weak));
            match kept {
                Some(tally) => session.resumed(tally),
                None => session,
            }
        });
        session.negotiate(handshake.version);
        self.rename(&session, token.clone(), &handshake);
        shard.insert(token, Arc::clone(&session));
        place.keep();
        Ok((session, evicted))
    }

    /// Gives a session the sealed token. Where others can go on with the session that it has at the server, its questions
    /// can be answered there.
    fn rename(&self, session: &Session, token: SessionToken, handshake: &Handshake) {
        session.rename(token);
        if self.keys.durable() && handshake.server_session.is_some() {
            session.questions().seal(Arc::clone(&self.keys), session.id());
        }
    }

    /// The session of that token in its shard; an error when it ended.
    fn still(
        &self,
        shard: &Shard,
        token: &str,
        id: &SessionId,
    ) -> Result<Option<Arc<Session>>, Failure> {
        let open = shard.get(token);
        if self.ended.contains(id) || open.is_some_and(|open| open.ended(&self.config)) {
            return Err(Failure::new(ErrorKind::SessionNotFound, "the session has ended"));
        }
        Ok(open.cloned())
    }

    fn build(&self, birth: Birth, opening: Opening, connection: Arc<dyn Connection>) -> Session {
        Session::new(birth, opening, &self.config, &self.clock, &self.replayed, connection)
    }

    /// Takes a session out and closes it. Of several callers exactly one is given the session.
    pub fn remove(&self, token: &str) -> Option<Arc<Session>> {
        self.remove_if(token, |_| true)
    }

    /// Takes out and closes every session that `session.ttl` or `session.idle_timeout` ended, and returns them. Forgets
    /// events that are too old to be asked for.
    pub fn sweep(&self) -> Vec<Arc<Session>> {
        let ended = self.matching(|session| {
            session.replay().expire();
            session.ended(&self.config)
        });
        // Asked again under the lock: the session may have been used, or removed, since.
        ended
            .iter()
            .filter_map(|session| {
                self.remove_if(session.token().expose(), |session| session.ended(&self.config))
            })
            .collect()
    }

    /// Whether a session announced here can be gone on with by another process.
    pub fn outlive_process(&self) -> bool {
        self.keys.durable()
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
        for shard in self.shards.each() {
            found.extend(shard.values().filter(|session| keep(session)).cloned());
        }
        found
    }

    fn remove_if(&self, token: &str, condition: impl Fn(&Session) -> bool) -> Option<Arc<Session>> {
        let mut shard = self.shards.write(token);
        shard.get(token).filter(|session| condition(session))?;
        let session = shard.remove(token)?;
        // Before the lock is let go: whoever misses the session finds that it ended.
        self.bury(&session);
        drop(shard);
        Some(self.released(session))
    }

    /// Notes that the sealed token of a session is worth nothing any more.
    fn bury(&self, session: &Session) {
        if session.is_announced() {
            self.ended.add(session.id(), self.clock.monotonic(), self.config.ttl.duration());
        }
    }

    /// Gives the place of a session back that was taken out.
    fn released(&self, session: Arc<Session>) -> Arc<Session> {
        self.count.fetch_sub(1, Ordering::AcqRel);
        session.close();
        session
    }

    /// A place for one more session, and the session that had it before, if one had to make room.
    fn place(&self) -> Result<(Place<'_>, Option<Arc<Session>>), Failure> {
        let limit = self.config.max_sessions;
        if let Some(place) = Place::take(&self.count, limit) {
            return Ok((place, None));
        }
        let evicted = self.evict().ok_or_else(|| overloaded(limit))?;
        // Its place was not given back, so that nobody else can take it.
        evicted.close();
        Ok((Place(&self.count), Some(evicted)))
    }

    /// Takes out the session that was idle for longest. Its place stays taken, and its token and tally stay good.
    fn evict(&self) -> Option<Arc<Session>> {
        self.idlest.pop(
            self.clock.monotonic(),
            || self.matching(|session| session.idle_since().is_some()),
            |session, since| {
                let token = session.token().expose();
                let mut shard = self.shards.write(token);
                shard.get(token).filter(|open| open.idle_since() == Some(since))?;
                let kept = self.tallies.keep(session.id(), &session.tally());
                // What was done in it must not be forgotten while its token is good.
                if !kept || session.ended(&self.config) {
                    self.bury(session);
                }
                shard.remove(token)
            },
        )
    }
}

/// One of the places that `session.max_sessions` allows; given back when the session does not come to be.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(count: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let more = |count| (count < limit).then_some(count + 1);
        count.try_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|_| Self(count))
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
        .detail(format_args!("all {limit} sessions of `session.max_sessions` are in use"))
}

/// Who a sealed token is bound to.
fn principal(agent: &Agent) -> &str {
    &agent.id
}

#[cfg(test)]
mod tests;
