//! Lines of at most so many bytes out of a pipe.

use protocol::lines::{Decoder, Line};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Read at once.
const CHUNK: usize = 8 << 10;

/// Reads lines; what is held is bounded by the longest line and one read.
pub(crate) struct LineReader<R> {
    pipe: R,
    lines: Decoder,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// A reader of lines of at most `limit` bytes.
    pub(crate) fn new(pipe: R, limit: usize) -> Self {
        Self { pipe, lines: Decoder::new(limit) }
    }

    /// The next line; `None` at the end of the pipe. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The pipe broke.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(line));
            }
            let buffer = self.lines.buffer();
            buffer.reserve(CHUNK);
            if self.pipe.read_buf(buffer).await? == 0 {
                return Ok(self.lines.finish());
            }
        }
    }
}

#[cfg(test)]
mod tests;
