//! How a message ends: each way closes its entry and gives what its sender is told.

use std::sync::Arc;

use bytes::Bytes;
use domain::{ErrorKind, Failure, Stage};
use protocol::{Era, Method, ParseError, RequestId, encode};

use crate::entry::Entry;
use crate::reply::Reply;
use crate::ruling::{Ruling, Stop};
use crate::told::Told;
use crate::{Caller, Router};

/// What servers say of a resource that is not there (until 2025-11-25, "Resources", "Error Handling").
const RESOURCE_NOT_FOUND: i32 = -32002;

/// What the sender of a denied request is answered.
pub(crate) struct Denial {
    pub(crate) body: Bytes,
    /// The kind of the error, unless it is told as a result.
    pub(crate) error: Option<ErrorKind>,
}

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

    /// With what stops the message, answered under that id.
    pub(crate) fn stop(self, id: Option<&str>, stop: &Stop) -> Reply {
        match stop {
            Stop::Denied(ruling) => self.deny(id, ruling),
            Stop::Failed(failure) => self.fail(id, failure),
        }
    }

    /// With a denial, answered under that id.
    pub(crate) fn deny(mut self, id: Option<&str>, ruling: &Ruling) -> Reply {
        let Some(id) = id else {
            self.close(Some(ruling.kind()));
            return Reply::accepted();
        };
        match self.deny_with_body(id, ruling) {
            Denial { body, error: Some(kind) } => Reply::error(kind, self.era(), body),
            Denial { body, error: None } => Reply::json(body),
        }
    }

    /// With a denial; gives what is answered under that id.
    pub(crate) fn deny_with_body(&mut self, id: &str, ruling: &Ruling) -> Denial {
        let denial = self.denial(id, ruling);
        self.answered(denial.body.len());
        self.close(Some(ruling.kind()));
        denial
    }

    /// With a denial of a connection, always answered.
    pub(crate) fn turn_away(mut self, ruling: &Ruling, status: u16) -> Reply {
        let told = Told::denial(ruling, self.trace(), self.mode());
        let body = told.body(None, self.era(), self.trace());
        self.answered(body.len());
        self.close(Some(ruling.kind()));
        Reply { status, ..Reply::json(body) }
    }

    fn denial(&mut self, id: &str, ruling: &Ruling) -> Denial {
        let (era, trace) = (self.era(), self.trace());
        let options = self.options();
        let (hides, as_result) = (options.hide_denied, options.deny_as_tool_error);
        if hides
            && ruling.hold.is_none()
            && let Some((code, text)) = self.unknown()
        {
            let body = encode::error_reply(Some(id), code, &text, None);
            return Denial { body, error: Some(ErrorKind::InvalidParams) };
        }
        let told = Told::denial(ruling, trace, self.mode());
        if as_result && self.method() == Method::ToolsCall && ruling.deny_as().is_none() {
            return Denial { body: told.tool_error(id, era), error: None };
        }
        Denial { body: told.body(Some(id), era, trace), error: Some(ruling.kind()) }
    }

    /// Code and message for a request that uses what is not there.
    fn unknown(&mut self) -> Option<(i32, String)> {
        let (era, method) = (self.era(), self.method());
        let event = self.event().filter(|event| event.stage == Stage::Request)?;
        let invalid = ErrorKind::InvalidParams.code();
        if let Some(tool) = &event.tool {
            return Some((invalid, format!("Unknown tool: {tool}")));
        }
        if let Some(prompt) = &event.prompt {
            return Some((invalid, format!("Unknown prompt: {prompt}")));
        }
        // 2026-07-28 has no code of its own for it.
        let code = if era == Era::Modern { invalid } else { RESOURCE_NOT_FOUND };
        (method == Method::ResourcesRead).then(|| (code, "Resource not found".to_owned()))
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
