//! The requests in flight of one connection, under ids of our own.
//!
//! Invariants: upstream sees only our numbers; a client's id maps to at most one flight; an entry
//! lives exactly as long as its answer is awaited, whoever stops waiting; a message that answers no
//! flight is dropped and counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use domain::Failure;
use protocol::{Kind, Message, Method, RequestId};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::failure;
use crate::throttle::ProtocolErrors;

/// Progress that may wait for its reader before the connection is read on.
const PROGRESS_QUEUE: usize = 32;

/// Tells the server, under our id, that nobody waits for an answer any more.
pub(crate) type Abandon = Arc<dyn Fn(u64) + Send + Sync>;

/// Takes a mutex whose holder may have panicked: every holder leaves the value whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table of flights of one connection.
pub(crate) struct Ledger {
    table: Mutex<Table>,
    protocol_errors: Arc<ProtocolErrors>,
}

#[derive(Default)]
struct Table {
    last: u64,
    closed: bool,
    by_client: HashMap<RequestId, u64>,
    flights: HashMap<u64, Entry>,
}

struct Entry {
    client: Option<RequestId>,
    /// The wire that the request was sent on, once it was.
    wire: Option<u64>,
    end: oneshot::Sender<Result<Message, Failure>>,
    progress: Option<(Box<str>, mpsc::Sender<Message>)>,
}

impl Table {
    fn remove(&mut self, own: u64) -> Option<Entry> {
        let entry = self.flights.remove(&own)?;
        if let Some(client) = &entry.client {
            self.by_client.remove(client);
        }
        Some(entry)
    }
}

impl Entry {
    /// Whoever awaited the end may be gone, which is no fault.
    fn end(self, end: Result<Message, Failure>) {
        drop(self.end.send(end));
    }
}

impl Ledger {
    /// An empty table.
    pub(crate) fn new(protocol_errors: &Arc<ProtocolErrors>) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), protocol_errors: Arc::clone(protocol_errors) })
    }

    /// Registers a request of the client under a new id.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` when the client's id is in flight; `UpstreamError` after [`Ledger::close`].
    pub(crate) fn enter(self: &Arc<Self>, request: &Message) -> Result<Flight, Failure> {
        let client = request.request_id();
        let mut table = lock(&self.table);
        if table.closed {
            return Err(failure::closed().unsent());
        }
        if let Some(id) = client.as_ref().filter(|id| table.by_client.contains_key(id)) {
            return Err(failure::in_flight(id));
        }
        Ok(self.add(&mut table, client, request.progress_token()))
    }

    /// Registers a request of our own.
    pub(crate) fn enter_own(self: &Arc<Self>) -> Flight {
        self.add(&mut lock(&self.table), None, None)
    }

    fn add(
        self: &Arc<Self>,
        table: &mut Table,
        client: Option<RequestId>,
        progress_token: Option<&str>,
    ) -> Flight {
        let progress = progress_token.map(|token| {
            let (sender, receiver) = mpsc::channel(PROGRESS_QUEUE);
            ((token.into(), sender), receiver)
        });
        let (progress, updates) = progress.unzip();
        let (end, ended) = oneshot::channel();
        table.last += 1;
        let own = table.last;
        if let Some(client) = &client {
            table.by_client.insert(client.clone(), own);
        }
        table.flights.insert(own, Entry { client, wire: None, end, progress });
        Flight { ledger: Arc::clone(self), own, ended, updates, abandon: None, slot: None }
    }

    /// Ends the flight of a client's id as cancelled; gives the id to cancel upstream.
    pub(crate) fn cancel(&self, cancellation: &Message) -> Option<u64> {
        let client = cancellation.cancelled_request_id()?;
        let mut table = lock(&self.table);
        let own = table.by_client.get(&client).copied()?;
        let entry = table.remove(own)?;
        drop(table);
        entry.end(Err(failure::cancelled()));
        Some(own)
    }

    /// Hands a message of the server to the flight it belongs to; gives back what belongs to none
    /// and is not an answer.
    pub(crate) async fn route(&self, message: Message) -> Option<Message> {
        match message.kind() {
            Kind::Response | Kind::Error => {
                let own = own_id(&message);
                let entry = own.and_then(|own| lock(&self.table).remove(own));
                match entry {
                    Some(entry) => entry.end(Ok(message)),
                    None => self.odd("answers no request in flight"),
                }
                None
            }
            Kind::Request => Some(message),
            Kind::Notification => {
                let Some(flight) = self.progress_of(&message) else { return Some(message) };
                // Waits while the reader of the answer is slow: back-pressure, not loss.
                drop(flight.send(message).await);
                None
            }
        }
    }

    fn progress_of(&self, message: &Message) -> Option<mpsc::Sender<Message>> {
        let token = message.progress_token()?;
        if message.method() != Some(Method::Progress) {
            return None;
        }
        let table = lock(&self.table);
        let mut all = table.flights.values().filter_map(|entry| entry.progress.as_ref());
        all.find(|(known, _)| **known == *token).map(|(_, sender)| sender.clone())
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

    fn fail_where(&self, matches: impl Fn(&Entry) -> bool, failure: &Failure) {
        let mut table = lock(&self.table);
        let failed = table.flights.iter().filter(|(_, entry)| matches(entry));
        let failed: Vec<u64> = failed.map(|(own, _)| *own).collect();
        let failed: Vec<Entry> = failed.into_iter().filter_map(|own| table.remove(own)).collect();
        drop(table);
        for entry in failed {
            entry.end(Err(failure.clone()));
        }
    }

    /// Counts and logs something that the server should not have sent; it is dropped.
    pub(crate) fn odd(&self, what: &str) {
        self.protocol_errors.note(what);
    }
}

/// Our id in an answer: only the number we sent, spelt as we spelt it.
pub(crate) fn own_id(answer: &Message) -> Option<u64> {
    let raw = answer.id()?;
    raw.parse().ok().filter(|own: &u64| own.to_string() == raw)
}

/// `notifications/cancelled` for a request of ours.
pub(crate) fn cancellation(own: u64) -> Bytes {
    let params = format!(r#"{{"requestId":{own},"reason":"the gateway no longer waits"}}"#);
    protocol::encode::notification(Method::Cancelled.as_str(), Some(&params))
}

/// One request in flight. Dropping it frees its place; if it was armed and has no end yet, the
/// server is told.
pub(crate) struct Flight {
    ledger: Arc<Ledger>,
    own: u64,
    ended: oneshot::Receiver<Result<Message, Failure>>,
    updates: Option<mpsc::Receiver<Message>>,
    abandon: Option<Abandon>,
    slot: Option<OwnedSemaphorePermit>,
}

/// What comes back for a request, piece by piece.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A message before the answer.
    Update(Message),
    /// The answer, or why there is none; nothing follows.
    End(Result<Message, Failure>),
}

impl Flight {
    /// Our id.
    pub(crate) fn own(&self) -> u64 {
        self.own
    }

    /// Keeps a place among the requests at once until the flight ends.
    pub(crate) fn hold(&mut self, slot: Option<OwnedSemaphorePermit>) {
        self.slot = slot;
    }

    /// From now on the server has the request: giving it up must be told.
    pub(crate) fn arm(&mut self, abandon: &Abandon) {
        self.abandon = Some(Arc::clone(abandon));
    }

    /// The request has its end, or never left.
    pub(crate) fn settle(&mut self) {
        self.abandon = None;
        drop(lock(&self.ledger.table).remove(self.own));
    }

    /// The next piece. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Piece {
        if let Some(updates) = &mut self.updates {
            // Updates first: those before the answer were queued before it came.
            tokio::select! {
                biased;
                Some(update) = updates.recv() => return Piece::Update(update),
                end = &mut self.ended => return self.end(end),
            }
        }
        let end = (&mut self.ended).await;
        self.end(end)
    }

    fn end(&mut self, end: Result<Result<Message, Failure>, oneshot::error::RecvError>) -> Piece {
        self.abandon = None;
        Piece::End(end.unwrap_or_else(|_| Err(failure::closed())))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let left = lock(&self.ledger.table).remove(self.own);
        if let (Some(_), Some(abandon)) = (left, self.abandon.take()) {
            abandon(self.own);
        }
    }
}
