//! A stream of server-sent events as the body of an answer.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use protocol::sse;
use router::EventStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Time between two comments on a stream, quiet or not.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Above this, events that are ready wait for the next write.
const BATCH_BYTES: usize = 64 * 1024;

/// Encoded events: what is ready leaves in one write, nothing waits for more, and comments show proxies that the
/// stream is alive.
pub(crate) struct Events {
    events: EventStream,
    comments: Option<Interval>,
    ended: bool,
}

impl Events {
    /// A stream of events that are encoded already.
    pub(crate) fn encoded(events: EventStream) -> Self {
        Self { events, comments: None, ended: false }
    }

    /// A stream of messages, each an event without an id.
    pub(crate) fn plain(messages: EventStream) -> Self {
        Self::encoded(Box::pin(messages.map(|message| sse::encode_message(&message))))
    }

    pub(crate) fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut batch = Batch::default();
        while !self.ended && batch.len() < BATCH_BYTES {
            match self.events.as_mut().poll_next(cx) {
                Poll::Ready(Some(event)) => batch.push(event),
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => break,
            }
        }
        if batch.len() > 0 {
            return Poll::Ready(Some(batch.finish()));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let comments = self.comments.get_or_insert_with(|| {
            let mut comments = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
            comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
            comments
        });
        ready!(comments.poll_tick(cx));
        Poll::Ready(Some(Bytes::from_static(sse::KEEP_ALIVE)))
    }
}

/// Events of one write; a single one, the usual case, is not copied.
#[derive(Default)]
struct Batch {
    first: Bytes,
    more: BytesMut,
}

impl Batch {
    fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    fn push(&mut self, event: Bytes) {
        if self.first.is_empty() {
            self.first = event;
        } else {
            self.more.extend_from_slice(&event);
        }
    }

    fn finish(self) -> Bytes {
        if self.more.is_empty() {
            return self.first;
        }
        let mut all = BytesMut::from(self.first);
        all.extend_from_slice(&self.more);
        all.freeze()
    }
}

#[cfg(test)]
mod tests;
