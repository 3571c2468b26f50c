//! One configured server: what its sessions share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use child::Children;
use domain::{
    BoxFuture, Clock, Connection, Failure, Health, Inbox, Party, Probe, ServerView, Upstream,
};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::duplex::SharedPipes;
use crate::health::LastSeen;
use crate::protocol_errors::ProtocolErrors;
use crate::route::Route;
use crate::session::Session;
use crate::{Config, Error, failure};

/// How long the server gets to take note of an end before it is left.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// An MCP server behind the gateway, by URL or by command.
///
/// Each client session gets a [`Connection`] of its own, with its own session at the server (its
/// own event stream, its own child process); the pool of HTTP connections is shared, and so is the
/// one pair of pipes for messages that need no session (2026-07-28).
pub struct UpstreamServer {
    shared: Arc<Shared>,
}

/// What all sessions of one server share.
pub(crate) struct Shared {
    config: Config,
    clock: Arc<dyn Clock>,
    routes: Vec<Route>,
    /// For each route, the pipes that all sessions share.
    pipes: Vec<Arc<SharedPipes>>,
    /// Sessions so far.
    sessions: AtomicU64,
    /// Whether it was said that the server is older than its clients.
    old: AtomicBool,
    /// The route that worked last; an index beyond them before any did.
    best: AtomicUsize,
    slots: Option<Arc<Semaphore>>,
    health: LastSeen,
    protocol_errors: Arc<ProtocolErrors>,
    children: Arc<Children>,
}

impl UpstreamServer {
    /// Prepares a server; nothing is dialled or started. `environment` is that of the gateway, of
    /// which a child process inherits what `upstream.env_allow` names.
    ///
    /// # Errors
    ///
    /// The configuration names no server, two, or a value that cannot be used.
    pub fn new(
        config: Config,
        environment: impl IntoIterator<Item = (String, String)>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        config.validate()?;
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let routes = Route::all(&config, &environment)?;
        let limit = config.connection_pool.max_open;
        let shared = Shared {
            pipes: routes.iter().map(|_| Arc::default()).collect(),
            routes,
            sessions: AtomicU64::new(0),
            old: AtomicBool::new(false),
            best: AtomicUsize::new(usize::MAX),
            slots: (limit > 0).then(|| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))),
            health: LastSeen::new(&config.name),
            protocol_errors: Arc::new(ProtocolErrors::new(&clock)),
            children: Arc::default(),
            config,
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Looks whether the server can be reached: a TCP connection to a URL, a program that can be
    /// executed for a command. [`Probe::health`] tells the outcome, unless the server was found not
    /// to speak MCP, which only an answer to `initialize` refutes.
    pub async fn check(&self) {
        let Some(route) = self.shared.route() else { return };
        let checked = match route {
            Route::Http(_, target) | Route::Sse(_, target) | Route::WebSocket(_, target) => {
                match target.host_and_port() {
                    Some(address) => match timeout(GRACE, TcpStream::connect(address)).await {
                        Ok(Ok(_)) => Ok(()),
                        Ok(Err(error)) => Err(format!("{}: {error}", target.shown())),
                        Err(_) => {
                            Err(format!("{}: no connection within {GRACE:?}", target.shown()))
                        }
                    },
                    None => Err(format!("{} has no host", target.shown())),
                }
            }
            Route::Stdio(command) => {
                command.check().map_err(|error| Error::from(error).to_string())
            }
        };
        match checked {
            Ok(()) => self.shared.reached(),
            Err(why) => self.shared.health.lost(&why),
        }
    }

    /// Messages of the server so far that were dropped because they answered no request in flight,
    /// or were no messages.
    #[must_use]
    pub fn protocol_errors(&self) -> u64 {
        self.shared.protocol_errors.count()
    }

    /// Child processes that were started for `upstream.command` and of which something is left.
    #[must_use]
    pub fn children(&self) -> usize {
        self.shared.children.count()
    }
}

impl Upstream for UpstreamServer {
    fn connect(&self, inbox: Arc<dyn Inbox>, party: Party) -> Arc<dyn Connection> {
        Arc::new(Session::new(Arc::clone(&self.shared), inbox, party))
    }

    fn view(&self) -> ServerView<'_> {
        let (transport, url) = match self.shared.route() {
            Some(Route::Http(_, target)) => ("http", Some(target.shown())),
            Some(Route::Sse(_, target)) => ("sse", Some(target.shown())),
            Some(Route::WebSocket(_, target)) => ("websocket", Some(target.shown())),
            Some(Route::Stdio(_)) | None => ("stdio", None),
        };
        ServerView { name: self.shared.name(), transport, url, tool: None }
    }
}

impl Probe for UpstreamServer {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn health(&self) -> Health {
        self.shared.health.get()
    }
}

impl Shared {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// Longest wait for an answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.config.timeout.duration()
    }

    /// When a request that starts now is given up.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout()
    }

    /// The child processes.
    pub(crate) fn children(&self) -> &Arc<Children> {
        &self.children
    }

    /// Where protocol errors of the server are counted.
    pub(crate) fn protocol_errors(&self) -> &Arc<ProtocolErrors> {
        &self.protocol_errors
    }

    /// The route that worked last, else the first to try.
    fn route(&self) -> Option<&Route> {
        self.found_route().or_else(|| self.routes.first())
    }

    fn found_route(&self) -> Option<&Route> {
        self.routes.get(self.best.load(Ordering::Relaxed))
    }

    /// The route that worked last, else every one that may.
    pub(crate) fn likely_routes(&self) -> impl Iterator<Item = &Route> {
        let found = self.found_route();
        let all = if found.is_none() { self.routes.iter() } else { [].iter() };
        found.into_iter().chain(all)
    }

    /// The routes to try, the one that worked last first.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (usize, &Route)> {
        let best = self.best.load(Ordering::Relaxed);
        let others = self.routes.iter().enumerate().filter(move |(index, _)| *index != best);
        self.routes.get(best).map(|route| (best, route)).into_iter().chain(others)
    }

    /// The pipes that all sessions share, for routes that are pipes.
    pub(crate) fn pipes(&self, route: usize) -> Option<&Arc<SharedPipes>> {
        self.pipes.get(route)
    }

    /// A number for one more session.
    pub(crate) fn session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// The server settled on a revision older than the one it was asked for.
    pub(crate) fn downgraded(&self, asked: &str, settled: &str) {
        if !self.old.swap(true, Ordering::Relaxed) {
            let server = self.name();
            tracing::warn!(server, asked, settled, "the server speaks an older revision of MCP");
        }
    }

    /// Notes the route that worked.
    pub(crate) fn found(&self, route: usize) {
        self.best.store(route, Ordering::Relaxed);
    }

    /// A place among the requests at once.
    ///
    /// # Errors
    ///
    /// `Overloaded` when there was none until the deadline.
    pub(crate) async fn slot(
        &self,
        deadline: Instant,
    ) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        let Some(slots) = &self.slots else { return Ok(None) };
        let full = || failure::overloaded(self.config.connection_pool.max_open);
        let slot = timeout_at(deadline, Arc::clone(slots).acquire_owned()).await;
        slot.map_err(|_| full())?.map(Some).map_err(|_| full())
    }

    /// The server can be connected to.
    pub(crate) fn reached(&self) {
        self.health.connected();
    }

    /// The server answered `initialize`.
    pub(crate) fn spoke(&self) {
        self.health.spoke();
    }

    /// The server answered `initialize` with something that is not MCP.
    pub(crate) fn not_mcp(&self, failure: &Failure) {
        self.health.not_mcp(&failure.detail);
    }

    /// The server could not be reached, or broke off.
    pub(crate) fn lost(&self, failure: &Failure) {
        self.health.lost(&failure.detail);
    }
}

/// The `BoxFuture` of a future.
pub(crate) fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(future)
}

#[cfg(test)]
mod tests;
