//! Bodies: reading the client's within its limit, writing the gateway's without copies.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::events::Events;
use crate::progress::Turn;

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is over the limit; so much of it is known.
    TooLarge(usize),
    /// It broke off after so many bytes.
    Broken(usize),
}

/// Reads a body of at most `limit` bytes. One that says it is larger is not read at all, and one that comes in one
/// piece is not copied.
pub(crate) async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Unread::TooLarge(announced));
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let read = first.len().max(all.len());
        let Ok(frame) = frame else { return Err(Unread::Broken(read)) };
        // Trailers say nothing that the gateway reads.
        let Ok(piece) = frame.into_data() else { continue };
        let size = read + piece.len();
        if size > limit {
            return Err(Unread::TooLarge(size));
        }
        if read == 0 {
            first = piece;
            continue;
        }
        if all.is_empty() {
            // Room grows with what has come, not with what was announced.
            all.reserve(2 * size);
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// The body of an answer.
pub(crate) enum Content {
    Empty,
    Full(Bytes),
    Events(Events),
    /// What another transport answers.
    Other(axum::body::Body),
}

/// A body with the turn that ends when the last byte is given to the socket.
pub(crate) struct Outgoing {
    content: Content,
    _turn: Turn,
}

impl Outgoing {
    pub(crate) fn new(content: Content, turn: Turn) -> Self {
        Self { content, _turn: turn }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Content::Events(events) => {
                events.poll_batch(cx).map(|batch| Some(Ok(Frame::data(batch?))))
            }
            Content::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Full(bytes) => bytes.is_empty(),
            Content::Events(_) => false,
            Content::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Events(_) => SizeHint::new(),
            Content::Other(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests;
