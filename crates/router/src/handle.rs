//! The path itself. Each line of [`Router::receive`] and [`Router::handle`] is a step of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::{Answer, ErrorKind, Failure, Permit, Stage};
use protocol::{Kind, Message, Method};
use session::{Client, InFlight, Session};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::entry::Entry;
use crate::envelope;
use crate::inspect::Answering;
use crate::lifecycle::NewSession;
use crate::reply::Reply;
use crate::subject::Subject;
use crate::{Caller, Router, Ticket, client, companions};

/// A message that was read and whose sender is known.
pub struct Received {
    pub(crate) arrival: Arrival,
    pub(crate) entry: Entry,
    /// The session, if this message opened it.
    pub(crate) opened: Option<NewSession>,
    /// Counts the message among those of its session.
    pub(crate) in_flight: InFlight,
    /// Held by `notifications/initialized`, so that the next request waits for it.
    handshake: Option<OwnedMutexGuard<()>>,
}

/// How long a request waits for `notifications/initialized` to be taken by the server.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// A message, where it came from, and when.
pub(crate) struct Arrival {
    pub(crate) message: Message,
    pub(crate) session: Arc<Session>,
    pub(crate) caller: Caller,
    /// What a stateless client says of itself with the message.
    pub(crate) client: Option<Arc<Client>>,
    /// Requests of the session when this message came, itself included.
    pub(crate) request_count: u64,
    pub(crate) at: SystemTime,
}

impl Received {
    /// Whether the message is a request: anything else is accepted at once and handled behind.
    #[must_use]
    pub fn expects_answer(&self) -> bool {
        self.arrival.message.kind() == Kind::Request
    }

    /// Whether giving up the answer gives up the request: so it is in the stateless era, while
    /// until 2025-11-25 a client that goes away has not cancelled anything.
    #[must_use]
    pub fn ends_with_its_reader(&self) -> bool {
        self.arrival.session.is_stateless()
    }

    /// Whether it opens the session, of which the client learns with the answer.
    #[must_use]
    pub fn opens_session(&self) -> bool {
        self.opened.is_some()
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.arrival.session
    }
}

impl Router {
    /// The first half of the path: parse and identify.
    ///
    /// # Errors
    ///
    /// The reply to a message that could not be read or belongs to no session. It is recorded.
    pub async fn receive(
        self: &Arc<Self>,
        body: Bytes,
        caller: Caller,
        ticket: Ticket,
    ) -> Result<Received, Reply> {
        let mut entry = match self.open_entry(&caller, body.len()).await {
            Ok(entry) => entry,
            Err(unrecorded) => return Err(unrecorded.reply_to(body)),
        };
        if let Ticket::Http(ticket) = &ticket {
            entry.speaks(ticket.era());
        }
        let message = match Message::parse(body) {
            Ok(message) => message,
            Err(error) => return Err(entry.refuse_unread(&error)),
        };
        entry.describe(&message);
        let (session, opened, in_flight) = match self.admit(&message, &caller, &ticket, &mut entry)
        {
            Ok(admitted) => admitted,
            Err(failure) => return Err(entry.fail(message.id(), &failure)),
        };
        let message = match ticket {
            Ticket::Http(ticket) if session.is_stateless() => {
                message.with_param_headers(ticket.params)
            }
            Ticket::Http(_) | Ticket::Session(_) => {
                envelope::asking_for_known(&message).unwrap_or(message)
            }
        };
        let request_count = match message.kind() {
            Kind::Request => session.count_request(),
            Kind::Notification | Kind::Response | Kind::Error => session.request_count(),
        };
        // Requests and stateless messages by that name open nothing that others have to wait for.
        let opens = message.kind() == Kind::Notification
            && message.method() == Some(Method::Initialized)
            && !session.is_stateless();
        let handshake =
            if opens { Arc::clone(session.handshake()).try_lock_owned().ok() } else { None };
        let (client, at) = (client::stateless(&message), entry.received_at());
        let arrival = Arrival { message, session, caller, client, request_count, at };
        Ok(Received { arrival, entry, opened, in_flight, handshake })
    }

    /// Finds the session of a message and counts the message in.
    fn admit(
        self: &Arc<Self>,
        message: &Message,
        caller: &Caller,
        ticket: &Ticket,
        entry: &mut Entry,
    ) -> Result<(Arc<Session>, Option<NewSession>, InFlight), Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (session, opened) = self.identify(message, caller, ticket)?;
            entry.belongs_to(&session);
            let entered = match message.kind() {
                Kind::Request => session.enter(),
                Kind::Notification | Kind::Response | Kind::Error => session.enter_aside(),
            };
            let Some(in_flight) = entered else {
                let text = "too many requests of this session wait for their answers";
                return Err(Failure::new(ErrorKind::Overloaded, text));
            };
            // It may have had to make room just now, as an idle one, and then goes on anew.
            if tries > 1 || !session.is_closed() {
                return Ok((session, opened, in_flight));
            }
        }
    }

    /// The second half of the path: decide, forward, inspect, record, reply.
    pub async fn handle(self: &Arc<Self>, received: Received) -> Reply {
        match received.arrival.message.kind() {
            Kind::Request | Kind::Notification => self.pass_up(received).await,
            Kind::Response | Kind::Error => self.pass_answer_up(received).await,
        }
    }

    /// A request or notification on its way to the server. A session that it opened and that is not
    /// announced in the reply ends with `opened`.
    async fn pass_up(self: &Arc<Self>, received: Received) -> Reply {
        let Received { arrival, mut entry, opened, in_flight, handshake } = received;
        let (message, session) = (&arrival.message, &arrival.session);
        let subject = Subject::of(self, &arrival);
        let decision = self.decide(&subject.input(Stage::Request), &mut entry);
        let Some(permit) = Permit::grant(&decision, self.options.mode) else {
            return entry.deny(message.id(), &decision);
        };
        if companions::are_in(message) {
            // Rare, and large: not part of the future of each message.
            match Box::pin(self.decide_companions(&subject, message, &mut entry)).await {
                Ok(None) => {}
                Ok(Some(denial)) => return entry.deny(message.id(), &denial),
                Err(failure) => return entry.fail(message.id(), &failure),
            }
        }
        if session.is_stateless() && message.kind() == Kind::Notification {
            // Nothing can follow from it: no state is kept that it could speak of.
            return entry.accept();
        }
        if handshake.is_none() && session.handshake().try_lock().is_err() {
            timeout(HANDSHAKE, session.handshake().lock()).await.ok();
        }
        let answer = entry.send(session.connection().send(permit, message.clone())).await;
        entry.served_in(session.connection().version());
        match (answer, message.kind()) {
            (Ok(Answer::Accepted), Kind::Notification) => entry.accept(),
            (Ok(Answer::Message(response)), Kind::Request) => {
                Answering::new(self, arrival, entry, opened, in_flight).reply(&response).await
            }
            (Ok(Answer::Stream(messages)), Kind::Request) => {
                Answering::new(self, arrival, entry, opened, in_flight).stream(messages).await
            }
            (Ok(_), _) => {
                let text = "the server's answer does not fit the message";
                entry.fail(message.id(), &Failure::new(ErrorKind::UpstreamError, text))
            }
            (Err(failure), _) => {
                self.end_if_lost(session, &failure);
                entry.fail(message.id(), &failure)
            }
        }
    }
}
