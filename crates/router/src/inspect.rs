//! What comes back: answers are decided, filtered and given the client's id again.

use std::sync::Arc;

use bytes::Bytes;
use domain::{ErrorKind, Failure, MessageStream, SessionToken, Stage};
use futures_util::{StreamExt, stream};
use protocol::{Era, Kind, Message, Method, ProtocolVersion, Rewrite, object};
use session::InFlight;

use crate::Router;
use crate::ending::Denial;
use crate::entry::Entry;
use crate::handle::Arrival;
use crate::lifecycle::NewSession;
use crate::reply::Reply;
use crate::ruling::Stop;
use crate::subject::Subject;

/// The scope of an answer that is for one agent alone.
const PRIVATE: &str = r#""private""#;

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
    /// The gateway's own error, if it is one.
    error: Option<ErrorKind>,
    /// The code of an error of the server, if it is one.
    code: Option<i64>,
    era: Era,
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
        let lasting = self.lasts();
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
        Reply { lasting, ..Reply::events(events).announcing(session) }
    }

    /// Whether the answer is a stream of notifications without an end of its own.
    fn lasts(&self) -> bool {
        self.arrival.message.method() == Some(Method::SubscriptionsListen)
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
                    if self.lasts() {
                        // The subscription stands. What comes over it has rows of its own.
                        self.entry.close(None);
                    }
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
        self.router.end_if_lost(&self.arrival.session, failure);
        self.fail(failure)
    }

    /// Ends with the response, or with the reason why it may not pass.
    async fn conclude(&mut self, response: &Message) -> Conclusion {
        // What the server still asks, it asks on its own account.
        self.asked.clear();
        let stop = match self.inspect(response).await {
            Ok(body) => {
                let session = self.settle(response);
                self.entry.reply(&body);
                let code = response.error_code();
                return Conclusion { body, session, error: None, code, era: self.entry.era() };
            }
            Err(stop) => stop,
        };
        let (conclusion, failure) = match stop {
            Stop::Denied(ruling) => {
                let id = self.arrival.message.id().unwrap_or("null");
                let Denial { body, error } = self.entry.deny_with_body(id, &ruling);
                (self.refused(body, error), ruling.failure())
            }
            Stop::Failed(failure) => (self.fail(&failure), failure),
        };
        if response.input_requests().is_some() {
            // Nobody will answer what it asks.
            self.arrival.session.connection().dismiss(response, &failure).await;
        }
        conclusion
    }

    fn fail(&mut self, failure: &Failure) -> Conclusion {
        let body = self.entry.fail_with_body(self.arrival.message.id(), failure);
        self.refused(body, Some(failure.kind))
    }

    fn refused(&self, body: Bytes, error: Option<ErrorKind>) -> Conclusion {
        Conclusion { body, session: None, error, code: None, era: self.entry.era() }
    }

    async fn inspect(&mut self, response: &Message) -> Result<Bytes, Stop> {
        let (router, entry) = (&self.router, &mut self.entry);
        if response.id().is_none() || matches!(response.kind(), Kind::Request | Kind::Notification)
        {
            let text = "the server's answer is not an answer to the request";
            return Err(Failure::new(ErrorKind::UpstreamError, text).into());
        }
        entry.heed_lockdown();
        let subject = Subject::of(router, &self.arrival);
        let mut edited = None;
        if entry.policy().examines(Stage::Response) {
            let input = subject.response_input(response);
            let ruling = router.judge(&input, Some(&self.arrival.session), entry).await;
            if ruling.permit().is_none() {
                return Err(ruling.into());
            }
            edited = ruling.as_changed(response)?;
        }
        let response = edited.as_ref().unwrap_or(response);
        router.decide_questions(&subject, response, entry).await?;
        let content = response.result().or_else(|| response.error()).unwrap_or_default();
        entry.summarise(content);
        let method = self.arrival.message.method();
        let mut shown = match (method.and_then(Method::list), response.result()) {
            (Some(kind), Some(result)) => router.filter_list(&subject, kind, result, entry).await?,
            _ => None,
        };
        if entry.era() == Era::Modern && method.is_some_and(Method::is_cacheable) {
            shown = private(shown.as_deref().or_else(|| response.result())).or(shown);
        }
        let (id, result) = (self.arrival.message.id(), shown.as_deref());
        Ok(response.rewrite(&Rewrite { id, result, ..Rewrite::default() }))
    }

    /// What follows from an answer that passed: one to `initialize` makes the session last, and
    /// names its revision of MCP.
    fn settle(&mut self, response: &Message) -> Option<SessionToken> {
        let initialized = self.arrival.message.method() == Some(Method::Initialize)
            && response.kind() == Kind::Response
            && !self.arrival.session.is_stateless();
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
            self.arrival.session.questions().unpark(id);
        }
    }
}

impl From<Conclusion> for Reply {
    fn from(Conclusion { body, session, error, code, era }: Conclusion) -> Self {
        let reply = match (error, code) {
            (Some(kind), _) => Self::error(kind, era, body),
            (None, Some(code)) if era == Era::Modern => {
                Self { status: protocol::http_status(code), ..Self::json(body) }
            }
            (None, _) => Self::json(body),
        };
        reply.announcing(session)
    }
}

/// The result as one that no shared cache may keep: what policy lets one agent see says nothing of
/// another, and an answer out of a cache passes no policy (2026-07-28, "Caching"). `None` when
/// it says so already, or nothing of caches.
fn private(result: Option<&str>) -> Option<String> {
    let result = result?;
    let scope = object::get(result, "cacheScope")?;
    (scope != PRIVATE).then(|| object::edit(result, &[("cacheScope", Some(PRIVATE))]))
}
