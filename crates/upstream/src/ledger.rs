//! The requests in flight of one connection, under ids of our own.
//!
//! Invariants: upstream sees only our numbers, also as progress tokens and subscription ids; a
//! client's id maps to at most one flight; an entry lives exactly as long as its answer is awaited,
//! whoever stops waiting; a message that answers no flight is dropped and counted.

mod flight;
mod names;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::{Failure, lock};
use protocol::{Era, Kind, Message, Method, RequestId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub(crate) use self::flight::{Flight, Piece};
use self::names::Names;
use crate::failure;
use crate::protocol_errors::ProtocolErrors;

/// Updates that may wait for the reader of an answer before the connection is read on.
const UPDATE_QUEUE: usize = 32;
/// Tasks whose progress may still come after the answer that named them, in one session.
const TASKS: usize = 64;

/// Tells the server, under our id, that nobody waits for an answer any more.
pub(crate) type Abandon = Arc<dyn Fn(u64) + Send + Sync>;

/// Whose requests they are, where a connection is shared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// The session, among those of one server.
    pub(crate) session: u64,
    /// Whether ids in it are one client's: unique in flight, and good to cancel by.
    pub(crate) one_client: bool,
}

/// How updates reach the flight that they belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updates {
    /// On an event stream of its own.
    Apart,
    /// Over the one connection of a session, which waits for a slow reader: back-pressure.
    Waiting,
    /// Over a connection of many sessions, which waits for none of them.
    Passing,
}

/// The table of flights of one connection.
pub(crate) struct Ledger {
    table: Mutex<Table>,
    updates: Updates,
    protocol_errors: Arc<ProtocolErrors>,
}

/// A client's id, in its session.
type ClientId = (u64, RequestId);

#[derive(Default)]
struct Table {
    last: u64,
    closed: bool,
    by_client: HashMap<ClientId, u64>,
    flights: HashMap<u64, Entry, BuildHasherDefault<OwnHasher>>,
    /// Flights that became tasks, newest first (2025-11-25): their tokens outlive the answer.
    tasks: VecDeque<(u64, Names)>,
}

/// Hashes our own ids, which nobody else chooses (FNV-1a).
struct OwnHasher(u64);

impl Default for OwnHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for OwnHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Entry {
    /// The session of the client, if it is one's.
    session: Option<u64>,
    client: Option<ClientId>,
    era: Era,
    /// Whether the answer may name a task.
    task: bool,
    names: Names,
    /// The wire that the request was sent on, once it was.
    wire: Option<u64>,
    end: oneshot::Sender<Result<Message, Failure>>,
    updates: Option<mpsc::Sender<Message>>,
}

impl Table {
    fn remove(&mut self, own: u64) -> Option<Entry> {
        let entry = self.flights.remove(&own)?;
        if let Some(key) = &entry.client {
            self.by_client.remove(key);
        }
        if self.flights.is_empty() {
            // Most sessions are idle, and there are many.
            (self.by_client, self.flights) = Default::default();
        }
        if entry.task {
            self.tasks.truncate(TASKS - 1);
            self.tasks.push_front((own, entry.names.clone()));
        }
        Some(entry)
    }

    fn names(&self, own: u64) -> Option<&Names> {
        let flight = self.flights.get(&own).map(|entry| &entry.names);
        flight.or_else(|| self.tasks.iter().find(|(task, _)| *task == own).map(|(_, names)| names))
    }
}

impl Entry {
    /// Whoever awaited the end may be gone, which is no fault.
    fn end(self, end: Result<Message, Failure>) {
        let end = end.map(|answer| self.names.put_back_in_answer(answer));
        drop(self.end.send(end));
    }
}

impl Ledger {
    /// An empty table whose first id follows `base`.
    pub(crate) fn new(
        protocol_errors: &Arc<ProtocolErrors>,
        updates: Updates,
        base: u64,
    ) -> Arc<Self> {
        let table = Table { last: base, ..Table::default() };
        let protocol_errors = Arc::clone(protocol_errors);
        Arc::new(Self { table: Mutex::new(table), updates, protocol_errors })
    }

    /// Registers a request of a client under a new id.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` when the client's id is in flight; `UpstreamError` after [`Ledger::close`].
    pub(crate) fn enter(
        self: &Arc<Self>,
        lane: Lane,
        request: &Message,
    ) -> Result<Flight, Failure> {
        let client = request.request_id().filter(|_| lane.one_client);
        let client = client.map(|id| (lane.session, id));
        let mut table = lock(&self.table);
        if table.closed {
            return Err(failure::closed().unsent());
        }
        if let Some((_, id)) = client.as_ref().filter(|id| table.by_client.contains_key(id)) {
            return Err(failure::in_flight(id));
        }
        Ok(self.add(&mut table, Some(lane.session), client, request))
    }

    /// Registers a request of our own.
    pub(crate) fn enter_own(self: &Arc<Self>, request: &Message) -> Flight {
        self.add(&mut lock(&self.table), None, None, request)
    }

    fn add(
        self: &Arc<Self>,
        table: &mut Table,
        session: Option<u64>,
        client: Option<ClientId>,
        request: &Message,
    ) -> Flight {
        let names = Names::of(request);
        let task = names.progress_token.is_some() && request.task().is_some();
        let queued = self.updates != Updates::Apart && !names.is_empty();
        let (sender, updates) = queued.then(|| mpsc::channel(UPDATE_QUEUE)).unzip();
        let (end, ended) = oneshot::channel();
        table.last += 1;
        let own = table.last;
        if let Some(client) = &client {
            table.by_client.insert(client.clone(), own);
        }
        let listens = names.subscription.is_some();
        let (era, wire) = (request.era(), None);
        let entry = Entry { session, client, era, task, names, wire, end, updates: sender };
        table.flights.insert(own, entry);
        let (ledger, abandon, slot) = (Arc::clone(self), None, None);
        let started = Instant::now();
        Flight { ledger, own, era, listens, started, ended, updates, abandon, slot }
    }

    /// Ends the flight of a client's id as cancelled; gives our id and the era of the request.
    pub(crate) fn cancel(&self, lane: Lane, cancellation: &Message) -> Option<(u64, Era)> {
        let client = cancellation.cancelled_request_id()?;
        let mut table = lock(&self.table);
        let own = table.by_client.get(&(lane.session, client)).copied()?;
        let entry = table.remove(own)?;
        drop(table);
        let era = entry.era;
        entry.end(Err(failure::cancelled()));
        Some((own, era))
    }

    /// Hands a message of the server to the flight it belongs to; gives back what belongs to none
    /// and is not an answer.
    pub(crate) async fn route(&self, message: Message) -> Option<Message> {
        if matches!(message.kind(), Kind::Response | Kind::Error) {
            let entry = own_id(&message).and_then(|own| lock(&self.table).remove(own));
            match entry {
                Some(entry) => entry.end(Ok(message)),
                None => self.odd("answers no request in flight"),
            }
            return None;
        }
        let (own, message) = self.restored(message)?;
        let Some(own) = own else { return Some(message) };
        if let Some(last) = own_answer(own, &message) {
            if let Some(entry) = lock(&self.table).remove(own) {
                entry.end(Ok(last));
            }
            return None;
        }
        let updates = lock(&self.table).flights.get(&own).map(|entry| entry.updates.clone());
        match (updates, self.updates) {
            // The token of a task outlives its flight.
            (None, _) => return Some(message),
            (Some(Some(updates)), Updates::Passing) => self.pass(own, &updates, message),
            (Some(Some(updates)), _) => drop(updates.send(message).await),
            // The reader was too slow before.
            (Some(None), _) => {}
        }
        None
    }

    /// Queues an update without waiting. A reader who is too slow misses progress; a subscription
    /// that missed something has to end.
    fn pass(&self, own: u64, updates: &mpsc::Sender<Message>, message: Message) {
        let progress = message.method() == Some(Method::Progress);
        if updates.try_send(message).is_err()
            && !progress
            && let Some(entry) = lock(&self.table).flights.get_mut(&own)
        {
            entry.updates = None;
        }
    }

    /// A message of the server under the names that the client knows, and the flight or task that
    /// it names. `None` when it names one that is not there: it is dropped and counted.
    pub(crate) fn restored(&self, message: Message) -> Option<(Option<u64>, Message)> {
        let Some(name) = names::of_request(&message) else { return Some((None, message)) };
        let own = own_number(name);
        let names = own.and_then(|own| lock(&self.table).names(own).cloned());
        match (own, names) {
            (Some(own), Some(names)) if names.know(&message) => {
                Some((Some(own), names.put_back(message)))
            }
            // The server gives up a request of its own.
            (_, _) if message.method() == Some(Method::Cancelled) => Some((None, message)),
            (_, _) => {
                self.odd("belongs to no request in flight");
                None
            }
        }
    }

    /// Notes that a request is about to be sent on that wire, and fails with it from now on.
    pub(crate) fn sent_on(&self, own: u64, wire: u64) {
        if let Some(entry) = lock(&self.table).flights.get_mut(&own) {
            entry.wire = Some(wire);
        }
    }

    /// Fails every request that was sent on a wire.
    pub(crate) fn fail(&self, wire: u64, failure: &Failure) {
        self.fail_where(|entry| entry.wire == Some(wire), failure);
    }

    /// Fails every request, now and from now on.
    pub(crate) fn close(&self) {
        lock(&self.table).closed = true;
        self.fail_where(|_| true, &failure::closed());
    }

    /// Fails every request of a session that has ended, and gives our ids of them.
    pub(crate) fn leave(&self, lane: Lane) -> Vec<u64> {
        self.fail_where(|entry| entry.session == Some(lane.session), &failure::closed())
    }

    fn fail_where(&self, matches: impl Fn(&Entry) -> bool, failure: &Failure) -> Vec<u64> {
        let mut table = lock(&self.table);
        let failed = table.flights.iter().filter(|(_, entry)| matches(entry));
        let failed: Vec<u64> = failed.map(|(own, _)| *own).collect();
        let entries: Vec<Entry> = failed.iter().filter_map(|own| table.remove(*own)).collect();
        drop(table);
        for entry in entries {
            entry.end(Err(failure.clone()));
        }
        failed
    }

    /// Counts and logs something that the server should not have sent; it is dropped.
    pub(crate) fn odd(&self, what: &str) {
        self.protocol_errors.note(what);
    }
}

/// Our id in an answer: only the number we sent, spelt as we spelt it.
pub(crate) fn own_id(answer: &Message) -> Option<u64> {
    own_number(answer.id()?)
}

fn own_number(raw: &str) -> Option<u64> {
    raw.parse().ok().filter(|own: &u64| own.to_string() == raw)
}

/// The answer that a message is besides answers: a server may end a subscription by cancelling it
/// (2026-07-28, "Cancellation").
pub(crate) fn own_answer(own: u64, message: &Message) -> Option<Message> {
    if message.method() != Some(Method::Cancelled) {
        return None;
    }
    let id = own.to_string();
    let meta = format!(r#"{{"_meta":{{"{}":{id}}},"resultType":"complete"}}"#, names::SUBSCRIPTION);
    Message::parse(protocol::encode::result_reply(&id, &meta)).ok()
}

/// `notifications/cancelled` for a request of ours.
pub(crate) fn cancellation(own: u64) -> Bytes {
    let params = format!(r#"{{"requestId":{own},"reason":"the gateway no longer waits"}}"#);
    protocol::encode::notification(Method::Cancelled.as_str(), Some(&params))
}
