//! Requests of the server that wait for the client's answer (sampling, elicitation, roots).
//!
//! The client sees them under ids of the gateway: numbers, which only this process knows, or, where other replicas can go
//! on with the session at the server, boxes of [`Keys`] that say what they stand for. An answer under a number finds its
//! question here or nowhere. One under a box counts once where the question was asked; elsewhere there is no knowing
//! whether it was given before, and the server is left to know.

mod sealing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use domain::SessionId;

use self::sealing::Sealing;
use crate::Keys;

/// Maps the ids under which the client sees the server's requests back to the server's own. The ids that the client
/// sees are the gateway's: an answer to anything that was not asked finds nothing here.
pub struct Questions {
    limit: usize,
    sealing: OnceLock<Sealing>,
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
    requests: BTreeMap<u64, Asked>,
    /// The highest number that made room for another: of it and those before, only their ids can tell.
    forgotten: u64,
}

/// A question as the client was asked it.
struct Asked {
    parked: Parked,
    /// The box, raw JSON; the number is the id of a question that has none.
    sealed: Option<String>,
}

impl Questions {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, sealing: OnceLock::new(), waiting: Mutex::default() }
    }

    /// From now on ids say what they stand for, so that other processes with these keys can use an answer.
    pub(crate) fn seal(&self, keys: Arc<Keys>, session: &SessionId) {
        if let Some(sealing) = Sealing::new(keys, session.clone()) {
            self.sealing.get_or_init(|| sealing);
        }
    }

    /// Keeps a request of the server and returns its number and the id, raw JSON, to send to the client. When as many
    /// wait as the session's queue is long, the oldest with an id that says it all makes room: it may have been answered
    /// elsewhere. `None` when there is none such.
    pub fn park(&self, request: Parked) -> Option<(u64, String)> {
        let mut waiting = self.waiting();
        if waiting.requests.len() >= self.limit {
            waiting.make_room()?;
        }
        waiting.last += 1;
        let number = waiting.last;
        let sealed = self.sealing.get().and_then(|sealing| sealing.seal(number, &request));
        let asked = Asked { parked: request, sealed };
        let id = asked.id(number);
        waiting.requests.insert(number, asked);
        Some((number, id))
    }

    /// Forgets the question with that number: nobody waits for its answer.
    pub fn unpark(&self, number: u64) {
        self.waiting().requests.remove(&number);
    }

    /// The request that the client knows under that id, raw JSON: the answer is in.
    pub fn answer(&self, id: &str) -> Option<Parked> {
        let Ok(number) = id.parse() else { return self.answer_sealed(id) };
        let mut waiting = self.waiting();
        waiting.requests.get(&number).filter(|asked| asked.sealed.is_none())?;
        waiting.requests.remove(&number).map(|asked| asked.parked)
    }

    fn answer_sealed(&self, id: &str) -> Option<Parked> {
        let opened = self.sealing.get()?.open(id)?;
        let Some(number) = opened.number else { return Some(opened.parked) };
        let mut waiting = self.waiting();
        let waited = waiting.requests.remove(&number).is_some();
        (waited || number <= waiting.forgotten).then_some(opened.parked)
    }

    /// The id, raw JSON, that the client knows for the server's raw `upstream_id`, once: the server gave the request up.
    pub fn withdraw(&self, upstream_id: &str) -> Option<String> {
        let mut waiting = self.waiting();
        // The latest, as one before it of the same id was answered elsewhere.
        let mut latest_first = waiting.requests.iter().rev();
        let number = *latest_first.find(|(_, asked)| asked.parked.upstream_id == upstream_id)?.0;
        waiting.requests.remove(&number).map(|asked| asked.id(number))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn make_room(&mut self) -> Option<()> {
        let number = *self.requests.iter().find(|(_, asked)| asked.sealed.is_some())?.0;
        self.requests.remove(&number);
        self.forgotten = number;
        Some(())
    }
}

impl Asked {
    fn id(&self, number: u64) -> String {
        self.sealed.clone().unwrap_or_else(|| number.to_string())
    }
}

#[cfg(test)]
mod tests;
