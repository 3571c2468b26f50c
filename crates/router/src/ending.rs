//! How a message ends: each way closes its entry and gives what its sender is told.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Decision, ErrorKind, Failure};
use protocol::{Era, ParseError, RequestId};

use crate::entry::Entry;
use crate::reply::{Reply, Told};
use crate::{Caller, Router};

impl Entry {
    /// With an answer of the server.
    pub(crate) fn reply(&mut self, body: &Bytes) {
        self.answered(body.len());
        self.close(None);
    }

    /// Without an answer, because none is due.
    pub(crate) fn accept(mut self) -> Reply {
        self.close(None);
        Reply::accepted()
    }

    /// With a denial, answered under that id.
    pub(crate) fn deny(mut self, id: Option<&str>, decision: &Decision) -> Reply {
        match id {
            Some(id) => {
                let body = self.deny_with_body(id, decision);
                Reply::error(denial(decision), self.era(), body)
            }
            None => {
                self.close(Some(denial(decision)));
                Reply::accepted()
            }
        }
    }

    /// With a denial; gives the JSON-RPC error for it.
    pub(crate) fn deny_with_body(&mut self, id: &str, decision: &Decision) -> Bytes {
        let kind = denial(decision);
        let message = match (kind, decision.reasons.first()) {
            (ErrorKind::PolicyError, _) => "denied: the policy could not be evaluated",
            (_, Some(reason)) => reason.message.as_str(),
            (_, None) => "denied by policy",
        };
        let told = Told { kind, message, data: None, decision: Some((decision, self.mode())) };
        let body = told.body(Some(id), self.era(), self.trace());
        self.answered(body.len());
        self.close(Some(kind));
        body
    }

    /// With a failure, answered under that id. Without one nobody waits: a status of success then
    /// says all.
    pub(crate) fn fail(mut self, id: Option<&str>, failure: &Failure) -> Reply {
        if id.is_none() && failure.kind.http_status() == 200 {
            self.give_up(failure);
            return Reply::accepted();
        }
        let body = self.fail_with_body(id, failure);
        Reply::error(failure.kind, self.era(), body)
    }

    /// With a failure; gives the JSON-RPC error for it.
    pub(crate) fn fail_with_body(&mut self, id: Option<&str>, failure: &Failure) -> Bytes {
        let body = Told::of(failure).body(id, self.era(), self.trace());
        self.answered(body.len());
        self.give_up(failure);
        body
    }

    /// With a failure that its sender is not told.
    pub(crate) fn give_up(&mut self, failure: &Failure) {
        self.note(&failure.detail);
        self.close(Some(failure.kind));
    }

    /// With a refusal of the transport, always answered.
    pub(crate) fn refuse(mut self, failure: &Failure, status: Option<u16>) -> Reply {
        let body = self.fail_with_body(None, failure);
        let reply = Reply::error(failure.kind, self.era(), body);
        Reply { status: status.unwrap_or(reply.status), ..reply }
    }

    /// Because it could not be read.
    pub(crate) fn refuse_unread(mut self, error: &ParseError) -> Reply {
        let failure = Failure::from(error);
        let id = error.id.as_ref().map(RequestId::as_raw);
        let body = self.fail_with_body(id, &failure);
        let mut reply = Reply::error(failure.kind, self.era(), body);
        if id.is_none() {
            // No client finds an answer without an id: the status has to say it.
            reply.status = 400;
        }
        reply
    }
}

/// The kind under which a denial is reported.
pub(crate) fn denial(decision: &Decision) -> ErrorKind {
    decision.denial().unwrap_or(ErrorKind::PolicyError)
}

impl Router {
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
            Ok(mut entry) => {
                if failure.kind == ErrorKind::HeaderMismatch {
                    // Only the stateless era has such headers.
                    entry.speaks(Era::Modern);
                }
                entry.refuse(&failure, status)
            }
            Err(unrecorded) => unrecorded.reply(None),
        }
    }
}
