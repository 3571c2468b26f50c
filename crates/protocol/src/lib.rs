//! JSON-RPC envelope and MCP vocabulary: one strict parse, one way to encode.
//!
//! A [`Message`] is a validated body and the places of its parts. It is read once, by
//! [`Message::parse`], and whatever the gateway decides on is a slice of the very bytes that it
//! later forwards, so that no two readers of the message can disagree. Invariants:
//!
//! - **One meaning.** Input that parsers are known to read differently is refused: duplicate keys
//!   at any depth, protocol keys in another case, lone surrogates, a byte order mark, invalid
//!   UTF-8, ids that lose digits in a double. A [`Message`] is one message: the batches of
//!   2025-03-26 are taken apart by [`batch()`] first.
//! - **Linear time, bounded depth.** The scanner keeps its own stack: no input makes it recurse,
//!   and the limit on depth bounds what a later reader would have to recurse into.
//! - **No copies.** Parsing a message of usual size allocates nothing; [`Message::rewrite`]
//!   allocates once.
//! - **Original text is preserved.** Unknown members, number spellings and white space stay as they
//!   were written.
//!
//! Reading order: `message` (what a message offers, `message/era` what only some revisions have),
//! `message/parse` (what is demanded of one), `scan` (how it is read). Beside it: `object` edits raw
//! JSON in place, `mirror` compares the headers of 2026-07-28 with the body, `sse` and `lines` frame
//! messages. A new method is one line in `method`; a new member of `params` that policy reads is one
//! line in `message/parse/params`, where its variants in another case are refused.
//!
//! What this crate deliberately does not do: IO, sessions, building a tree of values, and
//! validating the parts of MCP that neither routing nor policy reads.

mod batch;
pub mod encode;
mod error;
pub mod header;
mod id;
pub mod lines;
mod list;
mod message;
pub mod meta;
mod method;
pub mod mirror;
pub mod object;
mod scan;
pub mod sse;
mod status;
mod text;
mod version;

pub use batch::batch;
pub use error::{ParseError, ParseErrorKind, SseError, ValueError};
pub use id::RequestId;
pub use list::{ListEntry, Retained, list_entries, retain_entries};
pub use message::{Kind, Message, Rewrite};
pub use method::{ListKind, Method};
pub use mirror::ParamHeader;
pub use status::http_status;
pub use version::{Era, ProtocolVersion};
