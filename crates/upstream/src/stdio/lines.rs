//! Lines of at most so many bytes out of a pipe.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All of it.
    Whole(Bytes),
    /// Its beginning; the rest was longer than allowed and is skipped.
    Cut(Bytes),
}

/// Reads lines; what is held is bounded by the longest line and one read.
pub(crate) struct LineReader<R> {
    pipe: R,
    buffer: BytesMut,
    limit: usize,
    /// So far no line end was found in this many bytes of the buffer.
    searched: usize,
    /// The line at the beginning of the buffer was cut: drop it up to its end.
    skipping: bool,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// A reader of lines of at most `limit` bytes.
    pub(crate) fn new(pipe: R, limit: usize) -> Self {
        let buffer = BytesMut::new();
        Self { pipe, buffer, limit, searched: 0, skipping: false, ended: false }
    }

    /// The next line; `None` at the end of the pipe. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The pipe broke.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            self.buffer.reserve(8 << 10);
            self.ended = self.pipe.read_buf(&mut self.buffer).await? == 0;
        }
    }

    fn take(&mut self) -> Option<Line> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr::memchr(b'\n', rest) else {
                self.searched = self.buffer.len();
                return self.take_partial();
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

    /// What to do with a line that has not ended yet.
    fn take_partial(&mut self) -> Option<Line> {
        if self.skipping {
            self.clear();
            return None;
        }
        if self.buffer.len() > self.limit {
            let head = self.buffer.split_to(self.limit).freeze();
            self.clear();
            self.skipping = true;
            return Some(Line::Cut(head));
        }
        if self.ended && !self.buffer.is_empty() {
            self.searched = 0;
            return Some(Line::Whole(self.buffer.split().freeze()));
        }
        None
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests;
