//! The path itself. Each line of [`Router::receive`] and [`Router::handle`] is a step of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::{Answer, ErrorKind, Failure, Permit, Stage};
use protocol::{Kind, Message, Method};
use session::{Client, InFlight, Session, Tally};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::catalogue::Listed;
use crate::entry::Entry;
use crate::envelope;
use crate::inspect::Answering;
use crate::lifecycle::NewSession;
use crate::reply::Reply;
use crate::ruling::Stop;
use crate::subject::Subject;
use crate::{Caller, Router, Ticket, client, companions, obligations};

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
    /// What the server has said of the tool that is called.
    pub(crate) tool: Option<Arc<Listed>>,
    /// Requests of the session when this message came, itself included.
    pub(crate) request_count: u64,
    /// Where what the session does is counted, if a rule reads it.
    pub(crate) tally: Option<Arc<Tally>>,
    pub(crate) at: SystemTime,
}

impl Arrival {
    /// Counts the message, as it passes, among what the session has sent. That is done before it leaves, so that whatever is decided
    /// meanwhile knows of it. A tool of which nothing else is known writes.
    pub(crate) fn count(&self, passing: &Message) {
        let Some(tally) = &self.tally else { return };
        let name = self.message.name();
        let (tool, reads) = match self.message.method() {
            Some(Method::ToolsCall) => {
                (name.as_deref(), Some(self.tool.as_ref().is_some_and(|it| it.reads)))
            }
            Some(Method::ResourcesRead) => (None, Some(true)),
            _ => (None, None),
        };
        tally.note_forwarded(tool, reads, passing.bytes().len() as u64);
    }
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
        if entry.policy().examines(Stage::Connect) && Self::comes_in(&message, &ticket) {
            let refused = Box::pin(self.refuses(&caller, &mut entry)).await;
            if let Some(ruling) = refused {
                // What is no request waits for no answer, whatever its id.
                let id = message.id().filter(|_| message.kind() == Kind::Request);
                return Err(entry.deny(id, &ruling));
            }
        }
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
        let (client, tool) = (client::stateless(&message), self.listed(&message, &mut entry));
        let (tally, at) = (entry.tally_of(&session), entry.received_at());
        let arrival = Arrival { message, session, caller, client, tool, request_count, tally, at };
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
        let (permit, passing) = match self.decide(&arrival, &mut entry).await {
            Ok(permitted) => permitted,
            Err(stop) => return entry.stop(arrival.message.id(), &stop),
        };
        let (message, session) = (&arrival.message, &arrival.session);
        if session.is_stateless() && message.kind() == Kind::Notification {
            // Nothing can follow from it: no state is kept that it could speak of.
            return entry.accept();
        }
        arrival.count(&passing);
        if handshake.is_none() && session.handshake().try_lock().is_err() {
            timeout(HANDSHAKE, session.handshake().lock()).await.ok();
        }
        let answer = entry.send(session.connection().send(permit, passing)).await;
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

    /// Permission to send a request or notification, and the message as policy lets it pass.
    async fn decide(
        self: &Arc<Self>,
        arrival: &Arrival,
        entry: &mut Entry,
    ) -> Result<(Permit, Message), Stop> {
        let (subject, mut passing) = (Subject::of(self, arrival), arrival.message.clone());
        let input = subject.input(Stage::Request);
        let ruling = self.judge(&input, Some(&arrival.session), entry).await;
        let Some(mut permit) = ruling.permit() else {
            return Err(ruling.into());
        };
        if let Some(arguments) = &ruling.edited {
            passing = obligations::put(&passing, &["params", "arguments"], arguments)?;
        }
        if companions::are_in(&arrival.message) {
            // Rare, and large: not part of the future of each message.
            let answers = Box::pin(self.decide_companions(&subject, &mut permit, entry)).await?;
            if let Some(answers) = answers {
                passing = obligations::put(&passing, &["params", "inputResponses"], &answers)?;
            }
        }
        Ok((permit, passing))
    }

    /// What the server has said of the tool that a request calls.
    fn listed(&self, message: &Message, entry: &mut Entry) -> Option<Arc<Listed>> {
        let calls = message.method() == Some(Method::ToolsCall);
        let listed = self.catalogue.get(&message.name().filter(|_| calls)?)?;
        entry.calls(&listed.text);
        Some(listed)
    }
}
