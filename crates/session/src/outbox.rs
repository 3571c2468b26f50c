//! Messages that the server sends on its own account, on their way to the client's stream.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;

use crate::Session;

/// What became of a message for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It waits for the client's stream.
    Queued,
    /// The queue is full and no stream empties it, or the session is closed.
    Dropped,
}

/// The bounded queue between the server and one client's stream.
pub struct Outbox {
    sender: mpsc::Sender<Bytes>,
    /// The reading end, while no stream has it.
    idle: Mutex<Option<mpsc::Receiver<Bytes>>>,
    attached: watch::Sender<bool>,
    closed: watch::Sender<bool>,
}

impl Outbox {
    pub(crate) fn new(size: usize) -> Self {
        let (sender, receiver) = mpsc::channel(size.max(1));
        Self {
            sender,
            idle: Mutex::new(Some(receiver)),
            attached: watch::Sender::new(false),
            closed: watch::Sender::new(false),
        }
    }

    /// Queues one message. While the queue is full it waits as long as a stream is attached; with none, the message
    /// is dropped.
    pub async fn push(&self, message: Bytes) -> Pushed {
        if *self.closed.borrow() {
            return Pushed::Dropped;
        }
        let message = match self.sender.try_send(message) {
            Ok(()) => return Pushed::Queued,
            Err(TrySendError::Full(message) | TrySendError::Closed(message)) => message,
        };
        let mut attached = self.attached.subscribe();
        tokio::select! {
            biased;
            () = self.closed() => Pushed::Dropped,
            room = self.sender.reserve() => match room {
                Ok(room) => {
                    room.send(message);
                    Pushed::Queued
                }
                Err(_) => Pushed::Dropped,
            },
            _ = attached.wait_for(|attached| !attached) => Pushed::Dropped,
        }
    }

    /// Whether a stream is attached.
    #[must_use]
    pub fn attached(&self) -> bool {
        *self.attached.borrow()
    }

    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender lives in `self`, so that waiting can only end with the session.
        drop(closed.wait_for(|closed| *closed).await);
    }

    fn take(&self) -> Option<mpsc::Receiver<Bytes>> {
        let receiver = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        self.attached.send_replace(true);
        Some(receiver)
    }

    fn put_back(&self, receiver: mpsc::Receiver<Bytes>) {
        // In this order: once a stream can be attached again, no late `false` of this one may overwrite its `true`.
        self.attached.send_replace(false);
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiver);
    }
}

/// The client's end of the [`Outbox`]. Dropping it detaches: what was not delivered stays for the next.
pub struct Stream {
    session: Arc<Session>,
    receiver: Option<mpsc::Receiver<Bytes>>,
}

impl Stream {
    pub(crate) fn attach(session: &Arc<Session>) -> Option<Self> {
        let receiver = session.outbox().take()?;
        Some(Self { session: Arc::clone(session), receiver: Some(receiver) })
    }

    /// The next message; `None` once the session is closed and the queue is empty. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        let receiver = self.receiver.as_mut()?;
        tokio::select! {
            biased;
            message = receiver.recv() => message,
            () = self.session.outbox().closed() => None,
        }
    }

    /// The next message if one is waiting.
    pub fn try_next(&mut self) -> Option<Bytes> {
        self.receiver.as_mut()?.try_recv().ok()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.session.touch();
        if let Some(receiver) = self.receiver.take() {
            self.session.outbox().put_back(receiver);
        }
    }
}

#[cfg(test)]
mod tests;
