//! One pair of pipes for all sessions: stateless messages (2026-07-28) need no more.
//!
//! It is made for the first session that sends one, and ends with the last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use domain::{BoxFuture, Inbox, lock};
use protocol::Message;

use super::{Dialler, Duplex};
use crate::ledger::{Lane, Updates};
use crate::protocol_errors::ProtocolErrors;
use crate::server::{Shared, boxed};
use crate::session::Owner;

/// The place of such a pair of pipes.
#[derive(Default)]
pub(crate) struct SharedPipes(Mutex<InUse>);

#[derive(Default)]
struct InUse {
    sessions: usize,
    duplex: Option<Arc<Duplex>>,
}

impl SharedPipes {
    /// Lets one more session use the pipes.
    pub(crate) fn lease(self: &Arc<Self>, shared: &Arc<Shared>, dialler: Dialler) -> Lease {
        let mut in_use = lock(&self.0);
        in_use.sessions += 1;
        let make = || {
            let nobody = Nobody(Arc::clone(shared.protocol_errors()));
            let owner = Owner::new(Arc::clone(shared), Arc::new(nobody), None);
            Duplex::new(&owner, dialler, Updates::Passing)
        };
        let duplex = Arc::clone(in_use.duplex.get_or_insert_with(make));
        Lease { pipes: Arc::clone(self), duplex, ended: AtomicBool::new(false) }
    }
}

/// A session's use of the pipes. Dropping it ends them if it was the last.
pub(crate) struct Lease {
    pipes: Arc<SharedPipes>,
    duplex: Arc<Duplex>,
    ended: AtomicBool,
}

impl Lease {
    /// The pipes.
    pub(crate) fn duplex(&self) -> &Arc<Duplex> {
        &self.duplex
    }

    /// Ends what the session has in flight, and the pipes if nobody else uses them.
    pub(crate) async fn close(&self, lane: Lane) {
        self.duplex.leave(lane);
        if self.end() {
            self.duplex.close().await;
        }
    }

    /// Whether this was the last use.
    fn end(&self) -> bool {
        if self.ended.swap(true, Ordering::Relaxed) {
            return false;
        }
        let mut in_use = lock(&self.pipes.0);
        in_use.sessions -= 1;
        in_use.sessions == 0 && in_use.duplex.take().is_some()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.end() {
            self.duplex.stop.cancel();
        }
    }
}

/// Takes what belongs to no request: without a session there is nobody to give it to.
struct Nobody(Arc<ProtocolErrors>);

impl Inbox for Nobody {
    fn deliver(&self, _message: Message) -> BoxFuture<'_, ()> {
        self.0.note("belongs to no request, and there is no session");
        boxed(std::future::ready(()))
    }
}
