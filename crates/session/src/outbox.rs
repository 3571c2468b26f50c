//! Messages that the server sends on its own account, on their way to the client's stream.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{EventId, Session, Track};

/// Most bytes that wait, however few messages they are; a longer message waits alone.
const BYTES: usize = 4 << 20;

/// Room that an empty queue keeps; most hold a message or two.
const SPARE: usize = 8;

/// What became of a message for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It waits for the client's stream.
    Queued,
    /// The queue is full and no stream empties it, or the session is closed.
    Dropped,
}

/// The bounded queue between the server and one client's stream. An idle one is a few hundred bytes: there are many.
pub struct Outbox {
    size: usize,
    queue: Mutex<Queue>,
    /// For the reader: there is a message, or another reader.
    filled: Notify,
    /// For writers: there is room, or no reader any more.
    room: Notify,
    /// For everyone: the session is over.
    over: Notify,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    /// How long they are together.
    bytes: usize,
    /// The stream that reads, of all there were.
    reader: Option<u64>,
    readers: u64,
    closed: bool,
}

impl Queue {
    fn has_room(&self, size: usize, bytes: usize) -> bool {
        self.messages.is_empty()
            || (self.messages.len() < size && self.bytes.saturating_add(bytes) <= BYTES)
    }

    fn admit(&mut self) -> u64 {
        self.readers += 1;
        self.reader = Some(self.readers);
        self.readers
    }
}

/// What a reader finds.
enum Read<T> {
    Next(T),
    Nothing,
    /// Nothing will come: the session is over, or another stream reads.
    Over,
}

impl Outbox {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            queue: Mutex::default(),
            filled: Notify::new(),
            room: Notify::new(),
            over: Notify::new(),
        }
    }

    /// Queues one message. While the queue is full it waits as long as a stream is attached; with none, the message
    /// is dropped.
    pub async fn push(&self, message: Bytes) -> Pushed {
        loop {
            let room = self.room.notified();
            {
                let mut queue = self.queue();
                if queue.closed {
                    return Pushed::Dropped;
                }
                if queue.has_room(self.size, message.len()) {
                    queue.bytes += message.len();
                    queue.messages.push_back(message);
                    break;
                }
                if queue.reader.is_none() {
                    return Pushed::Dropped;
                }
            }
            room.await;
        }
        self.filled.notify_one();
        Pushed::Queued
    }

    /// Whether a stream is attached.
    #[must_use]
    pub fn attached(&self) -> bool {
        self.queue().reader.is_some()
    }

    pub(crate) fn close(&self) {
        self.queue().closed = true;
        for waiting in [&self.filled, &self.room, &self.over] {
            waiting.notify_waiters();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue().closed
    }

    pub(crate) async fn closed(&self) {
        let over = self.over.notified();
        if !self.is_closed() {
            over.await;
        }
    }

    /// Makes a new stream the reader; `None` while there is one.
    fn attach(&self) -> Option<u64> {
        let mut queue = self.queue();
        queue.reader.is_none().then(|| queue.admit())
    }

    /// Makes a new stream the reader, whether or not there is one.
    fn take_over(&self) -> u64 {
        let reader = self.queue().admit();
        self.filled.notify_waiters();
        reader
    }

    fn detach(&self, reader: u64) {
        {
            let mut queue = self.queue();
            if queue.reader != Some(reader) {
                return;
            }
            queue.reader = None;
        }
        self.room.notify_waiters();
    }

    /// The oldest message, as `take` makes it while nobody else can read or attach.
    fn read<T>(&self, reader: u64, take: impl FnOnce(Bytes) -> T) -> Read<T> {
        let taken = {
            let mut queue = self.queue();
            if queue.reader != Some(reader) {
                return Read::Over;
            }
            match queue.messages.pop_front() {
                Some(message) => {
                    queue.bytes -= message.len();
                    if queue.messages.is_empty() {
                        queue.messages.shrink_to(SPARE);
                    }
                    take(message)
                }
                None if queue.closed => return Read::Over,
                None => return Read::Nothing,
            }
        };
        self.room.notify_one();
        Read::Next(taken)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client's end of the [`Outbox`]. Dropping it detaches: what was not delivered stays for the next.
pub struct Stream {
    session: Arc<Session>,
    reader: u64,
}

impl Stream {
    pub(crate) fn attach(session: &Arc<Session>) -> Option<Self> {
        let reader = session.outbox().attach()?;
        Some(Self { session: Arc::clone(session), reader })
    }

    pub(crate) fn take_over(session: &Arc<Session>) -> Self {
        Self { session: Arc::clone(session), reader: session.outbox().take_over() }
    }

    /// The next message; `None` once the session is closed and the queue is empty, or another stream took over.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.next_as(|message| message).await
    }

    /// The next message and its id on `track`, on which it is recorded: whoever takes over finds every message either
    /// there or here.
    pub async fn next_recorded(&mut self, track: &Track) -> Option<(EventId, Bytes)> {
        self.next_as(|message| (track.record(message.clone()), message)).await
    }

    /// The next message if one is waiting.
    pub fn try_next(&mut self) -> Option<Bytes> {
        match self.session.outbox().read(self.reader, |message| message) {
            Read::Next(message) => Some(message),
            Read::Nothing | Read::Over => None,
        }
    }

    async fn next_as<T>(&mut self, take: impl Fn(Bytes) -> T) -> Option<T> {
        let outbox = self.session.outbox();
        loop {
            let filled = outbox.filled.notified();
            match outbox.read(self.reader, &take) {
                Read::Next(taken) => return Some(taken),
                Read::Over => return None,
                Read::Nothing => filled.await,
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.session.touch();
        self.session.outbox().detach(self.reader);
    }
}

#[cfg(test)]
mod tests;
