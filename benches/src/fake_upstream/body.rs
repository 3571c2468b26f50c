//! The bodies of the fake upstream's answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// A response body.
pub(crate) enum Answer {
    /// All at once.
    Whole(Option<Bytes>),
    /// Event by event, all ready.
    Events(std::vec::IntoIter<Bytes>),
    /// Event by event, as they come.
    Open(mpsc::Receiver<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take()),
            Self::Events(events) => Poll::Ready(events.next()),
            Self::Open(events) => events.poll_recv(context),
        };
        next.map(|part| part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Events(_) | Self::Open(_) => SizeHint::default(),
        }
    }
}
