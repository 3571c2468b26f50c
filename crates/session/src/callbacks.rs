//! Requests of the server that wait for the client's answer (sampling, elicitation, roots).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maps the ids under which the client sees the server's requests back to the server's own. The ids that the client
/// sees are the gateway's: an answer to anything that was not asked finds nothing here.
pub struct Callbacks {
    limit: usize,
    waiting: Mutex<Waiting>,
}

/// A request of the server that waits for the client's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The server's own id, raw JSON.
    pub upstream_id: String,
    /// The method: the answer is judged under it.
    pub method: String,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    requests: BTreeMap<u64, Parked>,
}

impl Callbacks {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, waiting: Mutex::default() }
    }

    /// Keeps a request of the server and returns the id to send to the client; `None` when as many already wait as
    /// the session's queue is long.
    pub fn park(&self, request: Parked) -> Option<u64> {
        let mut waiting = self.waiting();
        if waiting.requests.len() >= self.limit {
            return None;
        }
        waiting.last += 1;
        let id = waiting.last;
        waiting.requests.insert(id, request);
        Some(id)
    }

    /// The request that the client knows as `id`, once: the answer is in.
    pub fn unpark(&self, id: u64) -> Option<Parked> {
        self.waiting().requests.remove(&id)
    }

    /// The id that the client knows for the server's raw `upstream_id`, once: the server gave the request up.
    pub fn withdraw(&self, upstream_id: &str) -> Option<u64> {
        let mut waiting = self.waiting();
        let id = waiting
            .requests
            .iter()
            .find(|(_, parked)| parked.upstream_id == upstream_id)
            .map(|(id, _)| *id)?;
        waiting.requests.remove(&id);
        Some(id)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
