//! How a message ends: each way closes its entry and gives what its sender is told.

use bytes::Bytes;
use domain::{Decision, ErrorKind, Failure};
use protocol::{ParseError, ParseErrorKind, RequestId};

use crate::entry::Entry;
use crate::reply::{Reply, error_body};

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
                let kind = denial(decision);
                let body = self.deny_with_body(id, decision);
                Reply::error(kind, body)
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
        let decided = Some((decision, self.mode()));
        let body = error_body(Some(id), kind, message, decided, self.trace());
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
        Reply::error(failure.kind, body)
    }

    /// With a failure; gives the JSON-RPC error for it.
    pub(crate) fn fail_with_body(&mut self, id: Option<&str>, failure: &Failure) -> Bytes {
        let body = error_body(id, failure.kind, &failure.message, None, self.trace());
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
        let reply = Reply::error(failure.kind, body);
        Reply { status: status.unwrap_or(reply.status), ..reply }
    }

    /// Because it could not be read.
    pub(crate) fn refuse_unread(mut self, error: &ParseError) -> Reply {
        let kind = match error.kind {
            ParseErrorKind::Syntax => ErrorKind::ParseError,
            ParseErrorKind::InvalidRequest => ErrorKind::InvalidRequest,
            ParseErrorKind::InvalidParams => ErrorKind::InvalidParams,
        };
        let id = error.id.as_ref().map(RequestId::as_raw);
        let body = self.fail_with_body(id, &Failure::new(kind, error.to_string()));
        let mut reply = Reply::error(kind, body);
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
