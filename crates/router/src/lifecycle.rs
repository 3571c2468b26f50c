//! Sessions: who opens one, how a message finds its own, and how it ends.

use std::sync::{Arc, Weak};

use domain::{Connection, ErrorKind, Failure, Party, SessionToken, Transport};
use futures_util::{StreamExt, stream};
use protocol::{Era, Kind, Message, Method};
use session::{Opening, Session};
use tokio::runtime::Handle;

use crate::inbox::SessionInbox;
use crate::{Caller, Router, Ticket};
use crate::{client, envelope};

/// How many sessions are ended at once: each may wait for its server.
const ENDINGS: usize = 64;

impl Router {
    /// Opens a session with its upstream side.
    ///
    /// # Errors
    ///
    /// `Overloaded` when the limit of sessions is reached and none of them is idle.
    pub(crate) fn open_session(self: &Arc<Self>, caller: &Caller) -> Result<Arc<Session>, Failure> {
        let connect = |session: &Weak<Session>| self.connect(session, caller, Party::One);
        let (session, evicted) = self.sessions.open(self.opening(caller), connect)?;
        self.evict(evicted);
        Ok(session)
    }

    /// The live session of that token, of a client of the same transport. One that another replica
    /// opened, or this one before it restarted, is taken over.
    #[must_use]
    pub fn find(self: &Arc<Self>, token: &str, caller: &Caller) -> Option<Arc<Session>> {
        let found = self.sessions.get(token).or_else(|| self.adopt(token, caller));
        found.filter(|session| session.transport() == caller.transport)
    }

    /// Takes a session over whose sealed token tells how it began.
    fn adopt(self: &Arc<Self>, token: &str, caller: &Caller) -> Option<Arc<Session>> {
        if caller.transport != Transport::Http {
            return None;
        }
        let sealed = self.sessions.unseal(token, &self.options.agent.id)?;
        let handshake = sealed.handshake.clone();
        let party = Party::Resumed(Box::new(handshake.clone()));
        let connect = |session: &Weak<Session>| self.connect(session, caller, party);
        let (session, evicted) = self
            .sessions
            .adopt(sealed, token, self.opening(caller), connect)
            .inspect_err(|failure| tracing::debug!(error = %failure, "no session was taken over"))
            .ok()?;
        self.evict(evicted);
        if let Ok(initialize) = Message::parse(handshake.initialize) {
            session.set_client(client::read(initialize.client_info()));
        }
        tracing::debug!(session = %session.id(), "a session was taken over");
        Some(session)
    }

    /// The session that stands for all stateless clients over HTTP.
    fn stateless(self: &Arc<Self>, caller: &Caller) -> Arc<Session> {
        let session = self.stateless.get_or_init(|| {
            let connect = |session: &Weak<Session>| self.connect(session, caller, Party::Many);
            self.sessions.stateless(self.opening(caller), connect)
        });
        Arc::clone(session)
    }

    fn opening(&self, caller: &Caller) -> Opening {
        Opening {
            transport: caller.transport,
            agent: Arc::clone(&self.options.agent),
            identity: Arc::clone(&self.options.identity),
        }
    }

    /// The upstream side of a session that is being made.
    fn connect(
        self: &Arc<Self>,
        session: &Weak<Session>,
        caller: &Caller,
        party: Party,
    ) -> Arc<dyn Connection> {
        if !matches!(party, Party::Many) {
            self.ports.metrics.session_opened(caller.transport);
        }
        let inbox = SessionInbox { router: Arc::downgrade(self), session: Weak::clone(session) };
        self.ports.upstream.connect(Arc::new(inbox), party)
    }

    /// Lets go of a session that had to make room, also at the server, which would otherwise keep any
    /// number of them. Its client may come back, and then the session is opened there again.
    fn evict(&self, evicted: Option<Arc<Session>>) {
        let Some(session) = evicted else { return };
        tracing::debug!(session = %session.id(), "the least recently used session makes room");
        self.ports.metrics.session_closed(session.age());
        in_background(async move { session.connection().close().await });
    }

    /// Ends a session here and upstream. Ending it again does nothing.
    pub async fn close(&self, session: &Arc<Session>) {
        if self.sessions.remove(session.token().expose()).is_some() {
            self.end(session).await;
        }
    }

    /// Ends a session that cannot go on at the server, so that the client opens a new one.
    pub(crate) fn end_if_lost(&self, session: &Arc<Session>, failure: &Failure) {
        if failure.kind == ErrorKind::SessionNotFound {
            self.discard(session);
        }
    }

    /// Ends a session at once here, and upstream without waiting for it.
    fn discard(&self, session: &Arc<Session>) {
        let Some(session) = self.sessions.remove(session.token().expose()) else { return };
        self.ports.metrics.session_closed(session.age());
        in_background(async move { session.connection().close().await });
    }

    /// Ends every session that outlived its limits.
    pub async fn sweep(&self) {
        self.end_all(self.sessions.sweep()).await;
    }

    /// Ends every session of this process. Those that the next one, or a replica, can go on with
    /// live on at the server.
    pub async fn close_all(&self) {
        let remove = |session: Arc<Session>| self.sessions.remove(session.token().expose());
        let sessions = self.sessions.all().into_iter().filter_map(remove).collect();
        if !self.sessions.outlive_process() {
            return self.end_all(sessions).await;
        }
        let left = stream::iter::<Vec<_>>(sessions);
        left.for_each_concurrent(ENDINGS, async |session: Arc<Session>| {
            self.ports.metrics.session_closed(session.age());
            session.connection().leave().await;
        })
        .await;
    }

    /// Ends sessions that were taken out of the table.
    async fn end_all(&self, sessions: Vec<Arc<Session>>) {
        let ended = stream::iter(sessions);
        ended.for_each_concurrent(ENDINGS, async |session| self.end(&session).await).await;
    }

    async fn end(&self, session: &Session) {
        self.ports.metrics.session_closed(session.age());
        session.connection().close().await;
    }

    /// Whether the sender of a message comes in with it: it opens a session, or belongs to none.
    pub(crate) fn comes_in(message: &Message, ticket: &Ticket) -> bool {
        let Ticket::Http(ticket) = ticket else { return false };
        let initializes =
            message.method() == Some(Method::Initialize) && message.kind() == Kind::Request;
        let stateless = ticket.era() == Era::Modern || message.era() == Era::Modern;
        stateless || (initializes && ticket.session.is_none())
    }

    /// The session that a message belongs to; `initialize` over Streamable HTTP opens one.
    pub(crate) fn identify(
        self: &Arc<Self>,
        message: &Message,
        caller: &Caller,
        ticket: &Ticket,
    ) -> Result<(Arc<Session>, Option<NewSession>), Failure> {
        let initializes =
            message.method() == Some(Method::Initialize) && message.kind() == Kind::Request;
        let (session, opened) = match ticket {
            Ticket::Session(session) if session.is_closed() => return Err(unknown_session()),
            Ticket::Session(session) => {
                envelope::check_version(message)?;
                check_opened(message, session)?;
                (Arc::clone(session), None)
            }
            Ticket::Http(ticket) if ticket.era() == Era::Modern || message.era() == Era::Modern => {
                ticket.check_stateless(message)?;
                return Ok((self.stateless(caller), None));
            }
            Ticket::Http(ticket) => {
                ticket.check_legacy()?;
                self.visited(ticket.session.as_deref(), initializes, caller)?
            }
        };
        session.touch();
        if initializes && !session.set_client(client::read(message.client_info())) {
            let text = "`initialize` was sent on this session before: open a new one";
            return Err(Failure::new(ErrorKind::InvalidRequest, text));
        }
        Ok((session, opened))
    }

    /// The session of an `Mcp-Session-Id`, or a new one for `initialize`.
    fn visited(
        self: &Arc<Self>,
        token: Option<&str>,
        initializes: bool,
        caller: &Caller,
    ) -> Result<(Arc<Session>, Option<NewSession>), Failure> {
        match token {
            Some(token) => {
                let session = self.find(token, caller).ok_or_else(unknown_session)?;
                Ok((session, None))
            }
            None if initializes => {
                let session = self.open_session(caller)?;
                let opened = NewSession {
                    router: Arc::clone(self),
                    session: Arc::clone(&session),
                    kept: false,
                };
                Ok((session, Some(opened)))
            }
            None => {
                let text = "`Mcp-Session-Id` is missing: send `initialize` first, then the id that \
                            its answer carries";
                Err(Failure::new(ErrorKind::BadTransport, text))
            }
        }
    }
}

/// Does what nobody waits for. Without a runtime there is nothing left that could talk to the server.
fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(work);
    }
}

/// Whether a request over a pipe comes after the `initialize` that it has to follow (2025-11-25,
/// "Initialization"). It need not wait for the answer: pipes keep the order.
fn check_opened(message: &Message, session: &Session) -> Result<(), Failure> {
    let may_be_first = message.kind() != Kind::Request
        || message.era() == Era::Modern
        || matches!(message.method(), Some(Method::Initialize | Method::Ping));
    if may_be_first || session.client().is_some() {
        return Ok(());
    }
    let text = "no session is open yet: send `initialize` first";
    Err(Failure::new(ErrorKind::InvalidRequest, text))
}

fn unknown_session() -> Failure {
    let text = "the session is unknown or has ended: send `initialize` to open a new one";
    Failure::new(ErrorKind::SessionNotFound, text)
}

/// A session that lasts only if `initialize` succeeds. Dropping it ends the session, so that a client
/// which is denied, fails or goes away leaves none behind.
pub(crate) struct NewSession {
    router: Arc<Router>,
    session: Arc<Session>,
    kept: bool,
}

impl NewSession {
    /// What the client will name the session by.
    pub(crate) fn token(&self) -> SessionToken {
        self.session.token().clone()
    }

    /// The session lasts, under a token that tells any replica how to go on with it.
    pub(crate) fn keep(mut self) -> SessionToken {
        self.kept = true;
        match self.session.connection().handshake() {
            Some(handshake) => self.router.sessions.announce(&self.session, &handshake),
            None => self.token(),
        }
    }
}

impl Drop for NewSession {
    fn drop(&mut self) {
        if !self.kept {
            self.router.discard(&self.session);
        }
    }
}
