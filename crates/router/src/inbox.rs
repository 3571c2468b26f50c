//! The other direction: requests and notifications of the server, and the client's answers.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use domain::{BoxFuture, ErrorKind, Failure, Inbox, Stage};
use protocol::{Kind, Message, encode};
use session::{Parked, Pushed, Session};

use crate::entry::Entry;
use crate::handle::{Arrival, Received};
use crate::reply::Reply;
use crate::subject::Subject;
use crate::{Caller, Router};

/// Takes what the server sends outside any answer to the stream of one session.
pub(crate) struct SessionInbox {
    pub(crate) router: Weak<Router>,
    pub(crate) session: Weak<Session>,
}

impl Inbox for SessionInbox {
    fn deliver(&self, message: Message) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (Some(router), Some(session)) = (self.router.upgrade(), self.session.upgrade())
            else {
                return;
            };
            let Some(cleared) = router.pass_down(&session, message).await else { return };
            match session.outbox().push(cleared.bytes.clone()).await {
                Pushed::Queued => drop(cleared.delivered()),
                Pushed::Dropped => cleared.lost().await,
            }
        })
    }

    fn has_reader(&self) -> bool {
        self.session.upgrade().is_some_and(|session| session.outbox().attached())
    }
}

/// A message of the server that may pass and is about to be handed to the client.
pub(crate) struct Cleared {
    arrival: Arrival,
    bytes: Bytes,
    own_id: Option<u64>,
    entry: Entry,
}

impl Cleared {
    /// Our number for it while it waits for the client's answer, if it is a request.
    pub(crate) fn own_id(&self) -> Option<u64> {
        self.own_id
    }

    /// The client gets it.
    pub(crate) fn delivered(mut self) -> Bytes {
        self.entry.forwarded(true);
        self.entry.close(None);
        self.bytes
    }

    /// The client does not get it: nobody reads its stream, and the queue is full.
    async fn lost(mut self) {
        let Arrival { message, session, .. } = &self.arrival;
        if let Some(id) = self.own_id {
            session.questions().unpark(id);
        }
        let gone = Failure::new(ErrorKind::Overloaded, "the client does not take messages now");
        self.entry.give_up(&gone);
        refuse(session, message, &gone).await;
    }
}

impl Router {
    /// A request or notification of the server on its way to the client: decided and recorded like
    /// any other message. `None` when it may not pass; the server is told, if it waits for an answer.
    pub(crate) async fn pass_down(
        self: &Arc<Self>,
        session: &Arc<Session>,
        message: Message,
    ) -> Option<Cleared> {
        let caller = Caller::over(session.transport());
        let mut entry = match self.open_entry(&caller, message.bytes().len()).await {
            Ok(entry) => entry,
            Err(unrecorded) => {
                refuse(session, &message, &unrecorded.failure).await;
                return None;
            }
        };
        entry.describe(&message);
        entry.belongs_to(session);
        entry.served_in(session.connection().version());
        let (request_count, at) = (session.request_count(), entry.received_at());
        let tally = entry.tally_of(session);
        let session = Arc::clone(session);
        let (client, tool) = (None, None);
        let arrival = Arrival { message, session, caller, client, tool, request_count, tally, at };
        let ruling = {
            let subject = Subject::of(self, &arrival);
            let input = subject.input(Stage::ServerRequest);
            self.judge(&input, Some(&arrival.session), &mut entry).await
        };
        let Arrival { message, session, .. } = &arrival;
        if ruling.permit().is_none() {
            entry.close(Some(ruling.kind()));
            refuse(session, message, &ruling.failure()).await;
            return None;
        }
        match under_own_id(session, message) {
            Ok((bytes, own_id)) => Some(Cleared { arrival, bytes, own_id, entry }),
            Err(failure) => {
                entry.give_up(&failure);
                refuse(session, message, &failure).await;
                None
            }
        }
    }

    /// The client's answer to a request of the server, on its way up under the server's own id.
    pub(crate) async fn pass_answer_up(self: &Arc<Self>, received: Received) -> Reply {
        let Received { arrival, mut entry, in_flight: _in_flight, .. } = received;
        let Some((arrival, parked)) = restored(arrival) else {
            let text = "the answer belongs to no request that the server made";
            entry.give_up(&Failure::new(ErrorKind::InvalidRequest, text));
            return Reply::accepted();
        };
        let (message, session) = (&arrival.message, &arrival.session);
        let ruling = {
            let subject = Subject::of(self, &arrival).answering(&parked.method);
            self.judge(&subject.response_input(message), Some(session), &mut entry).await
        };
        let passing = match ruling.permit() {
            Some(permit) => ruling
                .as_changed(message)
                .map(|edited| (permit, edited.unwrap_or_else(|| message.clone())))
                .inspect_err(|failure| entry.note(&failure.detail)),
            None => Err(Failure::new(ruling.kind(), "the client's answer was denied by policy")),
        };
        let (permit, message) = match passing {
            Ok(passing) => passing,
            Err(failure) => {
                entry.close(Some(failure.kind));
                // What is refused is the server's request, of which this much is left.
                let question = encode::request(&parked.upstream_id, &parked.method, None);
                if let Ok(question) = Message::parse(question) {
                    refuse(session, &question, &failure).await;
                }
                return Reply::accepted();
            }
        };
        arrival.count(&message);
        match entry.send(session.connection().send(permit, message)).await {
            Ok(_) => entry.close(None),
            Err(failure) => entry.give_up(&failure),
        }
        Reply::accepted()
    }
}

/// Tells the server that its request goes nowhere. A notification just ends.
async fn refuse(session: &Session, message: &Message, failure: &Failure) {
    if message.kind() == Kind::Request {
        session.connection().refuse(message, failure).await;
    }
}

/// The client's answer under the id of the server's request that it answers; `None` when there is
/// no such request.
fn restored(arrival: Arrival) -> Option<(Arrival, Parked)> {
    let parked = arrival.session.questions().answer(arrival.message.id()?)?;
    let message = Message::parse(arrival.message.with_id(&parked.upstream_id)).ok()?;
    Some((Arrival { message, ..arrival }, parked))
}

/// The bytes for the client, and our number for a request: it gets an id of the gateway, so that
/// ids of several sources cannot meet, and its cancellation the same.
fn under_own_id(session: &Session, message: &Message) -> Result<(Bytes, Option<u64>), Failure> {
    let questions = session.questions();
    if let (Kind::Request, Some(upstream_id)) = (message.kind(), message.id()) {
        if session.is_stateless() {
            // Whose answer it would be could not be told: any client could give it.
            let text = "MCP 2026-07-28 has no requests of the server";
            return Err(Failure::new(ErrorKind::UpstreamError, text));
        }
        let upstream_id = upstream_id.to_owned();
        let method = message.method_name().into_owned();
        let (own_id, shown_id) =
            questions.park(Parked { upstream_id, method }).ok_or_else(|| {
                let text = "too many requests wait for the client";
                Failure::new(ErrorKind::Overloaded, text)
            })?;
        return Ok((message.with_id(&shown_id), Some(own_id)));
    }
    let Some(upstream_id) = message.cancelled_id() else {
        return Ok((message.bytes().clone(), None));
    };
    let shown_id = questions.withdraw(upstream_id).ok_or_else(|| {
        let text = "the cancelled request does not wait for the client";
        Failure::new(ErrorKind::InvalidRequest, text)
    })?;
    Ok((message.with_cancelled_id(&shown_id), None))
}
