//! Framing of the stdio transport, both directions: one message a line (MCP, "Transports", section "stdio").
//!
//! Pure: bytes in, lines out, whatever the chunks. What is held is bounded by the longest line and one chunk, and each
//! byte is looked at once.

use bytes::{Buf, Bytes, BytesMut};

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// All of it.
    Whole(Bytes),
    /// Its beginning; the rest was longer than allowed and is skipped.
    Cut(Bytes),
}

/// Reads lines out of chunks.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
    /// So far no line end was found in this many bytes of the buffer.
    searched: usize,
    /// The line at the beginning of the buffer was cut: drop it up to its end.
    skipping: bool,
}

impl Decoder {
    /// A decoder of lines of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit, searched: 0, skipping: false }
    }

    /// Where the next chunk is appended. Call [`Decoder::next`] until it returns `None` before.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next line that has ended or is too long; `None` when more must be read.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: more may be read")]
    pub fn next(&mut self) -> Option<Line> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr::memchr(b'\n', rest) else {
                self.searched = self.buffer.len();
                return self.cut();
            };
            let line = self.buffer.split_to(self.searched + found).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            return Some(if line.len() > self.limit {
                Line::Cut(line.slice(..self.limit))
            } else {
                Line::Whole(line)
            });
        }
    }

    /// The last line, when nothing more comes and it has no end.
    pub fn finish(&mut self) -> Option<Line> {
        self.searched = 0;
        let rest = self.buffer.split().freeze();
        (!self.skipping && !rest.is_empty()).then_some(Line::Whole(rest))
    }

    /// What to do with a line that has not ended yet.
    fn cut(&mut self) -> Option<Line> {
        let head = if self.skipping {
            None
        } else if self.buffer.len() > self.limit {
            self.skipping = true;
            Some(Line::Cut(self.buffer.split_to(self.limit).freeze()))
        } else {
            return None;
        };
        self.buffer.clear();
        self.searched = 0;
        head
    }
}

/// Appends `message` to `out` as one line: line ends in valid JSON are white space between tokens, and become spaces.
pub fn encode(out: &mut Vec<u8>, message: &[u8]) {
    out.reserve(message.len() + 1);
    let mut rest = message;
    while let Some((part, behind)) =
        memchr::memchr2(b'\n', b'\r', rest).and_then(|at| rest.split_at_checked(at))
    {
        out.extend_from_slice(part);
        out.push(b' ');
        rest = behind.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
