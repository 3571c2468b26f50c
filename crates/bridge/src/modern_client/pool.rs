//! The sessions at the server, one a set of capabilities.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Clock, ErrorKind, Failure, Permit, Upstream, lock};

use super::session::{Lease, LegacySession, age};
use crate::capabilities;

/// Sets of capabilities that clients may declare at once.
const SETS: usize = 64;

/// Bytes of one set.
const SET_SIZE: usize = 16 * 1024;

/// How long a session that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(600);

/// The sessions of one principal's stateless clients.
pub(super) struct Pool {
    raw: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    sessions: Mutex<HashMap<String, Arc<LegacySession>>>,
}

impl Pool {
    /// No session yet.
    pub(super) fn new(raw: Arc<dyn Upstream>, clock: Arc<dyn Clock>) -> Self {
        Self { raw, clock, sessions: Mutex::default() }
    }

    /// A place on the session of clients that declare this (raw JSON); it may not be open yet.
    /// Where there are too many sessions, the one that was idle longest ends.
    ///
    /// # Errors
    ///
    /// `InvalidParams` when the capabilities are too large; `Overloaded` when no session is idle.
    pub(super) fn lease(
        &self,
        declared: &str,
        asking: bool,
        permit: &Permit,
    ) -> Result<Lease, Failure> {
        if declared.len() > SET_SIZE {
            let text = format!("the client's capabilities are larger than {SET_SIZE} bytes");
            return Err(Failure::new(ErrorKind::InvalidParams, text).unsent());
        }
        let set = capabilities::of_session(declared);
        let mut sessions = lock(&self.sessions);
        if let Some(session) = sessions.get(&set) {
            return Ok(Lease::new(session, asking));
        }
        if sessions.len() >= SETS {
            let idle = sessions.iter().filter_map(|(set, one)| Some((one.idle_since()?, set)));
            let oldest = idle.min().map(|(_, set)| set.clone()).ok_or_else(|| {
                let text = format!("clients declare more than {SETS} sets of capabilities at once");
                Failure::new(ErrorKind::Overloaded, text).unsent()
            })?;
            sessions.remove(&oldest).into_iter().for_each(end);
        }
        let session = LegacySession::new(&*self.raw, &self.clock, &set, permit);
        let lease = Lease::new(&session, asking);
        sessions.insert(set, session);
        Ok(lease)
    }

    /// Ends a session that could not be opened: the next request opens another.
    pub(super) fn give_up(&self, session: &Arc<LegacySession>) {
        let mut sessions = lock(&self.sessions);
        let failed = sessions.extract_if(|_, one| Arc::ptr_eq(one, session));
        failed.map(|(_, session)| session).for_each(end);
    }

    /// Ends the sessions that nobody used for long.
    pub(super) fn sweep(&self) {
        let mut sessions = lock(&self.sessions);
        let unused = |session: &LegacySession| {
            session.idle_since().is_some_and(|since| age(&*self.clock, since) >= IDLE)
        };
        let swept = sessions.extract_if(|_, session| unused(session));
        swept.map(|(_, session)| session).for_each(end);
    }

    /// Gives up every session: those in use end with what uses them.
    pub(super) fn retire(&self) {
        for (_, session) in lock(&self.sessions).drain() {
            session.listeners().end();
            if session.idle_since().is_some() {
                end(session);
            }
        }
    }

    /// Ends every session.
    pub(super) async fn close(&self) {
        let sessions: Vec<_> = lock(&self.sessions).drain().map(|(_, session)| session).collect();
        for session in sessions {
            session.close().await;
        }
    }
}

fn end(session: Arc<LegacySession>) {
    tokio::spawn(async move { session.close().await });
}
