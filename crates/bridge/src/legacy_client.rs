//! A client with a session at a stateless server: `initialize` … 2025-11-25 towards 2026-07-28.
//!
//! The session is the gateway's: what the client said in `initialize` travels with every request.
//! `ping`, `logging/setLevel`, `resources/subscribe` and `resources/unsubscribe` are answered here;
//! `input_required` becomes requests to the client, whose answers go into the retry; notifications
//! come over one `subscriptions/listen`. All that waits ends with the session.
//!
//! What has no counterpart is refused with `not_bridged`: tasks of 2025-11-25, and an error as the
//! client's answer to a request of the server. `notifications/roots/list_changed`, progress of the
//! client and other notifications of it are accepted and dropped: a stateless server has nothing to
//! tell them to.

mod answer;
mod call;
mod headers;
mod input;
mod listener;
mod opening;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::{Answer, Connection, ErrorKind, Failure, Handshake, Inbox, Party, Permit, lock};
use protocol::{Kind, Message, Method, ProtocolVersion, object};
use tokio::sync::{OnceCell, oneshot};
use tokio_util::sync::CancellationToken;

use self::call::Call;
use self::listener::Listener;
use self::opening::Offer;
use crate::ask::{self, no_such_method, reply};
use crate::bridge::Shared;
use crate::calls::Calls;
use crate::envelope::Envelope;
use crate::level::Level;
use crate::notifications::quoted;

/// How often a server may ask for input before a call fails.
const ROUNDS: usize = 8;

/// How long the client may take for the answers of one round.
const ROUND: Duration = Duration::from_secs(600);

/// How much a server may ask for in one round.
const QUESTIONS: usize = 64;

/// The client's side of one session that the server knows nothing of.
pub(crate) struct LegacyClient {
    shared: Arc<Shared>,
    raw: Arc<dyn Connection>,
    inbox: Arc<dyn Inbox>,
    /// The client's `initialize`, whole.
    initialize: Bytes,
    /// The revision that the client speaks.
    version: ProtocolVersion,
    envelope: Envelope,
    /// What the server offers; asked again for a resumed session.
    offer: OnceCell<Offer>,
    /// The log level of the session.
    level: Mutex<Level>,
    /// Ids so far, of requests to the server and of questions to the client.
    ids: AtomicU64,
    calls: Calls,
    questions: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
    listener: Listener,
    /// Ends what is listened for; `stop` does, too.
    listening: CancellationToken,
    stop: CancellationToken,
}

/// What became of a question to the client.
type Reply = Result<Message, Failure>;

impl LegacyClient {
    /// Opens a session here: the server is asked what it offers in the name of this client. Gives the
    /// answer to `initialize` too.
    ///
    /// # Errors
    ///
    /// The server does not answer as one of 2026-07-28 does.
    pub(crate) async fn open(
        shared: &Arc<Shared>,
        inbox: &Arc<dyn Inbox>,
        permit: &Permit,
        initialize: &Message,
    ) -> Result<(Arc<Self>, Answer), Failure> {
        let version = opening::settle(initialize);
        let client = Self::new(shared, inbox, initialize, version);
        let offer = client.offer(permit).await?;
        let result = offer.initialize_result(version, shared.raw().view().name);
        let answer = reply(initialize, &result)?;
        Ok((client, answer))
    }

    /// The session of that handshake, which was opened elsewhere; `None` when its `initialize`
    /// cannot be read.
    pub(crate) fn resumed(
        shared: &Arc<Shared>,
        inbox: &Arc<dyn Inbox>,
        handshake: &Handshake,
    ) -> Option<Arc<Self>> {
        let initialize = Message::parse(handshake.initialize.clone()).ok()?;
        let client = Self::new(shared, inbox, &initialize, handshake.version);
        client.listener.resume();
        Some(client)
    }

    fn new(
        shared: &Arc<Shared>,
        inbox: &Arc<dyn Inbox>,
        initialize: &Message,
        version: ProtocolVersion,
    ) -> Arc<Self> {
        let stop = CancellationToken::new();
        Arc::new(Self {
            shared: Arc::clone(shared),
            raw: shared.raw().connect(Arc::clone(inbox), Party::Many),
            inbox: Arc::clone(inbox),
            initialize: initialize.bytes().clone(),
            version,
            envelope: Envelope::of(initialize),
            offer: OnceCell::new(),
            level: Mutex::new(Level::INFO),
            ids: AtomicU64::new(0),
            calls: Calls::default(),
            questions: Mutex::default(),
            listener: Listener::default(),
            listening: stop.child_token(),
            stop,
        })
    }

    /// Passes a message of the session on, as far as a stateless server has an ear for it.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`]; `NotBridged` and `MethodNotFound` for what the server cannot be
    /// asked, `InvalidParams` for an unknown log level.
    pub(crate) async fn send(
        self: &Arc<Self>,
        permit: Permit,
        message: Message,
    ) -> Result<Answer, Failure> {
        // A resumed session listens from its first message on.
        if self.listener.is_due() {
            self.listen(&permit);
        }
        match message.kind() {
            Kind::Request => self.request(permit, message).await,
            Kind::Notification => {
                self.notice(&permit, &message);
                Ok(Answer::Accepted)
            }
            Kind::Response | Kind::Error => {
                let id = message.id().and_then(|id| id.parse().ok());
                if let Some(question) = id.and_then(|id| lock(&self.questions).remove(&id)) {
                    // A call that has ended meanwhile needs no answer.
                    question.send(Ok(message)).ok();
                }
                Ok(Answer::Accepted)
            }
        }
    }

    async fn request(
        self: &Arc<Self>,
        permit: Permit,
        message: Message,
    ) -> Result<Answer, Failure> {
        const TASKS: [Method; 5] = [
            Method::TasksGet,
            Method::TasksList,
            Method::TasksResult,
            Method::TasksCancel,
            Method::TasksUpdate,
        ];
        const MODERN: [Method; 2] = [Method::ServerDiscover, Method::SubscriptionsListen];
        let method = message.method().unwrap_or(Method::Other);
        if method == Method::Ping {
            reply(&message, "{}")
        } else if method == Method::SetLevel {
            *lock(&self.level) = Level::set_by(&message)?;
            reply(&message, "{}")
        } else if matches!(method, Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) {
            self.subscribe(&permit, &message, method == Method::ResourcesSubscribe).await?;
            reply(&message, "{}")
        } else if TASKS.contains(&method) || message.task().is_some() {
            let text = "the server speaks MCP 2026-07-28, whose tasks are not those of 2025-11-25: \
                        call the tool without `task`";
            Err(Failure::new(ErrorKind::NotBridged, text).unsent())
        } else if MODERN.contains(&method) {
            Err(no_such_method(method.as_str(), "the revision of this session"))
        } else if method == Method::Initialize {
            let text = "`initialize` was sent on this session before: open a new one";
            Err(Failure::new(ErrorKind::InvalidRequest, text).unsent())
        } else {
            self.call(permit, message).await
        }
    }

    /// A request for the server.
    async fn call(self: &Arc<Self>, permit: Permit, message: Message) -> Result<Answer, Failure> {
        let under_way = self.calls.enter(&message, &self.stop)?;
        under_way.answer(Call::new(self, permit, message).start()).await
    }

    fn notice(self: &Arc<Self>, permit: &Permit, message: &Message) {
        match message.method() {
            Some(Method::Initialized) => self.listen(permit),
            Some(Method::Cancelled) => self.calls.cancel(message),
            _ => tracing::debug!(method = %message.method_name(), "no stateless server hears it"),
        }
    }

    /// A question to the client was not let through.
    pub(crate) fn refuse(&self, request: &Message, failure: &Failure) {
        let id = request.id().and_then(|id| id.parse().ok());
        if let Some(question) = id.and_then(|id: u64| lock(&self.questions).remove(&id)) {
            question.send(Err(failure.clone())).ok();
        }
    }

    /// The capabilities that the server offers the client (raw JSON), if it offers what a stateless
    /// server does.
    pub(crate) async fn offered(&self, permit: &Permit) -> Option<String> {
        self.offer(permit).await.ok().map(|offer| offer.capabilities.clone())
    }

    /// Whether the server claims to have sessions, though it refused one.
    pub(crate) fn is_offered_sessions(&self) -> bool {
        self.offer.get().is_some_and(|offer| offer.has_sessions)
    }

    /// The connection to the server, which has no session either.
    pub(crate) fn raw(&self) -> &dyn Connection {
        &*self.raw
    }

    /// Ends all that waits.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// The session goes on elsewhere: what is under way may end, and nothing is listened for.
    pub(crate) fn leave(&self) {
        self.listening.cancel();
    }

    /// What the client has asked for that a server with sessions keeps: as requests, with `params`.
    pub(crate) fn wishes(&self) -> impl Iterator<Item = (Method, String)> {
        let level = *lock(&self.level);
        let level = (level != Level::INFO)
            .then(|| (Method::SetLevel, format!(r#"{{"level":{}}}"#, level.json())));
        let uris = self.listener.uris().into_iter();
        level.into_iter().chain(uris.map(|uri| {
            let params = object::edit("{}", &[("uri", Some(&quoted(&uri)))]);
            (Method::ResourcesSubscribe, params)
        }))
    }

    /// Ends all that waits, and the connection to the server.
    pub(crate) async fn close(&self) {
        self.stop();
        self.raw.close().await;
    }

    /// What another replica needs to go on with the session: subscriptions of resources and the log
    /// level are not part of it.
    pub(crate) fn handshake(&self) -> Handshake {
        Handshake {
            initialize: self.initialize.clone(),
            version: self.version,
            server_session: None,
            server_version: ProtocolVersion::V2026_07_28,
        }
    }

    /// The next id.
    fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A request in the name of this client; `params` without the envelope.
    fn written(&self, method: &str, params: Option<&str>) -> Result<Message, Failure> {
        ask::request(self.id(), method, &self.envelope.around(params, None, None))
    }

    /// What the server offers this client; asked once.
    async fn offer(&self, permit: &Permit) -> Result<&Offer, Failure> {
        self.offer.get_or_try_init(|| self.discover(permit)).await
    }

    async fn discover(&self, permit: &Permit) -> Result<Offer, Failure> {
        let discover = self.written(Method::ServerDiscover.as_str(), None)?;
        let asked = ask::ask(&*self.raw, permit.translated(), discover, None);
        let answer =
            if self.shared.has_headers() { asked.await } else { opening::in_time(asked).await };
        Offer::read(&answer?)
    }
}

#[cfg(test)]
mod tests;
