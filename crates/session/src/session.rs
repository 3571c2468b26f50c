//! One client's visit.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use domain::{Agent, Clock, Connection, Identity, SessionId, SessionToken, Transport};
use protocol::ProtocolVersion;
use tokio::sync::Mutex;

use crate::activity::{Activity, Lane};
use crate::tallies::Tallies;
use crate::{Config, Outbox, Questions, Replay, Sealed, Stream, Tally};

/// What is known of a session when it opens.
#[derive(Clone, Debug)]
pub struct Opening {
    /// How the client reaches the gateway.
    pub transport: Transport,
    /// Who the client speaks for.
    pub agent: Arc<Agent>,
    /// How that is known.
    pub identity: Arc<Identity>,
}

/// What a client says of itself in `initialize`; not proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `clientInfo.name`.
    pub name: Arc<str>,
    /// `clientInfo.version`.
    pub version: Arc<str>,
}

/// Under which names a session begins, and when it did.
pub(crate) struct Birth {
    id: SessionId,
    token: SessionToken,
    started_at: SystemTime,
    /// How old it is already.
    age: Duration,
}

impl Birth {
    /// A new session.
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self {
            id: SessionId::random(),
            token: SessionToken::random(),
            started_at: clock.wall(),
            age: Duration::ZERO,
        }
    }

    /// A session that another replica or process opened.
    pub(crate) fn elsewhere(sealed: Sealed, token: SessionToken, clock: &dyn Clock) -> Self {
        let age = clock.wall().duration_since(sealed.started_at).unwrap_or_default();
        Self { id: sealed.id, token, started_at: sealed.started_at, age }
    }
}

/// One client's visit, from its `initialize` (or its stream, over HTTP+SSE) to its end; or all those of stateless
/// clients, together and without an end.
pub struct Session {
    id: SessionId,
    /// The secret that the session began with.
    token: SessionToken,
    /// The secret that took its place.
    announced: OnceLock<SessionToken>,
    history: History,
    opening: Opening,
    started_at: SystemTime,
    activity: Activity,
    requests: AtomicU64,
    negotiated: OnceLock<ProtocolVersion>,
    client: OnceLock<Client>,
    outbox: Outbox,
    replay: Replay,
    questions: Questions,
    handshake: Arc<Mutex<()>>,
    max_in_flight: usize,
    connection: Arc<dyn Connection>,
}

/// Where a session's tally is.
enum History {
    /// With the session.
    Own(Arc<Tally>),
    /// With the agent: the session stands for stateless clients.
    OfAgent(Arc<Tallies>),
}

impl Session {
    pub(crate) fn new(
        birth: Birth,
        opening: Opening,
        config: &Config,
        clock: &Arc<dyn Clock>,
        replayed: &Arc<AtomicUsize>,
        connection: Arc<dyn Connection>,
    ) -> Self {
        Self {
            id: birth.id,
            token: birth.token,
            announced: OnceLock::new(),
            history: History::Own(Arc::new(Tally::new(clock))),
            opening,
            started_at: birth.started_at,
            activity: Activity::new(Arc::clone(clock), birth.age),
            requests: AtomicU64::new(0),
            negotiated: OnceLock::new(),
            client: OnceLock::new(),
            outbox: Outbox::new(config.queue_size),
            replay: Replay::new(config, Arc::clone(clock), replayed),
            questions: Questions::new(config.queue_size),
            handshake: Arc::default(),
            max_in_flight: config.max_in_flight,
            connection,
        }
    }

    /// The session of all stateless clients.
    pub(crate) fn shared(self, config: &Config, tallies: &Arc<Tallies>) -> Self {
        let history = History::OfAgent(Arc::clone(tallies));
        Self { history, max_in_flight: config.max_stateless, ..self }
    }

    /// The session that made room here, with the tally that was kept.
    pub(crate) fn resumed(self, tally: Arc<Tally>) -> Self {
        Self { history: History::Own(tally), ..self }
    }

    /// The public name, for logs, policy and the audit log.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The secret by which the client is recognised. [`Sessions::announce`](crate::Sessions::announce) exchanges it
    /// once.
    pub fn token(&self) -> &SessionToken {
        self.announced.get().unwrap_or(&self.token)
    }

    /// Exchanges the token; the first exchange stays.
    pub(crate) fn rename(&self, token: SessionToken) {
        self.announced.get_or_init(|| token);
    }

    /// Whether the token was exchanged.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced.get().is_some()
    }

    /// Whether this stands for stateless clients (MCP 2026-07-28 over HTTP), any number of them. Its id and counts
    /// then say nothing of any one client.
    pub fn is_stateless(&self) -> bool {
        matches!(self.history, History::OfAgent(_))
    }

    /// What the session has done so far. That of stateless clients is kept for each agent, whatever its connections; look
    /// it up once a message. A session that another replica or process opened begins with a blank one here.
    pub fn tally(&self) -> Arc<Tally> {
        match &self.history {
            History::Own(tally) => Arc::clone(tally),
            History::OfAgent(tallies) => tallies.of_agent(&self.opening.agent.id),
        }
    }

    /// How the client reaches the gateway.
    pub fn transport(&self) -> Transport {
        self.opening.transport
    }

    /// Who the client speaks for.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.opening.agent
    }

    /// How that is known.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.opening.identity
    }

    /// When the session opened, on the wall clock.
    pub fn started_at(&self) -> SystemTime {
        self.started_at
    }

    /// How long the session has been open, on the monotonic clock.
    pub fn age(&self) -> Duration {
        self.activity.age()
    }

    /// The session's own connection to the server.
    pub fn connection(&self) -> &Arc<dyn Connection> {
        &self.connection
    }

    /// Notes a sign of life: the idle time starts anew.
    pub fn touch(&self) {
        self.activity.touch();
    }

    /// Counts one request and returns the new count. Each count is given out exactly once.
    pub fn count_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Requests of the session so far.
    pub fn request_count(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The revision of MCP agreed on, once it is.
    pub fn negotiated(&self) -> Option<ProtocolVersion> {
        self.negotiated.get().copied()
    }

    /// Notes the revision that the server answered `initialize` with. The first one stays.
    pub fn negotiate(&self, version: ProtocolVersion) {
        self.negotiated.get_or_init(|| version);
    }

    /// What the client said of itself, once it did.
    pub fn client(&self) -> Option<&Client> {
        self.client.get()
    }

    /// Notes what the client says of itself. The first account stays; whether this was it.
    pub fn set_client(&self, client: Client) -> bool {
        self.client.set(client).is_ok()
    }

    /// Held while `notifications/initialized` is on its way to the server. The client's next message may come before
    /// it is there, and must not overtake it: servers refuse requests that come too early.
    pub fn handshake(&self) -> &Arc<Mutex<()>> {
        &self.handshake
    }

    /// Marks a request as in flight until the guard is dropped: meanwhile the session is not idle. `None` when
    /// `session.max_in_flight` are.
    pub fn enter(self: &Arc<Self>) -> Option<InFlight> {
        self.enter_lane(Lane::Requests)
    }

    /// The same for what expects no answer, which has as much room of its own: a cancellation must get through.
    pub fn enter_aside(self: &Arc<Self>) -> Option<InFlight> {
        self.enter_lane(Lane::Aside)
    }

    fn enter_lane(self: &Arc<Self>, lane: Lane) -> Option<InFlight> {
        let entered = self.activity.enter(lane, self.max_in_flight);
        entered.then(|| InFlight { session: Arc::clone(self), lane })
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> usize {
        self.activity.in_flight()
    }

    /// The queue of messages that the server sends on its own account.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The events that the client can ask for again.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Requests of the server that wait for the client's answer.
    pub fn questions(&self) -> &Questions {
        &self.questions
    }

    /// The reading end of the [`Outbox`]; `None` while another stream has it.
    pub fn attach(self: &Arc<Self>) -> Option<Stream> {
        Stream::attach(self)
    }

    /// The reading end of the [`Outbox`], taken away from the stream that has it, which ends: for a client that
    /// resumes a stream whose end was not noticed here.
    pub fn take_over(self: &Arc<Self>) -> Stream {
        Stream::take_over(self)
    }

    /// Tells everyone who waits on the session that it is over. Calling it again does nothing.
    pub fn close(&self) {
        self.outbox.close();
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.outbox.is_closed()
    }

    /// Waits for the end of the session.
    pub async fn closed(&self) {
        self.outbox.closed().await;
    }

    /// Whether the session is over or one of its limits has passed. A zero limit is none.
    pub(crate) fn ended(&self, config: &Config) -> bool {
        let (ttl, idle) = (config.ttl.duration(), config.idle_timeout.duration());
        let age = self.age();
        self.is_closed()
            || (!ttl.is_zero() && age >= ttl)
            || (!idle.is_zero() && self.activity.idle(age) >= idle && !self.outbox.attached())
    }

    /// The last sign of life, if the session is not in use now: no stream, nothing in flight.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let idle = self.in_flight() == 0 && !self.outbox.attached();
        idle.then(|| self.activity.used())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One call in flight; dropping it ends the call.
#[derive(Debug)]
#[must_use]
pub struct InFlight {
    session: Arc<Session>,
    lane: Lane,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.session.activity.leave(self.lane);
    }
}

#[cfg(test)]
mod tests;
