//! One client's visit.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use domain::{Agent, Clock, Connection, Identity, SessionId, SessionToken, Transport};
use protocol::ProtocolVersion;
use tokio::sync::Mutex;

use crate::activity::{Activity, Lane};
use crate::{Callbacks, Config, Outbox, Stream};

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

/// One client's visit, from its `initialize` (or its stream, over HTTP+SSE) to its end.
pub struct Session {
    id: SessionId,
    token: SessionToken,
    opening: Opening,
    started_at: SystemTime,
    activity: Activity,
    requests: AtomicU64,
    negotiated: OnceLock<ProtocolVersion>,
    client: OnceLock<Client>,
    outbox: Outbox,
    callbacks: Callbacks,
    handshake: Arc<Mutex<()>>,
    max_in_flight: usize,
    connection: Arc<dyn Connection>,
}

impl Session {
    pub(crate) fn new(
        opening: Opening,
        config: &Config,
        clock: &Arc<dyn Clock>,
        connection: Arc<dyn Connection>,
    ) -> Self {
        Self {
            id: SessionId::random(),
            token: SessionToken::random(),
            opening,
            started_at: clock.wall(),
            activity: Activity::new(Arc::clone(clock)),
            requests: AtomicU64::new(0),
            negotiated: OnceLock::new(),
            client: OnceLock::new(),
            outbox: Outbox::new(config.queue_size),
            callbacks: Callbacks::new(config.queue_size),
            handshake: Arc::default(),
            max_in_flight: config.max_in_flight,
            connection,
        }
    }

    /// The public name, for logs, policy and the audit log.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The secret by which the client is recognised.
    pub fn token(&self) -> &SessionToken {
        &self.token
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

    /// Counts one message and returns the new count. Each count is given out exactly once.
    pub fn count_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Messages of the session so far.
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

    /// Requests of the server that wait for the client's answer.
    pub fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    /// The reading end of the [`Outbox`]; `None` while another stream has it.
    pub fn attach(self: &Arc<Self>) -> Option<Stream> {
        Stream::attach(self)
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
            || (!idle.is_zero() && !self.outbox.attached() && self.activity.idle(age) >= idle)
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
