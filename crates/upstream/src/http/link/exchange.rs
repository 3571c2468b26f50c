//! One request: its POST, and the answer or the head of it.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Answer, Failure, lock};
use futures_util::stream;
use http::{HeaderMap, HeaderValue};
use protocol::{Kind, Message, Method};
use tokio::time::Instant;

use super::answer::AnswerEvents;
use super::{HttpLink, Phase, is_answer};
use crate::failure;
use crate::http::{EventReader, Media, SESSION_ID, parse};
use crate::ledger::{Flight, Piece, own_id};
use crate::parcel::Parcel;
use crate::session::Miss;

/// What the answer to `initialize` opens.
pub(super) struct Opening {
    initialize: Message,
    /// From the head of the answer.
    session: Option<HeaderValue>,
}

/// What one POST of a request brought.
enum Exchanged {
    /// All of it: what came besides the answer, and the answer.
    Messages(Vec<Message>, Message),
    Events(Box<EventReader>, Option<Opening>),
}

impl HttpLink {
    /// Sends a request and waits for its answer, or the head of it.
    pub(super) async fn fly(
        self: &Arc<Self>,
        message: Parcel<'_>,
        mut flight: Flight,
        probing: bool,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let (own, body) = (flight.own(), flight.body(&message));
        let exchange = self.exchange(message, own, body, probing, deadline);
        let (since, limit) = (flight.started(), self.shared.timeout());
        let answer = tokio::select! {
            biased;
            // Cancelled by the client, or the session closed.
            Piece::End(Err(failure)) = flight.next() => return Err(failure.into()),
            answer = self.questions.within(since, deadline, limit, exchange) => answer,
        };
        // A deadline leaves the flight armed: dropping it tells the server.
        match answer.ok_or_else(|| self.late())? {
            Ok(Exchanged::Messages(updates, answer)) => {
                let answer = flight.answered(answer);
                if updates.is_empty() {
                    return Ok(Answer::Message(answer));
                }
                let all = updates.into_iter().chain([answer]).map(Ok);
                Ok(Answer::Stream(Box::pin(stream::iter(all))))
            }
            Ok(Exchanged::Events(reader, opening)) => {
                let events = AnswerEvents::new(Arc::clone(self), *reader, flight, opening);
                Ok(Answer::Stream(events.into_stream()))
            }
            Err(miss) => {
                flight.settle();
                Err(miss)
            }
        }
    }

    /// One request and the head of its answer, or all of it when it is JSON.
    async fn exchange(
        &self,
        message: Parcel<'_>,
        own: u64,
        body: Bytes,
        probing: bool,
        deadline: Instant,
    ) -> Result<Exchanged, Miss> {
        let initialize = message.method() == Some(Method::Initialize);
        let sent = self.post(body, self.says(message)?).await?;
        let status = sent.response.status();
        if !status.is_success() {
            let asked = Some((own, message.era()));
            let answer = self.refused(sent, asked, probing, deadline).await?;
            return Ok(Exchanged::Messages(Vec::new(), answer));
        }
        let response = sent.response;
        let opening = initialize.then(|| Opening {
            initialize: message.message.clone(),
            session: self.minted(response.headers()),
        });
        match Media::of(response.headers()) {
            Media::Json => {
                let body = self.client.collect(response.into_body()).await?;
                let (updates, answer) = self.sort(body, own)?;
                if let Some(opening) = opening {
                    self.opened(opening, &answer)?;
                }
                Ok(Exchanged::Messages(updates, answer))
            }
            Media::Events => {
                let reader = EventReader::new(response.into_body(), self.client.max_message());
                Ok(Exchanged::Events(Box::new(reader), opening))
            }
            Media::Other => {
                let (status, shown) = (status.as_u16(), self.target.shown());
                let failure = failure::protocol(format!(
                    "HTTP status {status} from {shown} without a JSON or event stream body"
                ));
                Err(if probing { Miss::NotHere(failure) } else { Miss::Failed(failure) })
            }
        }
    }

    /// The answer in a JSON body, and what a batch has besides.
    fn sort(&self, body: Bytes, own: u64) -> Result<(Vec<Message>, Message), Failure> {
        let (mut updates, mut answer, mut odd) = (Vec::new(), None, None);
        for message in parse(body) {
            match message {
                Ok(message) if !is_answer(&message) => {
                    updates.extend(self.ledger.restored(message).map(|(_, message)| message));
                }
                Ok(message) if own_id(&message) == Some(own) && answer.is_none() => {
                    answer = Some(message);
                }
                Ok(_) => self.ledger.odd("answers another request than the one it came for"),
                Err(failure) => odd = Some(failure),
            }
        }
        let none = || failure::protocol("the JSON body is not the answer to the request");
        answer.map(|answer| (updates, answer)).ok_or_else(|| odd.unwrap_or_else(none))
    }

    /// The session id of an answer to `initialize`: visible ASCII, or it is not one.
    fn minted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        // Kept for long: a clone would hold the buffer of the whole head.
        let mut session = HeaderValue::from_bytes(headers.get(SESSION_ID)?.as_bytes()).ok()?;
        if session.is_empty() || !session.as_bytes().iter().all(u8::is_ascii_graphic) {
            self.ledger.odd("session id is not visible ASCII");
            return None;
        }
        session.set_sensitive(true);
        Some(session)
    }

    /// Takes over what the server settled on.
    ///
    /// # Errors
    ///
    /// That is not allowed.
    pub(super) fn opened(&self, opening: Opening, answer: &Message) -> Result<(), Failure> {
        self.shared.spoke();
        self.greeting.answered(&self.shared, &opening.initialize, answer)?;
        if answer.kind() == Kind::Response {
            *lock(&self.phase) = Phase::open(opening.session, answer);
        }
        Ok(())
    }
}
