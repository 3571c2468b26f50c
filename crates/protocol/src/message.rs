//! One validated JSON-RPC message: the bytes, and the places in them.

mod era;
mod parse;

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;

use crate::{Method, ParamHeader, ParseError, RequestId, scan::Span, text};

/// The four shapes of a JSON-RPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Has `method` and `id`.
    Request,
    /// Has `method` and no `id`.
    Notification,
    /// Has `result`.
    Response,
    /// A response that has `error` instead.
    Error,
}

/// One validated message. Cheap to clone; every accessor that returns raw JSON returns a slice of
/// [`Message::bytes`].
#[derive(Clone, Debug)]
pub struct Message {
    text: ByteString,
    kind: Kind,
    method: Option<Method>,
    parts: Parts,
    /// `None` rather than empty, which would allocate.
    param_headers: Option<Arc<[ParamHeader]>>,
}

/// Places of tokens, strings with their quotes. Absent when the message has no such member, or when
/// that member means nothing in a message of its method.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    id: Span,
    method: Span,
    params: Span,
    name: Span,
    uri: Span,
    arguments: Span,
    meta: Span,
    progress_token: Span,
    cancelled_id: Span,
    protocol_version: Span,
    envelope_version: Span,
    client_info: Span,
    client_capabilities: Span,
    log_level: Span,
    input_responses: Span,
    request_state: Span,
    task: Span,
    task_id: Span,
    notifications: Span,
    subscription_id: Span,
    result: Span,
    result_type: Span,
    input_requests: Span,
    error: Span,
    error_code: Span,
}

/// What [`Message::rewrite`] puts in place of the message's own tokens: raw JSON; `None` leaves the
/// token as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrite<'a> {
    /// In place of [`Message::id`].
    pub id: Option<&'a str>,
    /// In place of [`Message::cancelled_id`].
    pub cancelled_id: Option<&'a str>,
    /// In place of [`Message::result`].
    pub result: Option<&'a str>,
    /// In place of [`Message::progress_token`].
    pub progress_token: Option<&'a str>,
    /// In place of [`Message::subscription_id`].
    pub subscription_id: Option<&'a str>,
}

impl Message {
    /// Validates one message: strict JSON, an unambiguous JSON-RPC 2.0 envelope, and the members of
    /// `params` that decide what the message does. Its size is the transport's to bound.
    ///
    /// # Errors
    ///
    /// What is wrong, what kind of answer it calls for, and the message's id whenever that could
    /// still be read.
    pub fn parse(bytes: Bytes) -> Result<Self, ParseError> {
        parse::parse(bytes)
    }

    /// The same message in memory of its own, for whoever keeps it longer than the buffer that it was
    /// read into.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { text: ByteString::from(self.text.to_string()), ..self.clone() }
    }

    /// Request, notification, response or error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The body as it was received.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.text.as_bytes()
    }

    /// The id token exactly as written; `None` for notifications, and for errors whose id is null.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.parts.id.of(&self.text)
    }

    /// The id, owned, comparable and hashable.
    #[must_use]
    pub fn request_id(&self) -> Option<RequestId> {
        self.id().map(RequestId::from_token)
    }

    /// The method; `None` for responses.
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        self.method
    }

    /// The method's name, decoded; empty for responses. Matches `[A-Za-z0-9_/.$-]{1,256}`
    /// otherwise.
    #[must_use]
    pub fn method_name(&self) -> Cow<'_, str> {
        self.string(self.parts.method).unwrap_or_default()
    }

    /// `params`, an object as raw JSON.
    #[must_use]
    pub fn params(&self) -> Option<&str> {
        self.parts.params.of(&self.text)
    }

    /// `params.name`, decoded, if it is a string. Never empty for `tools/call` and `prompts/get`.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'_, str>> {
        self.string(self.parts.name)
    }

    /// `params.uri`, decoded, if it is a string. Never empty for `resources/read`, `subscribe` and
    /// `unsubscribe`.
    #[must_use]
    pub fn uri(&self) -> Option<Cow<'_, str>> {
        self.string(self.parts.uri)
    }

    /// `params.arguments` as raw JSON; an object for `tools/call` and `prompts/get`.
    #[must_use]
    pub fn arguments(&self) -> Option<&str> {
        self.parts.arguments.of(&self.text)
    }

    /// The progress token as written: of `params._meta`, and of `params` for
    /// `notifications/progress`.
    #[must_use]
    pub fn progress_token(&self) -> Option<&str> {
        self.parts.progress_token.of(&self.text)
    }

    /// `params.requestId` of `notifications/cancelled` as written.
    #[must_use]
    pub fn cancelled_id(&self) -> Option<&str> {
        self.parts.cancelled_id.of(&self.text)
    }

    /// `params.requestId` of `notifications/cancelled`, owned, comparable with
    /// [`Message::request_id`].
    #[must_use]
    pub fn cancelled_request_id(&self) -> Option<RequestId> {
        self.cancelled_id().map(RequestId::from_token)
    }

    /// The revision that an `initialize` request offers (`params.protocolVersion`), or that a
    /// response settles on (`result.protocolVersion`).
    #[must_use]
    pub fn protocol_version(&self) -> Option<Cow<'_, str>> {
        self.string(self.parts.protocol_version)
    }

    /// `result` as raw JSON.
    #[must_use]
    pub fn result(&self) -> Option<&str> {
        self.parts.result.of(&self.text)
    }

    /// `error`, an object with an integer `code` and a string `message`, as raw JSON.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.parts.error.of(&self.text)
    }

    /// `error.code`; `None` too when an `i64` does not hold it.
    #[must_use]
    pub fn error_code(&self) -> Option<i64> {
        self.parts.error_code.of(&self.text)?.parse().ok()
    }

    /// The message under another id; unchanged when it has none.
    #[must_use]
    pub fn with_id(&self, raw_id: &str) -> Bytes {
        self.rewrite(&Rewrite { id: Some(raw_id), ..Rewrite::default() })
    }

    /// The cancellation of another request; unchanged when it names none.
    #[must_use]
    pub fn with_cancelled_id(&self, raw_id: &str) -> Bytes {
        self.rewrite(&Rewrite { cancelled_id: Some(raw_id), ..Rewrite::default() })
    }

    /// The message with some tokens replaced and every other byte as it was, in at most one
    /// allocation. What the message does not have is not added.
    #[must_use]
    pub fn rewrite(&self, rewrite: &Rewrite<'_>) -> Bytes {
        let parts = &self.parts;
        let mut edits = [
            (parts.id, rewrite.id),
            (parts.cancelled_id, rewrite.cancelled_id),
            (parts.result, rewrite.result),
            (parts.progress_token, rewrite.progress_token),
            (parts.subscription_id, rewrite.subscription_id),
        ];
        edits.sort_unstable_by_key(|(span, _)| span.start);
        let edits = edits
            .iter()
            .filter(|(span, _)| !span.is_absent())
            .filter_map(|(span, new)| new.map(|new| (*span, new)));
        let grown = edits.clone().map(|(_, new)| new.len()).sum::<usize>();
        if grown == 0 {
            return self.bytes().clone();
        }
        let mut out = Vec::with_capacity(self.text.len() + grown);
        let mut from = 0;
        for (span, new) in edits {
            // A token inside a result that is replaced has gone with it.
            if span.start as usize >= from {
                out.extend_from_slice(self.between(from, span.start as usize));
                out.extend_from_slice(new.as_bytes());
                from = span.end as usize;
            }
        }
        out.extend_from_slice(self.between(from, self.text.len()));
        Bytes::from(out)
    }

    fn between(&self, from: usize, to: usize) -> &[u8] {
        self.bytes().get(from..to).unwrap_or_default()
    }

    fn string(&self, span: Span) -> Option<Cow<'_, str>> {
        span.of(&self.text).filter(|token| token.starts_with('"')).map(text::decode)
    }
}

#[cfg(test)]
mod tests;
