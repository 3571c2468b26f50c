//! One session at the server, which stateless clients that declare the same share.
//!
//! The server's requests belong to calls. What comes on the stream of a call belongs to it; what
//! comes outside of any belongs to the one call under way, and to none if there are several. A call
//! whose questions are with the client waits for that client, not for the server, and is only
//! considered when no other is under way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use domain::{
    BoxFuture, Clock, Connection, ErrorKind, Failure, Inbox, Party, Permit, Upstream, lock,
};
use protocol::{Kind, Message, Method, ProtocolVersion, encode};
use tokio::sync::{OnceCell, mpsc};

use super::listen::Listeners;
use super::opening::Opened;
use crate::ask::{ask, request, written};
use crate::envelope::OWN_INFO;
use crate::level::Level;

/// Messages that may wait for a call before the server is refused more.
const SIDE_QUEUE: usize = 64;

/// A session at the server.
pub(super) struct LegacySession {
    connection: Arc<dyn Connection>,
    clock: Arc<dyn Clock>,
    /// As the session is opened with.
    capabilities: String,
    /// Of the request that made the session: for what the gateway says on it on its own account.
    permit: Permit,
    opened: OnceCell<Opened>,
    /// Ids so far of the gateway's own requests.
    ids: AtomicU64,
    /// The lowest level that a request asked for.
    level: tokio::sync::Mutex<Option<Level>>,
    places: Mutex<Places>,
    listeners: Listeners,
    used: Mutex<Instant>,
    this: Weak<Self>,
}

/// The places of the requests under way, by the keys of their leases.
#[derive(Default)]
struct Places {
    last: u64,
    taken: HashMap<u64, Place>,
}

/// What is known of a request under way.
struct Place {
    /// Whether the server may ask something back.
    asking: bool,
    /// Whether it has, and the client was told.
    parked: bool,
    side: mpsc::Sender<Message>,
}

impl LegacySession {
    /// A session that nothing was said on.
    pub(super) fn new(
        raw: &dyn Upstream,
        clock: &Arc<dyn Clock>,
        capabilities: &str,
        permit: &Permit,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            connection: raw.connect(Arc::new(Side(this.clone())), Party::Many),
            clock: Arc::clone(clock),
            capabilities: capabilities.to_owned(),
            permit: permit.translated(),
            opened: OnceCell::new(),
            ids: AtomicU64::new(0),
            level: tokio::sync::Mutex::default(),
            places: Mutex::default(),
            listeners: Listeners::default(),
            used: Mutex::new(clock.monotonic()),
            this: this.clone(),
        })
    }

    /// Opens the session, once for all that wait for it. A client that goes away does not leave it
    /// half open. `info` is what the first client calls itself.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`]; `UpstreamError` when the server refuses.
    pub(super) async fn opened(&self, info: Option<&str>) -> Result<&Opened, Failure> {
        let lost =
            || Failure::new(ErrorKind::Internal, "the opening of a session was lost").unsent();
        if self.opened.get().is_none() {
            let this = self.this.upgrade().ok_or_else(lost)?;
            let info = info.unwrap_or(OWN_INFO).to_owned();
            let opening =
                async move { this.opened.get_or_try_init(|| this.open(&info)).await.map(|_| ()) };
            tokio::spawn(opening).await.map_err(|_| lost())??;
        }
        self.opened.get().ok_or_else(lost)
    }

    async fn open(&self, info: &str) -> Result<Opened, Failure> {
        let version = ProtocolVersion::LATEST_LEGACY;
        let params = format!(
            r#"{{"protocolVersion":"{version}","capabilities":{},"clientInfo":{info}}}"#,
            self.capabilities
        );
        let side = Side(self.this.clone());
        let initialize = request(self.id(), Method::Initialize.as_str(), &params)?;
        let answer = ask(&*self.connection, self.own_permit(), initialize, Some(&side)).await;
        let opened = Opened::read(&answer.map_err(Failure::unsent)?)?;
        let initialized = written(encode::notification(Method::Initialized.as_str(), None))?;
        self.connection.send(self.own_permit(), initialized).await.map_err(Failure::unsent)?;
        Ok(opened)
    }

    /// What the server offers, once the session is open.
    pub(super) fn offer(&self) -> Option<&Opened> {
        self.opened.get()
    }

    pub(super) fn connection(&self) -> &Arc<dyn Connection> {
        &self.connection
    }

    /// The capabilities that the session was opened with, raw JSON.
    pub(super) fn capabilities(&self) -> &str {
        &self.capabilities
    }

    pub(super) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Has the server send log lines from that level on, if it does not yet. One that does not take
    /// it sends none, which is no reason to fail a call.
    pub(super) async fn want(&self, level: Level) {
        let mut lowest = self.level.lock().await;
        if lowest.is_some_and(|lowest| lowest <= level)
            || !self.offer().is_some_and(|offer| offer.has("logging"))
        {
            return;
        }
        let params = format!(r#"{{"level":{}}}"#, level.json());
        match self.ask(Method::SetLevel, &params).await {
            Ok(()) => *lowest = Some(level),
            Err(failure) => tracing::debug!(error = %failure, "the server took no log level"),
        }
    }

    /// Asks the server something on the gateway's own account.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`]; `UpstreamError` when the server refuses.
    pub(super) async fn ask(&self, method: Method, params: &str) -> Result<(), Failure> {
        let request = request(self.id(), method.as_str(), params)?;
        let side = Side(self.this.clone());
        let answer = ask(&*self.connection, self.own_permit(), request, Some(&side)).await?;
        match answer.error() {
            None => Ok(()),
            Some(error) => {
                let text = format!("the server refused `{method}`");
                Err(Failure::new(ErrorKind::UpstreamError, text).detail(error))
            }
        }
    }

    /// The server has lost the session, and all that it kept for it: what is still wanted is asked for
    /// again, if there is a session.
    fn begin_again(self: Arc<Self>, reopened: bool) {
        if !reopened {
            return self.listeners.end();
        }
        tokio::spawn(async move {
            *self.level.lock().await = None;
            self.listeners.begin_again(&self).await;
        });
    }

    /// Ends the session and all that goes over it.
    pub(super) async fn close(&self) {
        self.listeners.end();
        self.connection.close().await;
    }

    /// Since when nothing was under way; `None` while something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let idle = lock(&self.places).taken.is_empty();
        idle.then(|| *lock(&self.used))
    }

    /// Tells the server that its request goes nowhere. It is not waited for: whoever reads the
    /// server's messages reads on.
    pub(super) fn refuse(&self, request: Message, failure: Failure) {
        tracing::debug!(method = %request.method_name(), why = %failure, "refused to the server");
        let connection = Arc::clone(&self.connection);
        tokio::spawn(async move { connection.refuse(&request, &failure).await });
    }

    /// Takes a message of the server that concerns no single call.
    pub(super) fn take(&self, message: Message) {
        match (message.kind(), message.method()) {
            (Kind::Request, Some(Method::Ping)) => self.pong(&message),
            (Kind::Request, _) => self.ask_back(message),
            (Kind::Notification, Some(Method::LogMessage)) => {
                if let Some(call) = self.sole() {
                    // A call that does not read loses lines, not the order.
                    call.try_send(message).ok();
                }
            }
            (Kind::Notification, Some(Method::Cancelled)) => {
                for call in lock(&self.places).taken.values() {
                    call.side.try_send(message.clone()).ok();
                }
            }
            (Kind::Notification, _) => self.listeners.tell(&message),
            (Kind::Response | Kind::Error, _) => {}
        }
    }

    fn ask_back(&self, question: Message) {
        let text = match self.sole() {
            Some(call) if call.try_send(question.clone()).is_ok() => return,
            Some(_) => "too many requests wait for the client",
            None => "it cannot be told which call the request belongs to, or there is none",
        };
        self.refuse(question, Failure::new(ErrorKind::NotBridged, text));
    }

    /// The one call that what comes outside of any can belong to.
    fn sole(&self) -> Option<mpsc::Sender<Message>> {
        let places = lock(&self.places);
        let of = |parked: bool| {
            let fits = move |call: &&Place| call.asking && call.parked == parked;
            let mut fitting = places.taken.values().filter(fits);
            fitting.next().map(|first| (first, fitting.next().is_none()))
        };
        let (call, alone) = of(false).or_else(|| of(true))?;
        alone.then(|| call.side.clone())
    }

    fn pong(&self, ping: &Message) {
        let reply = written(encode::result_reply(ping.id().unwrap_or("null"), "{}"));
        let (connection, permit) = (Arc::clone(&self.connection), self.own_permit());
        tokio::spawn(async move {
            if let Err(failure) = connection.send(permit, reply?).await {
                tracing::debug!(error = %failure, "a ping of the server was not answered");
            }
            Ok::<_, Failure>(())
        });
    }

    fn own_permit(&self) -> Permit {
        self.permit.translated()
    }

    fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Holds a place among the requests under way of a session, which is not idle meanwhile.
pub(super) struct Lease {
    session: Arc<LegacySession>,
    key: u64,
    side: mpsc::Receiver<Message>,
}

impl Lease {
    /// A place for a request to which the server may ask something back, or not.
    pub(super) fn new(session: &Arc<LegacySession>, asking: bool) -> Self {
        let (sender, side) = mpsc::channel(SIDE_QUEUE);
        let mut places = lock(&session.places);
        places.last += 1;
        let key = places.last;
        places.taken.insert(key, Place { asking, parked: false, side: sender });
        Self { session: Arc::clone(session), key, side }
    }

    pub(super) fn session(&self) -> &Arc<LegacySession> {
        &self.session
    }

    /// The next message that came outside of the call's stream; never ends.
    pub(super) async fn side(&mut self) -> Option<Message> {
        self.side.recv().await
    }

    /// Says whether the call waits for its client.
    pub(super) fn set_parked(&self, parked: bool) {
        if let Some(call) = lock(&self.session.places).taken.get_mut(&self.key) {
            call.parked = parked;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *lock(&self.session.used) = self.session.clock.monotonic();
        lock(&self.session.places).taken.remove(&self.key);
    }
}

/// What the server sends outside of any answer.
struct Side(Weak<LegacySession>);

impl Inbox for Side {
    fn deliver(&self, message: Message) -> BoxFuture<'_, ()> {
        if let Some(session) = self.0.upgrade() {
            session.take(message);
        }
        Box::pin(std::future::ready(()))
    }

    fn lost_session(&self, reopened: bool) {
        if let Some(session) = self.0.upgrade() {
            session.begin_again(reopened);
        }
    }
}

/// How long ago `then` was.
pub(super) fn age(clock: &dyn Clock, then: Instant) -> Duration {
    clock.monotonic().saturating_duration_since(then)
}
