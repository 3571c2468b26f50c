//! Framing of `text/event-stream`, both directions (WHATWG HTML, section 9.2 "Server-sent events").
//!
//! Pure: bytes in, events out, whatever the chunks. An event never holds more than the limit given
//! to the decoder, and each byte is looked at once.

mod encode;

use bytes::{Buf, Bytes, BytesMut};

pub use self::encode::{KEEP_ALIVE, encode_event, encode_message, encode_priming, encode_with_id};
use crate::SseError;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event with data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; absent or empty means `message`.
    pub name: Option<String>,
    /// The `data` lines joined by line feeds. Not checked for UTF-8: [`crate::Message::parse`]
    /// does.
    pub data: Bytes,
    /// The `id` field of this event; [`Decoder::last_event_id`] is the one that stays valid.
    pub id: Option<String>,
    /// The `retry` field of this event, in milliseconds.
    pub retry: Option<u64>,
}

impl Event {
    /// The type of the event.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("message")
    }
}

/// Reads events out of chunks of a stream.
#[derive(Debug)]
pub struct Decoder {
    max_event: usize,
    buffer: BytesMut,
    /// Length of the lines of the event so far.
    size: usize,
    /// No line end was found so far in this many bytes of the buffer.
    searched: usize,
    /// Nothing was read yet, so a byte order mark may stand here.
    fresh: bool,
    /// The last line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
    failed: bool,
    event: Event,
    data: Lines,
    last_event_id: Option<String>,
    retry: Option<u64>,
}

/// The `data` lines of an event; a single one, the usual case, stays a slice of what was received.
#[derive(Debug, Default)]
enum Lines {
    #[default]
    None,
    One(Bytes),
    Joined(BytesMut),
}

impl Lines {
    fn push(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(line),
            Self::One(first) => Self::Joined(join(BytesMut::from(first), &line)),
            Self::Joined(lines) => Self::Joined(join(lines, &line)),
        };
    }
}

fn join(mut lines: BytesMut, line: &[u8]) -> BytesMut {
    lines.extend_from_slice(b"\n");
    lines.extend_from_slice(line);
    lines
}

impl Decoder {
    /// A decoder for one stream that refuses an event whose lines are together longer than
    /// `max_event` bytes, and a comment that is.
    #[must_use]
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            buffer: BytesMut::new(),
            size: 0,
            searched: 0,
            fresh: true,
            after_cr: false,
            failed: false,
            event: Event::default(),
            data: Lines::None,
            last_event_id: None,
            retry: None,
        }
    }

    /// Takes what was received. Call [`Decoder::next`] until it returns `None` before the next
    /// chunk, so that no more than an event and a chunk are held.
    pub fn push(&mut self, chunk: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// The next event that is complete; `None` when more must be received, and for ever after an
    /// error.
    ///
    /// # Errors
    ///
    /// The event, or a line of it that has not ended yet, is too large. The decoder then drops what
    /// it holds.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: more may be pushed")]
    pub fn next(&mut self) -> Option<Result<Event, SseError>> {
        if self.failed || !self.skip_byte_order_mark() {
            return None;
        }
        while let Some(line) = self.line() {
            if line.len() > self.room() {
                return Some(Err(self.fail()));
            }
            if !line.is_empty() {
                self.field(line);
            } else if let Some(event) = self.dispatch() {
                return Some(Ok(event));
            }
        }
        (self.buffer.len() > self.room()).then(|| Err(self.fail()))
    }

    /// The id to resume from: of the last block that had one, with or without data (the priming
    /// event of 2025-11-25).
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// The last `retry` of the stream in milliseconds; a server may send it without an event before
    /// it closes.
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// True when a byte order mark can no longer follow.
    fn skip_byte_order_mark(&mut self) -> bool {
        if self.fresh {
            if self.buffer.len() < BYTE_ORDER_MARK.len()
                && BYTE_ORDER_MARK.starts_with(&self.buffer)
            {
                return false;
            }
            self.fresh = false;
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.advance(BYTE_ORDER_MARK.len());
            }
        }
        true
    }

    /// The next line that has ended, without its end (LF, CR or CRLF).
    fn line(&mut self) -> Option<Bytes> {
        if self.after_cr && !self.buffer.is_empty() {
            self.after_cr = false;
            if self.buffer.starts_with(b"\n") {
                self.buffer.advance(1);
            }
        }
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'\n', b'\r', rest) else {
            self.searched = self.buffer.len();
            return None;
        };
        // A CR ends its line at once, not when the next byte shows whether it is a CRLF: that byte
        // may never come.
        self.after_cr = rest.get(found) == Some(&b'\r');
        let line = self.buffer.split_to(self.searched + found).freeze();
        self.buffer.advance(1);
        self.searched = 0;
        Some(line)
    }

    fn field(&mut self, line: Bytes) {
        let length = line.len();
        let (name, value) = match memchr::memchr(b':', &line) {
            // A comment.
            Some(0) => return,
            Some(colon) => {
                let after = colon + 1;
                let space = usize::from(line.get(after) == Some(&b' '));
                (line.slice(..colon), line.slice(after + space..))
            }
            None => (line, Bytes::new()),
        };
        self.size += length;
        match &*name {
            b"data" => self.data.push(value),
            b"event" => self.event.name = Some(lossy(&value)),
            b"id" if !value.contains(&0) => self.event.id = Some(lossy(&value)),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.event.retry = lossy(&value).parse().ok();
            }
            _ => {}
        }
    }

    /// At the end of a block: an event if it had data. Its id and its retry count in either case.
    fn dispatch(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        self.size = 0;
        if event.id.is_some() {
            self.last_event_id.clone_from(&event.id);
        }
        self.retry = event.retry.or(self.retry);
        event.data = match std::mem::take(&mut self.data) {
            Lines::None => return None,
            Lines::One(line) => line,
            Lines::Joined(lines) => lines.freeze(),
        };
        Some(event)
    }

    /// Bytes that a further line of this event may have.
    fn room(&self) -> usize {
        self.max_event.saturating_sub(self.size)
    }

    fn fail(&mut self) -> SseError {
        self.failed = true;
        self.buffer = BytesMut::new();
        self.data = Lines::None;
        SseError::TooLarge { limit: self.max_event }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
