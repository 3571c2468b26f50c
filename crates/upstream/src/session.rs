//! The upstream side of one client session: finds the way with the first message, then keeps to it.
//! Messages of the two eras have each their own.

mod link;
mod miss;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use domain::{Answer, BoxFuture, Connection, Failure, Handshake, Inbox, Party, Permit};
use protocol::{Era, Kind, Message, Method, ProtocolVersion, encode};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::link::Link;
pub(crate) use self::miss::Miss;
use crate::failure;
use crate::ledger::{Lane, Ledger, Updates};
use crate::parcel::Parcel;
use crate::questions::{Questions, Watched};
use crate::server::{Shared, boxed};
use crate::tools::SeenTools;

/// Ids of a session that another replica may go on with begin somewhere below this, so that theirs
/// and ours differ, and doubles hold them exactly.
const RESUMED_IDS: u64 = 1 << 52;

/// One client session's connection to the server.
pub(crate) struct Session {
    owner: Owner,
    lane: Lane,
    /// The way of messages that belong to a session at the server.
    legacy: OnceLock<Link>,
    /// The way of messages that need none.
    modern: OnceLock<Link>,
    /// Whether the server answered such a message.
    spoke_modern: AtomicBool,
    /// Held while a way is being found.
    finding: Mutex<()>,
    /// Whether the client has a stream for what the server says outside of answers.
    wanted: AtomicBool,
}

/// What a link needs of the session it belongs to.
pub(crate) struct Owner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) tools: Arc<SeenTools>,
    /// What the server asked the client and waits for.
    pub(crate) questions: Arc<Questions>,
    /// Whether any number of clients send over it, none of which may hold up another.
    pub(crate) many: bool,
    /// What a session goes on from that was opened elsewhere.
    pub(crate) handshake: Option<Handshake>,
    /// Ends all background work.
    pub(crate) stop: CancellationToken,
}

impl Owner {
    /// An owner of links that have sent nothing.
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: Arc<dyn Inbox>,
        handshake: Option<Handshake>,
    ) -> Self {
        let (tools, stop) = (SeenTools::new(&inbox), CancellationToken::new());
        let questions = Arc::<Questions>::default();
        let inbox = Arc::new(Watched { inbox, questions: Arc::clone(&questions) });
        Self { shared, inbox, tools, questions, many: false, handshake, stop }
    }

    /// A table of requests in flight.
    pub(crate) fn ledger(&self, updates: Updates) -> Arc<Ledger> {
        let base = self.handshake.as_ref().map_or(0, |_| fastrand::u64(..RESUMED_IDS));
        Ledger::new(self.shared.protocol_errors(), updates, base)
    }
}

impl Session {
    /// A session that has sent nothing.
    pub(crate) fn new(shared: Arc<Shared>, inbox: Arc<dyn Inbox>, party: Party) -> Self {
        let one_client = !matches!(party, Party::Many);
        let handshake = match party {
            Party::Resumed(handshake) => Some(*handshake),
            Party::One | Party::Many => None,
        };
        let lane = Lane { session: shared.session(), one_client };
        let owner = Owner::new(shared, inbox, handshake);
        let only = <[Link; 1]>::try_from(Link::resumed(&owner)).ok();
        Self {
            lane,
            owner,
            legacy: only.map_or_else(OnceLock::new, |[link]| OnceLock::from(link)),
            modern: OnceLock::new(),
            spoke_modern: AtomicBool::new(false),
            finding: Mutex::default(),
            wanted: AtomicBool::new(false),
        }
    }

    /// Passes a message on, and learns from the opening whether the server speaks MCP.
    async fn pass_on(&self, message: Parcel<'_>) -> Result<Answer, Failure> {
        let passed = self.find_and_send(message).await;
        let shared = &self.owner.shared;
        match (message.method(), &passed) {
            (Some(Method::Initialize | Method::ServerDiscover), Ok(Answer::Message(_))) => {
                shared.spoke();
            }
            (Some(Method::Initialize), Err(failure)) if failure::is_refusal(failure) => {
                shared.not_mcp(failure);
            }
            // A stream tells with its response, a broken connection where it broke.
            (_, _) => {}
        }
        let answer = passed?;
        match message.era() {
            Era::Legacy => return Ok(self.owner.tools.watch(&message, answer)),
            Era::Modern if !self.spoke_modern.load(Ordering::Relaxed) => {
                let spoke =
                    !matches!(&answer, Answer::Message(answer) if answer.kind() == Kind::Error);
                self.spoke_modern.store(spoke, Ordering::Relaxed);
            }
            Era::Modern => {}
        }
        Ok(answer)
    }

    /// Where the way of a message is kept. What is no request has no era, and goes where the
    /// requests went.
    fn way(&self, message: &Message) -> &OnceLock<Link> {
        let stateless = self.legacy.get().is_none() && self.modern.get().is_some();
        let modern = message.era() == Era::Modern || (message.kind() != Kind::Request && stateless);
        if modern { &self.modern } else { &self.legacy }
    }

    async fn find_and_send(&self, message: Parcel<'_>) -> Result<Answer, Failure> {
        if self.owner.stop.is_cancelled() {
            return Err(failure::closed().unsent());
        }
        let way = self.way(&message);
        if let Some(link) = way.get() {
            return link.send(self.lane, message).await;
        }
        // Stateless clients owe each other nothing, and do not wait for each other.
        let alone = self.lane.one_client || message.era() == Era::Legacy;
        let finding = if alone { Some(self.finding.lock().await) } else { None };
        if way.get().is_none()
            && let Some(answer) = self.find_or_stop(way, message).await?
        {
            return Ok(answer);
        }
        drop(finding);
        let link = way.get().ok_or_else(|| failure::closed().unsent())?;
        link.send(self.lane, message).await
    }

    async fn find_or_stop(
        &self,
        way: &OnceLock<Link>,
        message: Parcel<'_>,
    ) -> Result<Option<Answer>, Failure> {
        let found = self.owner.stop.run_until_cancelled(Box::pin(self.find(way, message))).await;
        found.unwrap_or_else(|| Err(failure::closed()))
    }

    /// Tries the routes until one is open; then there may be the answer. A failure counts as unsent
    /// only if no route took the message.
    async fn find(
        &self,
        way: &OnceLock<Link>,
        message: Parcel<'_>,
    ) -> Result<Option<Answer>, Failure> {
        let (mut first, mut unsent) = (None, true);
        for (index, route) in self.owner.shared.routes() {
            let link = Link::new(&self.owner, index, route, message.era());
            let Some(link) = link else { continue };
            match link.open(self.lane, message).await {
                Err(Miss::NotHere(failure)) => {
                    unsent &= failure.unsent;
                    tracing::debug!(error = %failure, "not this way, trying the next");
                    first.get_or_insert(failure);
                }
                Err(Miss::Failed(failure) | Miss::NotTaken(failure)) => {
                    unsent &= failure.unsent;
                    return Err(Failure { unsent, ..failure });
                }
                Ok(answer) => {
                    self.owner.shared.found(index);
                    let link = way.get_or_init(|| link);
                    if self.wanted.load(Ordering::SeqCst) {
                        link.listen();
                    }
                    return Ok(answer);
                }
            }
        }
        Err(Failure { unsent, ..first.unwrap_or_else(failure::closed) })
    }
}

impl Connection for Session {
    fn send(&self, permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        if matches!(message.kind(), Kind::Response | Kind::Error) {
            self.owner.questions.answered(message.id());
        }
        boxed(async move { self.pass_on(Parcel::new(&permit, &message)).await })
    }

    fn refuse<'a>(&'a self, request: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()> {
        self.owner.questions.answered(request.id());
        boxed(async move {
            let id = request.id().filter(|_| request.kind() == Kind::Request);
            // Servers have requests only within a session.
            let (Some(id), Some(link)) = (id, self.legacy.get()) else { return };
            let code = failure.kind.code();
            let body = encode::error_reply(Some(id), code, &failure.message, None);
            if let Err(lost) = link.reply(body).await {
                tracing::debug!(error = %lost, "a refusal did not reach the server");
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        boxed(async {
            let unused = self.legacy.get().is_none() && !self.owner.stop.is_cancelled();
            self.owner.stop.cancel();
            for link in [&self.legacy, &self.modern].into_iter().filter_map(OnceLock::get) {
                link.close(self.lane).await;
            }
            if unused {
                // A session that was opened elsewhere ends at the server, wherever that is.
                for link in Link::resumed(&self.owner) {
                    link.close(self.lane).await;
                }
            }
        })
    }

    fn listen(&self) -> BoxFuture<'_, ()> {
        boxed(async {
            self.wanted.store(true, Ordering::SeqCst);
            if let Some(link) = self.legacy.get() {
                link.listen();
            }
        })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        boxed(async {
            self.owner.stop.cancel();
            for link in [&self.legacy, &self.modern].into_iter().filter_map(OnceLock::get) {
                link.leave(self.lane).await;
            }
        })
    }

    fn handshake(&self) -> Option<Handshake> {
        self.legacy.get().and_then(Link::handshake)
    }

    fn version(&self) -> Option<ProtocolVersion> {
        let modern = self.spoke_modern.load(Ordering::Relaxed);
        let settled = self.legacy.get().and_then(Link::version);
        settled.or_else(|| modern.then_some(ProtocolVersion::V2026_07_28))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.owner.stop.cancel();
    }
}
