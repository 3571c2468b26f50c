//! The answer of one request as an event stream.
//!
//! Everything on the stream belongs to the request and is passed on in order; the stream ends after
//! the response. A stream that ends before it is taken up again where the server gave its events
//! ids (2025-11-25, "Resumability and Redelivery"), else the request fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::{Failure, MessageStream};
use futures_util::stream;
use protocol::sse::Event;
use protocol::{Era, Message};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::exchange::Opening;
use super::{HttpLink, is_answer};
use crate::failure;
use crate::http::{EventReader, parse};
use crate::ledger::{Flight, Piece, own_answer, own_id};
use crate::questions::Questions;

/// The rest of one answer.
pub(super) struct AnswerEvents {
    link: Arc<HttpLink>,
    /// Until the end: what is read, and what waits for it.
    open: Option<(EventReader, Flight)>,
    /// What the last event had besides the message that was given out.
    pending: VecDeque<Message>,
    /// Present for `initialize`: what to take over once it succeeds.
    opening: Option<Opening>,
    /// Times in a row that the stream was taken up again without an event.
    resumed: u32,
}

impl AnswerEvents {
    /// The stream of a response whose head has been read.
    pub(super) fn new(
        link: Arc<HttpLink>,
        reader: EventReader,
        flight: Flight,
        opening: Option<Opening>,
    ) -> Self {
        let (open, pending) = (Some((reader, flight)), VecDeque::new());
        Self { link, open, pending, opening, resumed: 0 }
    }

    /// The messages, one after the other; each is waited for as long as a request may take.
    pub(super) fn into_stream(self) -> MessageStream {
        Box::pin(stream::unfold(self, |mut events| async move {
            let item = events.next().await?;
            Some((item, events))
        }))
    }

    async fn next(&mut self) -> Option<Result<Message, Failure>> {
        let (reader, flight) = self.open.as_mut()?;
        // A subscription is silent as long as nothing changes.
        let limit = if flight.listens() { None } else { Some(self.link.shared.timeout()) };
        let (questions, since) = (&self.link.questions, flight.started());
        let asked = (flight.own(), flight.era());
        let read = read(&self.link, reader, &mut self.pending, &mut self.resumed, asked);
        let item = tokio::select! {
            biased;
            // Cancelled by the client, or the session closed.
            Piece::End(Err(failure)) = flight.next() => Err(failure),
            item = within(questions, since, limit, read) => item.unwrap_or_else(|| Err(self.link.late())),
        };
        Some(match item {
            Ok(message) if is_answer(&message) => self.end(message),
            Ok(message) => {
                questions.asked(&message);
                Ok(message)
            }
            Err(failure) => {
                // The flight is still armed: the server may be at work, and is told.
                drop(self.open.take());
                Err(failure)
            }
        })
    }

    /// Ends the stream with the answer.
    fn end(&mut self, answer: Message) -> Result<Message, Failure> {
        let opened = self.opening.take().map(|opening| self.link.opened(opening, &answer));
        let answer = match self.open.take() {
            Some((reader, mut flight)) => {
                reader.finish();
                flight.answered(answer)
            }
            None => answer,
        };
        opened.transpose().map(|_| answer)
    }
}

async fn within<T>(
    questions: &Questions,
    since: Instant,
    limit: Option<Duration>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match limit {
        Some(limit) => questions.within(since, Instant::now() + limit, limit, future).await,
        None => Some(future.await),
    }
}

/// The next message of the answer to a request of ours, by id and era.
async fn read(
    link: &HttpLink,
    reader: &mut EventReader,
    pending: &mut VecDeque<Message>,
    resumed: &mut u32,
    (own, era): (u64, Era),
) -> Result<Message, Failure> {
    loop {
        if let Some(message) = pending.pop_front() {
            return Ok(message);
        }
        let end = match reader.next().await {
            Some(Ok(event)) => {
                *resumed = 0;
                pending.extend(belonging(link, event, own, era));
                continue;
            }
            Some(Err(failure)) => failure,
            None => failure::broken("the event stream ended without the response"),
        };
        // A stateless answer has no second part (2026-07-28).
        if era == Era::Modern {
            return Err(end);
        }
        *resumed += 1;
        *reader = resume(link, reader, *resumed, end).await?;
    }
}

/// The messages of an event, without what is none or belongs to another request: stateless requests
/// on one link may be different clients'.
fn belonging(link: &HttpLink, event: Event, own: u64, era: Era) -> impl Iterator<Item = Message> {
    // Also the priming event of 2025-11-25, which has an id and empty data.
    let empty = event.name() != "message" || event.data.is_empty();
    let messages = if empty { SmallVec::new() } else { parse(event.data) };
    messages.into_iter().filter_map(move |message| match message {
        Ok(message) if is_answer(&message) && own_id(&message) != Some(own) => {
            link.ledger.odd("answers another request than the one it came for");
            None
        }
        Ok(message) if is_answer(&message) => Some(message),
        Ok(message) => {
            let (named, message) = link.ledger.restored(message)?;
            if era == Era::Modern && named.is_some_and(|named| named != own) {
                link.ledger.odd("tells of another request than the one it came for");
                return None;
            }
            let last =
                named.filter(|named| *named == own).and_then(|own| own_answer(own, &message));
            Some(last.unwrap_or(message))
        }
        Err(failure) => {
            link.ledger.odd(&failure.detail);
            None
        }
    })
}

/// Takes a broken stream up again, or gives back why it broke.
async fn resume(
    link: &HttpLink,
    reader: &EventReader,
    resumed: u32,
    end: Failure,
) -> Result<EventReader, Failure> {
    let retry = &link.shared.config().retry;
    let Some(id) = reader.last_event_id().filter(|_| resumed < retry.attempts()) else {
        return Err(end);
    };
    let asked = reader.retry().map(Duration::from_millis);
    tokio::time::sleep(asked.unwrap_or_else(|| retry.delay(resumed))).await;
    match link.open_events(Some(id)).await {
        Ok(response) => Ok(EventReader::new(response.into_body(), link.client.max_message())),
        Err(refused) => {
            tracing::debug!(error = %refused.failure, "a broken stream was not taken up again");
            Err(end)
        }
    }
}
