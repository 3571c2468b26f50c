//! One request over a pair of pipes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use domain::{Answer, Failure, MessageStream};
use futures_util::stream;
use protocol::{Message, Method};
use tokio::time::{Instant, timeout_at};

use super::{Dialler, Duplex, Wire};
use crate::ledger::{Flight, Lane, Piece};
use crate::parcel::Parcel;
use crate::session::Miss;

impl Duplex {
    /// Passes a request on and waits for its answer, or the beginning of it.
    pub(super) async fn request(&self, lane: Lane, message: Parcel<'_>) -> Result<Answer, Failure> {
        let deadline = self.shared.deadline();
        let initialize = message.method() == Some(Method::Initialize);
        let mut tries = 0;
        loop {
            tries += 1;
            let again = tries < self.shared.config().retry.attempts();
            let mut flight = self.ledger.enter(lane, &message)?;
            if !flight.listens() {
                flight.hold(self.shared.slot(deadline).await?);
            }
            let wire = self.wire_until(deadline, !initialize).await;
            // An earlier try may have written it.
            let wire = wire.map_err(|failure| Failure { unsent: tries == 1, ..failure })?;
            if !initialize {
                flight.arm(&self.abandon);
            }
            match self.ask(&wire, message, &mut flight, deadline).await {
                Ok(Piece::Update(update)) => {
                    return Ok(Answer::Stream(self.stream(update, flight)));
                }
                Ok(Piece::End(Ok(answer))) => {
                    self.failures.store(0, Ordering::Relaxed);
                    if initialize {
                        self.greeting.answered(&self.shared, &message, &answer)?;
                    }
                    return Ok(Answer::Message(answer));
                }
                Err(Miss::NotTaken(_)) if again => {}
                // A child that ended before it was initialised has done nothing.
                Ok(Piece::End(Err(_)))
                    if initialize
                        && wire.is_dead()
                        && matches!(self.dialler, Dialler::Child(_))
                        && again => {}
                Ok(Piece::End(Err(failure))) => return Err(failure),
                Err(miss) => return Err(miss.into_failure()),
            }
        }
    }

    /// Sends a request on a wire and waits for the first piece of its answer, up to the deadline.
    async fn ask(
        &self,
        wire: &Arc<Wire>,
        message: Parcel<'_>,
        flight: &mut Flight,
        deadline: Instant,
    ) -> Result<Piece, Miss> {
        self.ledger.sent_on(flight.own(), wire.id());
        let body = flight.body(&message);
        let sent = tokio::select! {
            biased;
            sent = self.put(wire, body, Some(message), deadline) => sent,
            // The answer can be faster than the word that the message was taken.
            piece = flight.next() => return Ok(piece),
        };
        if let Err(miss) = sent {
            flight.settle();
            return Err(miss);
        }
        let (since, limit) = (flight.started(), self.shared.timeout());
        let piece = self.questions.within(since, deadline, limit, flight.next()).await;
        piece.ok_or_else(|| self.late().into())
    }

    /// Sends a request of our own on a wire and waits for its answer.
    pub(super) async fn ask_own(
        &self,
        wire: &Arc<Wire>,
        message: &Message,
    ) -> Result<Message, Failure> {
        let deadline = self.shared.deadline();
        let mut flight = self.ledger.enter_own(message);
        let mut piece = self.ask(wire, Parcel::own(message), &mut flight, deadline).await;
        loop {
            match piece.map_err(Miss::into_failure)? {
                Piece::End(end) => return end,
                // We ask for none; the client did when it said the same.
                Piece::Update(_) => {
                    let next = timeout_at(deadline, flight.next()).await;
                    piece = next.map_err(|_| self.late().into());
                }
            }
        }
    }

    /// The pieces of an answer that did not begin with its end.
    fn stream(&self, first: Message, flight: Flight) -> MessageStream {
        // A subscription is silent as long as nothing changes.
        let limit = if flight.listens() { None } else { Some(self.shared.timeout()) };
        let (late, questions) = (self.late(), Arc::clone(&self.questions));
        let rest = stream::unfold(Some(flight), move |flight| {
            let (late, questions) = (late.clone(), Arc::clone(&questions));
            async move {
                let mut flight = flight?;
                let piece = match limit {
                    Some(limit) => {
                        let (since, deadline) = (flight.started(), Instant::now() + limit);
                        questions.within(since, deadline, limit, flight.next()).await
                    }
                    None => Some(flight.next().await),
                };
                match piece {
                    Some(Piece::Update(update)) => Some((Ok(update), Some(flight))),
                    Some(Piece::End(end)) => Some((end, None)),
                    None => Some((Err(late), None)),
                }
            }
        });
        Box::pin(futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest))
    }

    pub(super) async fn put(
        &self,
        wire: &Wire,
        body: Bytes,
        message: Option<Parcel<'_>>,
        deadline: Instant,
    ) -> Result<(), Miss> {
        timeout_at(deadline, wire.put(body, message)).await.map_err(|_| self.late())?
    }
}
