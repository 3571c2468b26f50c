//! One request in flight, from the side that waits for it.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Failure, lock};
use protocol::{Era, Message};
use tokio::sync::oneshot::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use super::{Abandon, Ledger, names};
use crate::failure;

/// One request in flight. Dropping it frees its place; if it was armed and has no end yet, the
/// server is told.
pub(crate) struct Flight {
    pub(super) ledger: Arc<Ledger>,
    pub(super) own: u64,
    pub(super) era: Era,
    pub(super) listens: bool,
    pub(super) started: Instant,
    pub(super) ended: oneshot::Receiver<Result<Message, Failure>>,
    pub(super) updates: Option<mpsc::Receiver<Message>>,
    pub(super) abandon: Option<Abandon>,
    pub(super) slot: Option<OwnedSemaphorePermit>,
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

    /// The era of the request.
    pub(crate) fn era(&self) -> Era {
        self.era
    }

    /// Whether its answer is a subscription, which is silent as long as nothing changes.
    pub(crate) fn listens(&self) -> bool {
        self.listens
    }

    /// When it entered the table.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The request as the server gets it.
    pub(crate) fn body(&self, request: &Message) -> Bytes {
        names::under(self.own, request)
    }

    /// Keeps a place among the requests at once until the flight ends.
    pub(crate) fn hold(&mut self, slot: Option<OwnedSemaphorePermit>) {
        self.slot = slot;
    }

    /// From now on the server has the request: giving it up must be told.
    pub(crate) fn arm(&mut self, abandon: &Abandon) {
        self.abandon = Some(Arc::clone(abandon));
    }

    /// The request has its answer, which is given back under the client's names.
    pub(crate) fn answered(&mut self, answer: Message) -> Message {
        self.abandon = None;
        match lock(&self.ledger.table).remove(self.own) {
            Some(entry) => entry.names.put_back_in_answer(answer),
            None => answer,
        }
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
                update = updates.recv() => match update {
                    Some(update) => return Piece::Update(update),
                    None => return self.run_out(),
                },
                end = &mut self.ended => return self.end(end),
            }
        }
        let end = (&mut self.ended).await;
        self.end(end)
    }

    /// No update will follow: the answer is there, or the queue was taken from a slow reader.
    fn run_out(&mut self) -> Piece {
        self.updates = None;
        match self.ended.try_recv() {
            Ok(end) => self.end(Ok(end)),
            // The flight stays armed: the server is told that nobody listens.
            Err(TryRecvError::Empty) => Piece::End(Err(failure::too_slow())),
            Err(TryRecvError::Closed) => self.end(Ok(Err(failure::closed()))),
        }
    }

    fn end(&mut self, end: Result<Result<Message, Failure>, RecvError>) -> Piece {
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
