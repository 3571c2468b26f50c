//! What comes back: answers are filtered, decided and given the client's id again.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Decision, ErrorKind, Failure, MessageStream, Mode, Permit, SessionToken, Stage};
use futures_util::{StreamExt, stream};
use protocol::{Kind, ListKind, Message, Method, ProtocolVersion, Rewrite};
use session::InFlight;

use crate::Router;
use crate::ending::denial;
use crate::entry::Entry;
use crate::handle::Arrival;
use crate::lifecycle::NewSession;
use crate::reply::Reply;
use crate::subject::Subject;

/// How many entries of a list are decided before other tasks get their turn.
const ENTRIES_AT_ONCE: usize = 64;

/// A request that the server is answering. It is in flight, and its record open, until the response
/// has come or nobody reads on.
pub(crate) struct Answering {
    router: Arc<Router>,
    arrival: Arrival,
    entry: Entry,
    opened: Option<NewSession>,
    /// Ids of the requests that the server made meanwhile. If the answer breaks off, nobody waits
    /// for the client's answers to them.
    asked: Vec<u64>,
    _in_flight: InFlight,
}

/// What one message of a streamed answer leads to.
enum Step {
    Event(Bytes),
    Last(Conclusion),
}

/// The response as the client gets it.
struct Conclusion {
    body: Bytes,
    /// The session that it opens.
    session: Option<SessionToken>,
    error: Option<ErrorKind>,
}

/// Why a response does not reach the client.
enum Obstacle {
    /// Policy denied it.
    Denied(Decision),
    /// It is not an answer that the gateway can vouch for.
    Broken(Failure),
}

impl Answering {
    pub(crate) fn new(
        router: &Arc<Router>,
        arrival: Arrival,
        entry: Entry,
        opened: Option<NewSession>,
        _in_flight: InFlight,
    ) -> Self {
        let router = Arc::clone(router);
        Self { router, arrival, entry, opened, asked: Vec::new(), _in_flight }
    }

    /// Turns the server's one response into the reply.
    pub(crate) async fn reply(mut self, response: &Message) -> Reply {
        self.conclude(response).await.into()
    }

    /// Turns the server's streamed answer into a streamed reply: each message leaves as soon as it
    /// has come and was decided.
    pub(crate) async fn stream(mut self, mut messages: MessageStream) -> Reply {
        let mut first = None;
        if self.opened.is_some() {
            // Whether there is a session to announce: mostly the response comes first and tells.
            match self.step(&mut messages).await {
                Step::Event(event) => first = Some(event),
                Step::Last(conclusion) => return conclusion.into(),
            }
        }
        let session = self.opened.as_ref().map(NewSession::token);
        let under_way = Some((messages, self));
        let rest = stream::unfold(under_way, |state| async move {
            let (mut messages, mut answering) = state?;
            match answering.step(&mut messages).await {
                Step::Event(event) => Some((event, Some((messages, answering)))),
                Step::Last(conclusion) => Some((conclusion.body, None)),
            }
        });
        let events = match first {
            Some(first) => stream::iter([first]).chain(rest).boxed(),
            None => rest.boxed(),
        };
        Reply::events(events).announcing(session)
    }

    /// Waits for the next message that the client gets.
    async fn step(&mut self, messages: &mut MessageStream) -> Step {
        loop {
            self.entry.wait();
            let next = messages.next().await;
            self.entry.waited();
            let message = match next {
                Some(Ok(message)) => message,
                Some(Err(failure)) => return Step::Last(self.broken(&failure)),
                None => {
                    let text = "the server ended its answer before the response";
                    let failure = Failure::new(ErrorKind::UpstreamError, text);
                    return Step::Last(self.broken(&failure));
                }
            };
            match message.kind() {
                Kind::Request | Kind::Notification => {
                    let session = &self.arrival.session;
                    let Some(cleared) = self.router.pass_down(session, message).await else {
                        continue;
                    };
                    self.asked.extend(cleared.own_id());
                    let event = cleared.delivered();
                    self.entry.answered(event.len());
                    self.entry.rest();
                    return Step::Event(event);
                }
                Kind::Response | Kind::Error => {
                    self.entry.served(None);
                    return Step::Last(self.conclude(&message).await);
                }
            }
        }
    }

    /// Ends a stream that the server broke off.
    fn broken(&mut self, failure: &Failure) -> Conclusion {
        self.entry.served(Some(failure.kind));
        self.router.end_if_forgotten(&self.arrival.session, failure);
        self.fail(failure)
    }

    /// Ends with the response, or with the reason why it may not pass.
    async fn conclude(&mut self, response: &Message) -> Conclusion {
        // What the server still asks, it asks on its own account.
        self.asked.clear();
        match self.inspect(response).await {
            Ok(body) => {
                let session = self.settle(response);
                self.entry.reply(&body);
                Conclusion { body, session, error: None }
            }
            Err(Obstacle::Denied(decision)) => {
                let id = self.arrival.message.id().unwrap_or("null");
                let body = self.entry.deny_with_body(id, &decision);
                Conclusion { body, session: None, error: Some(denial(&decision)) }
            }
            Err(Obstacle::Broken(failure)) => self.fail(&failure),
        }
    }

    fn fail(&mut self, failure: &Failure) -> Conclusion {
        let body = self.entry.fail_with_body(self.arrival.message.id(), failure);
        Conclusion { body, session: None, error: Some(failure.kind) }
    }

    async fn inspect(&mut self, response: &Message) -> Result<Bytes, Obstacle> {
        let (router, entry) = (&self.router, &mut self.entry);
        if response.id().is_none() || matches!(response.kind(), Kind::Request | Kind::Notification)
        {
            let text = "the server's answer is not an answer to the request";
            return Err(Obstacle::Broken(Failure::new(ErrorKind::UpstreamError, text)));
        }
        let subject = Subject::of(router, &self.arrival);
        if router.ports.policy.examines(Stage::Response) {
            let decision = router.decide(&subject.response_input(response), entry);
            if Permit::grant(&decision, router.options.mode).is_none() {
                return Err(Obstacle::Denied(decision));
            }
        }
        let content = response.result().or_else(|| response.error()).unwrap_or_default();
        entry.summarise(content);
        let list = self.arrival.message.method().and_then(Method::list);
        let shown = match (list, response.result()) {
            (Some(kind), Some(result)) => router.filter(&subject, kind, result, entry).await?,
            _ => None,
        };
        let (id, result) = (self.arrival.message.id(), shown.as_deref());
        Ok(response.rewrite(&Rewrite { id, result, ..Rewrite::default() }))
    }

    /// What follows from an answer that passed: one to `initialize` makes the session last, and
    /// names its revision of MCP.
    fn settle(&mut self, response: &Message) -> Option<SessionToken> {
        let initialized = self.arrival.message.method() == Some(Method::Initialize)
            && response.kind() == Kind::Response;
        if !initialized {
            return None;
        }
        let version = response.protocol_version();
        if let Some(version) = version.and_then(|version| ProtocolVersion::from_str(&version)) {
            self.arrival.session.negotiate(version);
            self.entry.negotiated(version);
        }
        self.opened.take().map(NewSession::keep)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        for id in self.asked.drain(..) {
            self.arrival.session.callbacks().unpark(id);
        }
    }
}

impl From<Conclusion> for Reply {
    fn from(Conclusion { body, session, error }: Conclusion) -> Self {
        let reply = match error {
            None => Self::json(body),
            Some(kind) => Self::error(kind, body),
        };
        reply.announcing(session)
    }
}

impl From<Failure> for Obstacle {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

impl Router {
    /// Removes from a list the entries that policy would not let the agent use. `None` when nothing
    /// has to go.
    async fn filter(
        &self,
        subject: &Subject<'_>,
        kind: ListKind,
        result: &str,
        entry: &mut Entry,
    ) -> Result<Option<String>, Failure> {
        let unreadable = |error| {
            Failure::new(ErrorKind::UpstreamError, "the server's list could not be read").detail(
                format_args!("`{}` of the server could not be read: {error}", kind.member()),
            )
        };
        let entries = protocol::list_entries(result, kind).map_err(unreadable)?;
        let mut shown = Vec::with_capacity(entries.len());
        let mut denied = Vec::new();
        for (index, listed) in entries.iter().enumerate() {
            if index % ENTRIES_AT_ONCE == ENTRIES_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let decision = self.decide(&subject.entry_input(kind, listed), entry);
            shown.push(Permit::grant(&decision, self.options.mode).is_some());
            if decision.denial().is_some() {
                denied.push(plain_name(kind, &listed.key));
            }
        }
        if !denied.is_empty() {
            // Nothing else in the log says so: decisions on entries have no row of their own.
            let did = match self.options.mode {
                Mode::Enforce => "hid",
                Mode::Audit => "would hide",
            };
            let (count, all, names) = (denied.len(), entries.len(), denied.join(", "));
            entry.account(&format!("{did} {count} of {all} {}: {names}", kind.member()));
        }
        if shown.iter().all(|shown| *shown) {
            return Ok(None);
        }
        let mut shown = shown.into_iter();
        let retained = protocol::retain_entries(result, kind, |_| shown.next().unwrap_or(false))
            .map_err(unreadable)?;
        Ok(Some(retained.result))
    }
}

/// The name of a list entry for the log, without the parts of a URI that may hold a secret: user,
/// password, query and fragment.
fn plain_name(kind: ListKind, key: &str) -> String {
    if matches!(kind, ListKind::Tools | ListKind::Prompts) {
        return key.to_owned();
    }
    let (head, _) = key.split_once(['?', '#']).unwrap_or((key, ""));
    let Some((scheme, rest)) = head.split_once("://") else { return head.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}
