//! The answer of one request as an event stream.
//!
//! Everything on the stream belongs to the request and is passed on in order; the stream ends after
//! the response. A stream that ends before it is taken up again where the server gave its events
//! ids (2025-11-25, "Resumability and Redelivery"), else the request fails.

use std::sync::Arc;
use std::time::Duration;

use domain::{Failure, MessageStream};
use futures_util::stream;
use protocol::Message;
use protocol::sse::Event;
use tokio::time::timeout;

use super::{HttpLink, Opening, is_answer};
use crate::failure;
use crate::http::{EventReader, parse};
use crate::ledger::{Flight, Piece, own_id};

/// The rest of one answer.
pub(super) struct AnswerEvents {
    link: Arc<HttpLink>,
    /// Until the end: what is read, and what waits for it.
    open: Option<(EventReader, Flight)>,
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
        Self { link, open: Some((reader, flight)), opening, resumed: 0 }
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
        let own = flight.own();
        let limit = self.link.shared.timeout();
        let item = tokio::select! {
            biased;
            // Cancelled by the client, or the session closed.
            Piece::End(Err(failure)) = flight.next() => Err(failure),
            item = timeout(limit, read(&self.link, reader, &mut self.resumed, own)) => {
                item.unwrap_or_else(|_| Err(self.link.late()))
            }
        };
        match &item {
            Ok(message) if is_answer(message) => {
                if let Some(opening) = self.opening.take() {
                    self.link.opened(opening, message);
                }
                if let Some((reader, mut flight)) = self.open.take() {
                    flight.settle();
                    reader.finish();
                }
            }
            Ok(_) => {}
            // The flight is still armed: the server may be at work, and is told.
            Err(_) => drop(self.open.take()),
        }
        Some(item)
    }
}

/// The next message of the answer to `own`.
async fn read(
    link: &HttpLink,
    reader: &mut EventReader,
    resumed: &mut u32,
    own: u64,
) -> Result<Message, Failure> {
    loop {
        let end = match reader.next().await {
            Some(Ok(event)) => {
                *resumed = 0;
                match belonging(link, event, own) {
                    Some(message) => return Ok(message),
                    None => continue,
                }
            }
            Some(Err(failure)) => failure,
            None => failure::broken("the event stream ended without the response"),
        };
        *resumed += 1;
        *reader = resume(link, reader, *resumed, end).await?;
    }
}

/// The message of an event, unless it is none or answers another request.
fn belonging(link: &HttpLink, event: Event, own: u64) -> Option<Message> {
    // Also the priming event of 2025-11-25, which has an id and empty data.
    if event.name() != "message" || event.data.is_empty() {
        return None;
    }
    match parse(event.data) {
        Ok(message) if is_answer(&message) && own_id(&message) != Some(own) => {
            link.ledger.odd("answers another request than the one it came for");
            None
        }
        Ok(message) => Some(message),
        Err(failure) => {
            link.ledger.odd(&failure.detail);
            None
        }
    }
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
