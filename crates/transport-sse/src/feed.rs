//! `GET /sse`: the stream of one session.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use domain::{ErrorKind, Failure};
use futures_util::stream::unfold;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use protocol::sse;
use router::Caller;
use session::{Session, Stream};
use tokio::runtime::Handle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::{Shared, reply};

/// Above this, messages that are ready wait for the next write.
const BATCH_BYTES: usize = 64 * 1024;

/// Opens a session and answers with its stream.
pub(crate) async fn open(shared: &Arc<Shared>, caller: &Caller) -> Response {
    let session = match shared.router.open(caller).await {
        Ok(session) => session,
        Err(refused) => return reply::respond(refused.reply),
    };
    let ending = Ending::of(shared, &session);
    let Some(messages) = session.attach() else {
        let failure = Failure::new(ErrorKind::Internal, "the session cannot be read");
        return refuse(shared, caller, failure).await;
    };
    let endpoint = format!("/message?sessionId={}", session.token().expose());
    let period = shared.options.keep_alive;
    let mut comments = interval_at(Instant::now() + period, period);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        endpoint: Some(sse::encode_event("endpoint", None, endpoint.as_bytes())),
        messages,
        comments,
        ending,
    };
    let events = unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn refuse(shared: &Shared, caller: &Caller, failure: Failure) -> Response {
    reply::refuse(&shared.router, caller, None, failure, 0).await
}

/// What a stream carries, in order.
struct Feed {
    /// The first event, until it is sent.
    endpoint: Option<Bytes>,
    messages: Stream,
    comments: Interval,
    ending: Ending,
}

impl Feed {
    /// What to write next; `None` at the end of the session, or when the gateway shuts down and everything is said.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(endpoint) = self.endpoint.take() {
            return Some(endpoint);
        }
        let message = tokio::select! {
            biased;
            message = self.messages.next() => message,
            () = self.ending.drained() => self.messages.try_next(),
            _ = self.comments.tick() => return Some(Bytes::from_static(sse::KEEP_ALIVE)),
        };
        Some(self.batch(sse::encode_message(&message?)))
    }

    /// An event with those that are ready behind it, for one write.
    fn batch(&mut self, first: Bytes) -> Bytes {
        let Some(second) = self.messages.try_next() else { return first };
        let mut batch = BytesMut::from(first);
        batch.extend_from_slice(&sse::encode_message(&second));
        while batch.len() < BATCH_BYTES {
            let Some(message) = self.messages.try_next() else { break };
            batch.extend_from_slice(&sse::encode_message(&message));
        }
        batch.freeze()
    }
}

/// Ends the session when its stream is dropped, which is how the end of the connection shows.
struct Ending {
    shared: Arc<Shared>,
    session: Arc<Session>,
    /// The stream's own, so that streams do not meet at the lock of the common one.
    shutdown: CancellationToken,
    runtime: Handle,
}

impl Ending {
    fn of(shared: &Arc<Shared>, session: &Arc<Session>) -> Self {
        Self {
            shared: Arc::clone(shared),
            session: Arc::clone(session),
            shutdown: shared.options.shutdown.child_token(),
            runtime: Handle::current(),
        }
    }

    /// Waits until the gateway shuts down and no answer is under way.
    async fn drained(&self) {
        self.shutdown.cancelled().await;
        self.shared.calls.close();
        self.shared.calls.wait().await;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (shared, session) = (Arc::clone(&self.shared), Arc::clone(&self.session));
        self.runtime.spawn(async move { shared.router.close(&session).await });
    }
}
