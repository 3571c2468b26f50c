//! One pass over JSON text: RFC 8259 exactly, no lone surrogates, bounded depth, no duplicate keys.
//!
//! The scanner only moves forward and keeps its own stack, so its time is linear in the input and
//! no input makes it recurse. A syntax error stops it ([`Stop`]); a fault of meaning is noted once,
//! the first one, and the scan goes on, so that the id of the message can still be found. Offsets
//! are `u32`: the caller refuses longer input.

mod keys;

use std::borrow::Cow;

use smallvec::SmallVec;

use self::keys::Key;
use crate::{ParseErrorKind, text};

/// Objects and arrays inside each other that are accepted, the outermost counted.
pub(crate) const MAX_DEPTH: usize = 128;

/// A token's place in the text; empty means absent, since no JSON token is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn is_absent(self) -> bool {
        self.end == 0
    }

    /// This place, or the other one when this is absent.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.is_absent() { other } else { self }
    }

    pub(crate) fn of(self, text: &str) -> Option<&str> {
        if self.is_absent() {
            return None;
        }
        text.get(self.start as usize..self.end as usize)
    }
}

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: ParseErrorKind,
    pub(crate) offset: Option<usize>,
    pub(crate) what: Cow<'static, str>,
}

/// A syntax error: the scan cannot go on. Boxed to keep the results of a good scan small.
#[derive(Debug)]
pub(crate) struct Stop(Box<Fault>);

/// A container that is open inside [`Scanner::value`].
#[derive(Clone, Copy)]
enum Frame {
    Array,
    /// With the number of keys that were open before it.
    Object(usize),
}

pub(crate) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    max_depth: usize,
    frames: SmallVec<[Frame; 16]>,
    /// Keys of all open objects, innermost last.
    keys: SmallVec<[Key; 32]>,
    /// The first fault of meaning.
    noted: Option<Fault>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, max_depth: usize) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
            max_depth,
            frames: SmallVec::new(),
            keys: SmallVec::new(),
            noted: None,
        }
    }

    /// The text of a token that this scanner returned.
    pub(crate) fn slice(&self, span: Span) -> &'a str {
        span.of(self.text).unwrap_or_default()
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What `read` came to: a syntax error outweighs a fault of meaning, since the text is not
    /// JSON.
    pub(crate) fn finish(self, read: Result<(), Stop>) -> Result<(), Fault> {
        read.map_err(|Stop(fault)| *fault)?;
        self.noted.map_or(Ok(()), Err)
    }

    /// Notes a fault of meaning unless an earlier one is noted.
    pub(crate) fn note(
        &mut self,
        kind: ParseErrorKind,
        offset: usize,
        what: impl Into<Cow<'static, str>>,
    ) {
        if self.noted.is_none() {
            self.noted = Some(Fault { kind, offset: Some(offset), what: what.into() });
        }
    }

    /// Notes a key that a reader which folds case would take for one of `known`. Called where its
    /// value begins.
    pub(crate) fn refuse_variant(&mut self, key: &str, known: &[&'static str]) {
        if let Some(known) = text::case_variant(key, known) {
            let what = format!("key `{}` differs from `{known}` only in case", text::clip(key));
            let offset = self.keys.last().map_or(self.at, |key| key.offset());
            self.note(ParseErrorKind::InvalidRequest, offset, what);
        }
    }

    /// The key whose value comes next, decoded.
    pub(crate) fn key_name(&self) -> Cow<'a, str> {
        self.keys.last().map_or(Cow::Borrowed(""), |key| text::unescape(key.inner(self.text)))
    }

    /// The next byte, or 0 at the end: a byte that no token begins with.
    pub(crate) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    pub(crate) fn white(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Demands that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        self.white();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.stop("text after the end of the value"))
        }
    }

    /// Any value, of which only the place is kept. Never runs inside itself, so the frames are its
    /// own.
    pub(crate) fn value(&mut self) -> Result<Span, Stop> {
        let start = self.at;
        loop {
            if self.begin()? && !self.more()? {
                return Ok(self.span(start));
            }
        }
    }

    /// An object; `visit` gets each key decoded, with the scanner before the value, and must scan
    /// the value.
    pub(crate) fn members(
        &mut self,
        mut visit: impl FnMut(&mut Self, &str) -> Result<(), Stop>,
    ) -> Result<Span, Stop> {
        let start = self.at;
        let first_key = self.keys.len();
        self.open()?;
        if self.peek() == b'}' {
            self.close();
            return Ok(self.span(start));
        }
        loop {
            let key = self.key()?;
            let inner = key.inner(self.text);
            if key.escaped {
                visit(self, &text::unescape(inner))?;
            } else {
                visit(self, inner)?;
            }
            self.white();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.white();
                }
                b'}' => {
                    self.close_object(first_key);
                    return Ok(self.span(start));
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    /// An array; `visit` is called before each element and must scan it.
    pub(crate) fn elements(
        &mut self,
        mut visit: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<Span, Stop> {
        let start = self.at;
        self.open()?;
        if self.peek() == b']' {
            self.close();
            return Ok(self.span(start));
        }
        loop {
            visit(self)?;
            self.white();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.white();
                }
                b']' => {
                    self.close();
                    return Ok(self.span(start));
                }
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    /// A scalar, an empty container, or the opening of one up to its first value. True when a whole
    /// value was read.
    fn begin(&mut self) -> Result<bool, Stop> {
        match self.peek() {
            b'"' => self.string().map(|_| true),
            b'{' => {
                let first_key = self.keys.len();
                self.open()?;
                if self.peek() == b'}' {
                    self.close();
                    return Ok(true);
                }
                self.frames.push(Frame::Object(first_key));
                self.key().map(|_| false)
            }
            b'[' => {
                self.open()?;
                if self.peek() == b']' {
                    self.close();
                    return Ok(true);
                }
                self.frames.push(Frame::Array);
                Ok(false)
            }
            b'-' | b'0'..=b'9' => self.number().map(|()| true),
            b't' => self.literal("true").map(|()| true),
            b'f' => self.literal("false").map(|()| true),
            b'n' => self.literal("null").map(|()| true),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// After a value: closes what ends here. True when another value follows.
    fn more(&mut self) -> Result<bool, Stop> {
        while let Some(frame) = self.frames.last().copied() {
            self.white();
            match (self.peek(), frame) {
                (b',', Frame::Array) => {
                    self.at += 1;
                    self.white();
                    return Ok(true);
                }
                (b',', Frame::Object(_)) => {
                    self.at += 1;
                    self.white();
                    return self.key().map(|_| true);
                }
                (b']', Frame::Array) => self.close(),
                (b'}', Frame::Object(first_key)) => self.close_object(first_key),
                (_, Frame::Array) => return Err(self.unexpected("`,` or `]`")),
                (_, Frame::Object(_)) => return Err(self.unexpected("`,` or `}`")),
            }
            self.frames.pop();
        }
        Ok(false)
    }

    fn open(&mut self) -> Result<(), Stop> {
        if self.depth == self.max_depth {
            let what = format!("nested deeper than {}", self.max_depth);
            return Err(self.stop(what));
        }
        self.depth += 1;
        self.at += 1;
        self.white();
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn close_object(&mut self, first_key: usize) {
        let keys = self.keys.get(first_key..).unwrap_or_default();
        if let Some(key) = keys::duplicate(self.text, keys) {
            let what = format!("duplicate key `{}`", text::clip(key.inner(self.text)));
            self.note(ParseErrorKind::InvalidRequest, key.offset(), what);
        }
        self.keys.truncate(first_key);
        self.close();
    }

    /// A key with its colon, up to the value; remembered until its object closes.
    fn key(&mut self) -> Result<Key, Stop> {
        if self.peek() != b'"' {
            return Err(self.unexpected("a key in double quotes"));
        }
        let start = self.at;
        let escaped = self.string()?;
        let key = Key::new(self.bytes, start + 1, self.at - 1, escaped);
        self.keys.push(key);
        self.white();
        if self.peek() != b':' {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        self.white();
        Ok(key)
    }

    /// A string with its quotes; true when it holds an escape.
    fn string(&mut self) -> Result<bool, Stop> {
        let mut escaped = false;
        self.at += 1;
        loop {
            self.plain();
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.stop("control character in a string")),
                None => return Err(self.stop("string without its closing quote")),
            }
        }
    }

    /// Moves to the next byte that a string cannot simply contain, eight bytes a step.
    fn plain(&mut self) {
        while let Some(chunk) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let hits = specials(u64::from_le_bytes(*chunk));
            if hits != 0 {
                self.at += (hits.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.bytes.get(self.at) {
            if matches!(byte, 0..0x20 | b'"' | b'\\') {
                return;
            }
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<(), Stop> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit(self.at) {
                Some(0xd800..0xdc00) => match self.unit(self.at + 6) {
                    Some(0xdc00..0xe000) => self.at += 12,
                    _ => return Err(self.stop("lone surrogate escape in a string")),
                },
                Some(0xdc00..0xe000) => {
                    return Err(self.stop("lone surrogate escape in a string"));
                }
                Some(_) => self.at += 6,
                None => return Err(self.stop("`\\u` without four hexadecimal digits")),
            },
            _ => return Err(self.stop("unknown escape in a string")),
        }
        Ok(())
    }

    /// The UTF-16 code unit that `\uXXXX` at `at` stands for.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits
            .iter()
            .try_fold(0, |unit, &digit| Some((unit << 4) | char::from(digit).to_digit(16)?))
    }

    fn number(&mut self) -> Result<(), Stop> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
            if self.peek().is_ascii_digit() {
                return Err(self.stop("number with a leading zero"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Stop> {
        if !self.peek().is_ascii_digit() {
            return Err(self.unexpected("a digit"));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn literal(&mut self, literal: &'static str) -> Result<(), Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += literal.len();
        Ok(())
    }

    #[cold]
    fn unexpected(&self, wanted: &str) -> Stop {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let what = found.map_or_else(
            || format!("the text ends where {wanted} should be"),
            |found| {
                format!(
                    "found `{}` where {wanted} should be",
                    text::clip(found.encode_utf8(&mut [0; 4]))
                )
            },
        );
        self.stop(what)
    }

    #[cold]
    fn stop(&self, what: impl Into<Cow<'static, str>>) -> Stop {
        let kind = ParseErrorKind::Syntax;
        Stop(Box::new(Fault { kind, offset: Some(self.at), what: what.into() }))
    }

    fn span(&self, start: usize) -> Span {
        Span { start: offset(start), end: offset(self.at) }
    }
}

/// `at` as an offset in a text that is known to be shorter than 4 GiB.
pub(crate) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Marks the bytes of a little-endian word that are `"`, `\` or below 0x20; the lowest mark is
/// exact, higher ones may be carried over from it.
const fn specials(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    let marks = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    marks & (ONES * 0x80)
}

#[cfg(test)]
mod tests;
