//! Stateless clients at a server with sessions: 2026-07-28 towards `initialize` … 2025-11-25.
//!
//! Clients that declare the same capabilities share a session at the server. `server/discover` is
//! answered from its opening; what the server asks during a call becomes `input_required`, and the
//! call waits, under way at the server, until the retry brings the answers. Log lines and
//! notifications reach those who asked for them.
//!
//! Invariants: all that is kept belongs to one connection of the router, hence to one principal; it
//! is bounded (sessions, calls that wait, streams, queues), and swept by the injected clock. Nothing
//! is asked of a client that it did not declare.
//!
//! What has no counterpart is refused: tasks of 2026-07-28, methods that 2026-07-28 removed, and
//! requests of the server outside of any call, or while it cannot be told of which. A call that
//! waits is lost when the gateway restarts.

mod call;
mod input;
mod listen;
mod opening;
mod parked;
mod pool;
mod session;
mod translate;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::{Answer, Clock, ErrorKind, Failure, Permit, Upstream};
use protocol::{Kind, Message, Method, ProtocolVersion};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::call::Call;
use self::parked::Parked;
use self::pool::Pool;
use self::session::Lease;
use crate::ask::{no_such_method, reply};
use crate::calls::{Calls, UnderWay};

/// What earlier revisions have and this one has not.
const REMOVED: [Method; 7] = [
    Method::Initialize,
    Method::Ping,
    Method::SetLevel,
    Method::ResourcesSubscribe,
    Method::ResourcesUnsubscribe,
    Method::TasksList,
    Method::TasksResult,
];

/// What this revision has another design of.
const TASKS: [Method; 3] = [Method::TasksGet, Method::TasksUpdate, Method::TasksCancel];

/// How often is looked for what nobody needs any more.
const SWEEP: Duration = Duration::from_secs(30);

/// One stateless client, or those of one principal, at a server with sessions.
pub(crate) struct ModernClient {
    kept: Arc<Kept>,
    /// The requests of one client, by its ids; those of many are cancelled by dropping them.
    calls: Option<Calls>,
    stop: CancellationToken,
    sweeping: AtomicBool,
    version: OnceLock<ProtocolVersion>,
}

/// What is kept between requests.
struct Kept {
    pool: Pool,
    parked: Arc<Parked>,
}

impl ModernClient {
    /// Opens nothing yet. Requests of `many` clients may have equal ids.
    pub(crate) fn new(raw: Arc<dyn Upstream>, many: bool, clock: Arc<dyn Clock>) -> Self {
        let parked = Parked::new(Arc::clone(&clock));
        Self {
            kept: Arc::new(Kept { pool: Pool::new(raw, clock), parked }),
            calls: (!many).then(Calls::default),
            stop: CancellationToken::new(),
            sweeping: AtomicBool::new(false),
            version: OnceLock::new(),
        }
    }

    /// Passes on a message of 2026-07-28, as far as a server with sessions has a counterpart.
    ///
    /// # Errors
    ///
    /// As [`domain::Connection::send`]; `MethodNotFound`, `NotBridged` and `InvalidParams` for what
    /// cannot be passed on.
    pub(crate) async fn send(&self, permit: Permit, message: Message) -> Result<Answer, Failure> {
        if message.kind() != Kind::Request {
            self.notice(&message);
            return Ok(Answer::Accepted);
        }
        let under_way = match &self.calls {
            Some(calls) => calls.enter(&message, &self.stop)?,
            None => UnderWay::nameless(&self.stop),
        };
        under_way.answer(self.request(permit, message)).await
    }

    /// Gives up the call that waits for the client's answers to this response, which did not reach
    /// the client; the server is told why.
    pub(crate) fn dismiss(&self, required: &Message, failure: &Failure) {
        self.kept.parked.dismiss(required, failure);
    }

    /// The server needs no sessions any more: streams of notifications end well, so that their
    /// clients open them there, and sessions end when nobody uses them.
    pub(crate) fn retire(&self) {
        self.kept.pool.retire();
    }

    /// Ends the sessions at the server, and all that waits.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.kept.parked.close();
        self.kept.pool.close().await;
    }

    /// The revision that the server settled on.
    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.version.get().copied()
    }

    async fn request(&self, permit: Permit, message: Message) -> Result<Answer, Failure> {
        let Some(method) = message.method() else { return Ok(Answer::Accepted) };
        if REMOVED.contains(&method) {
            return Err(no_such_method(method.as_str(), "MCP 2026-07-28"));
        }
        if TASKS.contains(&method) {
            let text = "the server speaks an earlier revision of MCP, whose tasks are not those of \
                        2026-07-28: it runs none for this client";
            return Err(Failure::new(ErrorKind::NotBridged, text).unsent());
        }
        self.sweep_from_now_on();
        let asking = method.may_require_input();
        if asking && message.request_state().is_some() {
            let mut call = self.kept.parked.claim(&message).await?;
            call.resume(permit, &message).await?;
            return call.run(&self.kept.parked).await;
        }
        let declared = message.client_capabilities().unwrap_or("{}");
        let lease = self.kept.pool.lease(declared, asking, &permit)?;
        self.open(&lease, &message).await?;
        if method == Method::ServerDiscover {
            let offer = lease.session().offer().map(|offer| &*offer.discovery);
            reply(&message, offer.unwrap_or("{}"))
        } else if method == Method::SubscriptionsListen {
            listen::listen(lease, &message).await
        } else {
            Call::new(lease, permit, &message).await?.run(&self.kept.parked).await
        }
    }

    /// Opens the session of a lease, if it is not open.
    async fn open(&self, lease: &Lease, message: &Message) -> Result<(), Failure> {
        let session = lease.session();
        match session.opened(message.client_info()).await {
            Ok(opened) => {
                self.version.get_or_init(|| opened.version);
                Ok(())
            }
            Err(failure) => {
                self.kept.pool.give_up(session);
                Err(failure)
            }
        }
    }

    fn notice(&self, message: &Message) {
        match (&self.calls, message.method()) {
            (Some(calls), Some(Method::Cancelled)) => calls.cancel(message),
            _ => tracing::debug!(method = %message.method_name(), "dropped: nothing to tell"),
        }
    }

    fn sweep_from_now_on(&self) {
        if self.sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        let (kept, stop) = (Arc::downgrade(&self.kept), self.stop.clone());
        let sweeping = async move {
            loop {
                sleep(SWEEP).await;
                let Some(kept) = kept.upgrade() else { return };
                kept.parked.sweep();
                kept.pool.sweep();
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(sweeping).await });
    }
}

impl Drop for ModernClient {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
