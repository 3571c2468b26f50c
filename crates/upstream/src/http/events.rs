//! Messages out of a body of server-sent events.

use bytes::Bytes;
use domain::Failure;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::Message;
use protocol::sse::{Decoder, Event};
use smallvec::{SmallVec, smallvec};

use super::discard;
use crate::failure;

/// Reads one event stream; an event is bounded by the limit it was made with.
pub(crate) struct EventReader {
    body: Incoming,
    decoder: Decoder,
    limit: usize,
}

impl EventReader {
    /// Starts to read a body.
    pub(crate) fn new(body: Incoming, limit: usize) -> Self {
        Self { body, decoder: Decoder::new(limit), limit }
    }

    /// The next event; `None` at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The stream broke, or an event is too large; it cannot be read on.
    pub(crate) async fn next(&mut self) -> Option<Result<Event, Failure>> {
        loop {
            match self.decoder.next() {
                Some(Ok(event)) => return Some(Ok(event)),
                Some(Err(_)) => return Some(Err(failure::too_large(self.limit))),
                None => {}
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Some(chunk) = frame.data_ref() {
                        self.decoder.push(chunk);
                    }
                }
                Err(error) => return Some(Err(failure::broken(failure::chain(&error)))),
            }
        }
    }

    /// Leaves a stream that has said all, so that its connection can be used again.
    pub(crate) fn finish(self) {
        discard(self.body);
    }

    /// Where a new stream would go on.
    pub(crate) fn last_event_id(&self) -> Option<&str> {
        self.decoder.last_event_id()
    }

    /// How long the server asks to wait before that, in milliseconds.
    pub(crate) fn retry(&self) -> Option<u64> {
        self.decoder.retry()
    }
}

/// Reads what the server sent: one message, or those of a batch (2025-03-26). One that is not
/// JSON-RPC with one meaning, or not UTF-8, is a failure.
pub(crate) fn parse(body: Bytes) -> SmallVec<[Result<Message, Failure>; 1]> {
    let one = |body| Message::parse(body).map_err(failure::protocol);
    match protocol::batch(&body) {
        None => smallvec![one(body)],
        Some(Ok(items)) => items.into_iter().map(one).collect(),
        Some(Err(error)) => smallvec![Err(failure::protocol(error))],
    }
}
