//! From bytes to a [`Message`]: the envelope here, the members that decide what a message does in
//! `params` and `answer`.
//!
//! Members are checked as they pass, so that the first fault in the text is the one reported; what
//! depends on several members is checked at the end. Faults that are not syntax never stop the
//! scan: the id may still follow.

mod answer;
mod params;

use bytes::Bytes;
use bytestring::ByteString;

use self::params::Pending;
use super::{Kind, Message, Parts};
use crate::{
    Method, ParseError,
    ParseErrorKind::{self, InvalidParams, InvalidRequest, Syntax},
    RequestId,
    scan::{Fault, MAX_DEPTH, Scanner, Span, Stop},
    text,
};

/// Longest id that is accepted, in bytes of its token: ids are kept for as long as the request is
/// in flight.
const MAX_ID: usize = 258;
const ID_RULE: &str = "`id` must be a string of at most 256 bytes or an integer of 64 bits";
/// Longest method name in bytes.
const MAX_METHOD: usize = 256;

const ENVELOPE_KEYS: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];

/// The id of the envelope so far.
#[derive(Clone, Copy, Default)]
enum Id {
    #[default]
    Absent,
    Null,
    Valid(Span),
    /// Of a wrong type, or there twice: no id to answer under.
    Unusable,
}

/// What has been read of the envelope.
#[derive(Default)]
struct Envelope {
    parts: Parts,
    id: Id,
    jsonrpc: bool,
    /// Whether `method` is there, even if it is not a name.
    method_seen: bool,
    method: Option<Method>,
    pending: Pending,
}

pub(super) fn parse(bytes: Bytes) -> Result<Message, ParseError> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(ParseError::of_body(Syntax, None, "body of 4 GiB or more"));
    }
    let text = ByteString::try_from(bytes).map_err(|error| {
        ParseError::of_body(Syntax, Some(error.valid_up_to()), "body is not UTF-8")
    })?;
    let mut scan = Scanner::new(&text, MAX_DEPTH);
    let mut envelope = Envelope::default();
    let read = envelope.read(&mut scan);
    match scan.finish(read).and_then(|()| envelope.settle(&text)) {
        Ok(kind) => {
            let Envelope { method, parts, .. } = envelope;
            Ok(Message { text, kind, method, parts, param_headers: None })
        }
        Err(Fault { kind, offset, what }) => {
            let id = match envelope.id {
                Id::Valid(span) => span.of(&text).map(RequestId::from_token),
                Id::Absent | Id::Null | Id::Unusable => None,
            };
            Err(ParseError { kind, id, offset, what })
        }
    }
}

impl Envelope {
    fn read(&mut self, scan: &mut Scanner<'_>) -> Result<(), Stop> {
        scan.white();
        let at = scan.at();
        match scan.peek() {
            b'{' => {
                scan.members(|scan, key| self.member(scan, key))?;
            }
            b'[' => {
                scan.value()?;
                scan.note(
                    InvalidRequest,
                    at,
                    "array where one message should be: batches belong to sessions of 2025-03-26",
                );
            }
            _ => {
                scan.value()?;
                scan.note(InvalidRequest, at, "message is not an object");
            }
        }
        scan.end()
    }

    fn member(&mut self, scan: &mut Scanner<'_>, key: &str) -> Result<(), Stop> {
        let at = scan.at();
        match key {
            "jsonrpc" => {
                let span = scan.value()?;
                self.jsonrpc = true;
                if scan.slice(span) != r#""2.0""# {
                    scan.note(InvalidRequest, at, r#"`jsonrpc` must be "2.0""#);
                }
            }
            "id" => self.read_id(scan)?,
            "method" => self.read_method(scan)?,
            "params" if scan.peek() == b'{' => {
                let span = scan.members(|scan, key| self.param(scan, key))?;
                self.parts.params = span;
            }
            "params" => {
                scan.value()?;
                scan.note(InvalidParams, at, "`params` must be an object");
            }
            "result" if scan.peek() == b'{' => self.read_result(scan)?,
            "result" => self.parts.result = scan.value()?,
            "error" => self.read_error(scan)?,
            _ => {
                scan.refuse_variant(key, ENVELOPE_KEYS);
                scan.value()?;
            }
        }
        Ok(())
    }

    fn read_id(&mut self, scan: &mut Scanner<'_>) -> Result<(), Stop> {
        let at = scan.at();
        let span = scan.value()?;
        let token = scan.slice(span);
        // A second `id` is a duplicate key, noted when the object closes; neither is one to answer
        // under.
        self.id = match self.id {
            Id::Absent if is_id(token) => Id::Valid(span),
            Id::Absent if token == "null" => Id::Null,
            Id::Absent | Id::Null | Id::Valid(_) | Id::Unusable => Id::Unusable,
        };
        if !is_id(token) && token != "null" {
            scan.note(InvalidRequest, at, ID_RULE);
        }
        Ok(())
    }

    fn read_method(&mut self, scan: &mut Scanner<'_>) -> Result<(), Stop> {
        let at = scan.at();
        let span = scan.value()?;
        let token = scan.slice(span);
        self.method_seen = true;
        let name = text::decode(token);
        if token.starts_with('"') && is_method_name(&name) {
            let method = Method::from_name(&name);
            if let Some(known) = case_variant_of(method, &name) {
                let what = format!("method `{name}` differs from `{known}` only in case");
                scan.note(InvalidRequest, at, what);
            }
            self.parts.method = span;
            self.method = Some(method);
        } else {
            let what = "`method` must be 1 to 256 characters of `A-Z a-z 0-9 _ / . $ -`";
            scan.note(InvalidRequest, at, what);
        }
        Ok(())
    }

    /// What only the whole envelope can tell: its kind, and whether `params` fit the method.
    fn settle(&mut self, text: &str) -> Result<Kind, Fault> {
        if !self.jsonrpc {
            return Err(fault(InvalidRequest, r#"`jsonrpc` is missing, it must be "2.0""#));
        }
        let kind = self.kind()?;
        if let Id::Valid(span) = self.id {
            self.parts.id = span;
        }
        self.settle_params(kind, text)?;
        Ok(kind)
    }

    fn kind(&self) -> Result<Kind, Fault> {
        let result = !self.parts.result.is_absent();
        let error = !self.parts.error.is_absent();
        match (self.method_seen, result, error, self.id) {
            (true, false, false, Id::Absent) => Ok(Kind::Notification),
            (true, false, false, Id::Valid(_)) => Ok(Kind::Request),
            (true, false, false, _) => Err(fault(InvalidRequest, "`id` of a request is null")),
            (false, true, false, Id::Valid(_)) => Ok(Kind::Response),
            (false, true, false, _) => Err(fault(InvalidRequest, "response has no `id`")),
            (false, false, true, _) => Ok(Kind::Error),
            (true, _, _, _) => {
                Err(fault(InvalidRequest, "`method` together with `result` or `error`"))
            }
            (false, true, true, _) => Err(fault(InvalidRequest, "both `result` and `error`")),
            (false, false, false, _) => {
                Err(fault(InvalidRequest, "none of `method`, `result` and `error`"))
            }
        }
    }
}

/// A string of bounded length, or an integer that an `i64` or a `u64` holds, spelled in the one
/// plain way.
fn is_id(token: &str) -> bool {
    (token.starts_with('"') && token.len() <= MAX_ID) || is_integer(token)
}

fn is_integer(token: &str) -> bool {
    token != "-0" && (token.parse::<u64>().is_ok() || token.parse::<i64>().is_ok())
}

fn is_method_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_/.$-".contains(&byte);
    (1..=MAX_METHOD).contains(&name.len()) && name.bytes().all(allowed)
}

fn fault(kind: ParseErrorKind, what: &'static str) -> Fault {
    Fault { kind, offset: None, what: what.into() }
}

/// The method that a server which does not mind the case would take `name` for.
fn case_variant_of(method: Method, name: &str) -> Option<&'static str> {
    if method != Method::Other {
        return None;
    }
    Method::ALL.iter().map(|known| known.as_str()).find(|known| known.eq_ignore_ascii_case(name))
}
