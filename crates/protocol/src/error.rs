//! What can be wrong with a message or a stream.

use std::borrow::Cow;

use crate::{RequestId, scan::Fault};

/// The three answers of JSON-RPC 2.0 to a message that is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseErrorKind {
    /// Not JSON as RFC 8259 and this crate's limits have it: -32700.
    Syntax,
    /// JSON, but not one unambiguous JSON-RPC message: -32600.
    InvalidRequest,
    /// A message whose `params` do not fit its method: -32602.
    InvalidParams,
}

/// Why a body is refused. Displays what is wrong and at which byte; user input in it is clipped and
/// in backticks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", At(*.offset))]
pub struct ParseError {
    /// Which of the answers it is.
    pub kind: ParseErrorKind,
    /// The id to answer under: present whenever the message had exactly one valid id that could
    /// still be read.
    pub id: Option<RequestId>,
    /// Byte offset in the body; `None` when something is missing rather than wrong.
    pub offset: Option<usize>,
    pub(crate) what: Cow<'static, str>,
}

impl ParseError {
    /// What is wrong with a body of which no id is known.
    pub(crate) fn of_body(
        kind: ParseErrorKind,
        offset: Option<usize>,
        what: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { kind, id: None, offset, what: what.into() }
    }
}

impl From<Fault> for ParseError {
    fn from(Fault { kind, offset, what }: Fault) -> Self {
        Self { kind, id: None, offset, what }
    }
}

struct At(Option<usize>);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |offset| write!(f, " at byte {offset}"))
    }
}

/// Why the value of a header that repeats the body cannot be read (Streamable HTTP of 2026-07-28,
/// "Value Encoding").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The value is longer than anything that is decoded.
    #[error("is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Something else than visible ASCII, spaces and tabs.
    #[error("has a character that a header cannot carry")]
    Character,
    /// Between the markers is no Base64 of the standard alphabet with its padding.
    #[error("is not valid Base64 between `=?base64?` and `?=`")]
    Base64,
    /// The decoded bytes are no text.
    #[error("is not UTF-8 once decoded")]
    Utf8,
}

/// Why an event stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// One event, or one line of it, is longer than the decoder was told to hold.
    #[error("event is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}
