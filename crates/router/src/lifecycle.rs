//! Sessions: who opens one, how a message finds its own, and how it ends.

use std::sync::{Arc, Weak};

use domain::{ErrorKind, Failure, SessionToken};
use futures_util::{StreamExt, stream};
use protocol::{Kind, Message, Method};
use session::{Client, Opening, Session};
use tokio::runtime::Handle;

use crate::inbox::SessionInbox;
use crate::reply::Reply;
use crate::{Caller, Router, Ticket};

/// How many sessions are ended at once: each may wait for its server.
const ENDINGS: usize = 64;

/// How much of what a client calls itself is kept, in bytes.
const CLIENT_BYTES: usize = 256;

impl Router {
    /// Opens a session with its upstream side.
    ///
    /// # Errors
    ///
    /// `Overloaded` when the limit of sessions is reached.
    pub fn open(self: &Arc<Self>, caller: &Caller) -> Result<Arc<Session>, Failure> {
        let opening = Opening {
            transport: caller.transport,
            agent: Arc::clone(&self.options.agent),
            identity: Arc::clone(&self.options.identity),
        };
        let session = self.sessions.open(opening, |session: &Weak<Session>| {
            self.ports.upstream.connect(Arc::new(SessionInbox {
                router: Arc::downgrade(self),
                session: Weak::clone(session),
            }))
        })?;
        self.ports.metrics.session_opened(caller.transport);
        Ok(session)
    }

    /// The live session of that token.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<Arc<Session>> {
        self.sessions.get(token)
    }

    /// Ends a session here and upstream. Ending it again does nothing.
    pub async fn close(&self, session: &Arc<Session>) {
        if self.sessions.remove(session.token().expose()).is_some() {
            self.end(session).await;
        }
    }

    /// Ends a session that the server knows no more, so that the client opens a new one.
    pub(crate) fn end_if_forgotten(&self, session: &Arc<Session>, failure: &Failure) {
        if failure.kind == ErrorKind::SessionNotFound {
            self.discard(session);
        }
    }

    /// Ends a session at once here, and upstream without waiting for it.
    fn discard(&self, session: &Arc<Session>) {
        let Some(session) = self.sessions.remove(session.token().expose()) else { return };
        self.ports.metrics.session_closed(session.age());
        // Without a runtime there is nothing left that could talk to the server.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { session.connection().close().await });
        }
    }

    /// Ends every session that outlived its limits.
    pub async fn sweep(&self) {
        self.end_all(self.sessions.sweep()).await;
    }

    /// Ends every session.
    pub async fn close_all(&self) {
        let remove = |session: Arc<Session>| self.sessions.remove(session.token().expose());
        self.end_all(self.sessions.all().into_iter().filter_map(remove).collect()).await;
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

    /// Replies to what a transport refuses on its own (too large, forbidden, a bad header), and
    /// records it. `status` is that of the reply where the one of the kind is not exact enough.
    pub async fn refuse(
        self: &Arc<Self>,
        caller: &Caller,
        failure: Failure,
        status: Option<u16>,
        size: usize,
    ) -> Reply {
        match self.open_entry(caller, size).await {
            Ok(entry) => entry.refuse(&failure, status),
            Err(unrecorded) => unrecorded.reply(None),
        }
    }

    /// The session that a message belongs to; `initialize` over Streamable HTTP opens one.
    pub(crate) fn identify(
        self: &Arc<Self>,
        message: &Message,
        caller: &Caller,
        ticket: Ticket,
    ) -> Result<(Arc<Session>, Option<NewSession>), Failure> {
        let initializes =
            message.method() == Some(Method::Initialize) && message.kind() == Kind::Request;
        let (session, opened) = match ticket {
            Ticket::Session(session) if session.is_closed() => return Err(unknown_session()),
            Ticket::Session(session) => (session, None),
            Ticket::Header(None) if initializes => {
                let session = self.open(caller)?;
                (
                    Arc::clone(&session),
                    Some(NewSession { router: Arc::clone(self), session, kept: false }),
                )
            }
            Ticket::Header(None) => {
                let text = "`Mcp-Session-Id` is missing: send `initialize` first, then the id that \
                            its answer carries";
                return Err(Failure::new(ErrorKind::BadTransport, text));
            }
            Ticket::Header(Some(token)) => (self.find_for(&token, caller)?, None),
        };
        session.touch();
        if initializes && !session.set_client(read_client(message.client_info())) {
            let text = "`initialize` was sent on this session before: open a new one";
            return Err(Failure::new(ErrorKind::InvalidRequest, text));
        }
        Ok((session, opened))
    }

    fn find_for(&self, token: &str, caller: &Caller) -> Result<Arc<Session>, Failure> {
        let session = self.find(token);
        session
            .filter(|session| session.transport() == caller.transport)
            .ok_or_else(unknown_session)
    }
}

fn unknown_session() -> Failure {
    let text = "the session is unknown or has ended: send `initialize` to open a new one";
    Failure::new(ErrorKind::SessionNotFound, text)
}

/// The client's account of itself in `initialize`; what does not fit is left empty.
fn read_client(client_info: Option<&str>) -> Client {
    let info: serde_json::Value =
        client_info.and_then(|info| serde_json::from_str(info).ok()).unwrap_or_default();
    let text = |member: &str| {
        let text = info.get(member).and_then(serde_json::Value::as_str).unwrap_or_default();
        text.get(..text.floor_char_boundary(CLIENT_BYTES)).unwrap_or_default().into()
    };
    Client { name: text("name"), version: text("version") }
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

    /// The session lasts.
    pub(crate) fn keep(mut self) -> SessionToken {
        self.kept = true;
        self.token()
    }
}

impl Drop for NewSession {
    fn drop(&mut self) {
        if !self.kept {
            self.router.discard(&self.session);
        }
    }
}
