//! What goes on after its client has left. Up to MCP 2025-11-25 a lost connection is not a cancellation: a request is
//! handled to its end, so that the session stays in step with the server and a resumed stream finds the rest. Since
//! 2026-07-28 leaving cancels, and nothing of this file is in the way: what is dropped is over.
//!
//! `initialize` must not be cancelled at all. Whoever leaves during it never learns of the session, which therefore ends
//! with the answer: only then is it known what there is to end at the server.
//!
//! A request that is waited for to its end costs nothing more: the rest is handed over only when the connection drops
//! it. It is bounded by the time-outs of the upstream and by the requests that a session may have in flight, and ends
//! with the session or the gateway.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use domain::BoxFuture;
use futures_util::{Stream, StreamExt};
use router::{EventStream, Received, Reply, ReplyBody};
use session::Session;
use tokio::runtime::Handle;

use crate::app::Shared;

impl Shared {
    /// Does work that no connection waits for, until the gateway stops.
    pub(crate) fn go_on(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        // Without a runtime the process is at its end, and what is dropped has its row.
        if let Ok(runtime) = Handle::try_current() {
            // Each async block around a future makes room for it again, and WebSockets stay for long.
            let work = Box::pin(work);
            let work = async move { abort.run_until_cancelled(work).await.unwrap_or_default() };
            drop(self.behind.spawn_on(work, &runtime));
        }
    }
}

/// What a request needs to go on without its client.
#[derive(Clone)]
pub(crate) struct Rest {
    session: Arc<Session>,
    /// Whether it opens the session.
    opens: bool,
    shared: Arc<Shared>,
}

impl Rest {
    pub(crate) fn of(received: &Received, shared: &Arc<Shared>) -> Self {
        let opens = received.opens_session();
        Self { opens, ..Self::in_session(received.session(), shared) }
    }

    /// Of requests in a session that is open.
    pub(crate) fn in_session(session: &Arc<Session>, shared: &Arc<Shared>) -> Self {
        Self { session: Arc::clone(session), opens: false, shared: Arc::clone(shared) }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Does the work until the session is over, and ends a session that is not open yet.
    fn go_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Self { session, opens, shared } = self.clone();
        let unheard = opens && session.negotiated().is_none();
        self.shared.go_on(async move {
            tokio::select! {
                () = work => {}
                () = session.closed() => {}
            }
            if unheard {
                shared.router.close(&session).await;
            }
        });
    }
}

/// The handling of a request, which goes on when the connection is lost.
pub(crate) struct Handling {
    reply: Option<BoxFuture<'static, Reply>>,
    rest: Rest,
}

impl Handling {
    pub(crate) fn new(reply: BoxFuture<'static, Reply>, rest: Rest) -> Self {
        Self { reply: Some(reply), rest }
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }
}

impl Future for Handling {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let Some(reply) = &mut self.reply else { return Poll::Pending };
        let reply = ready!(reply.as_mut().poll(cx));
        self.reply = None;
        Poll::Ready(reply)
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let Some(reply) = self.reply.take() else { return };
        self.rest.go_on(async move {
            if let ReplyBody::Events(messages) = reply.await.body {
                drain(messages).await;
            }
        });
    }
}

/// The events of an answer, which go on when the connection is lost.
pub(crate) struct Answer {
    events: Option<EventStream>,
    rest: Rest,
}

impl Answer {
    pub(crate) fn new(events: EventStream, rest: &Rest) -> Self {
        Self { events: Some(events), rest: rest.clone() }
    }
}

impl Stream for Answer {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        let event = ready!(events.as_mut().poll_next(cx));
        if event.is_none() {
            self.events = None;
        }
        Poll::Ready(event)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(events) = self.events.take() {
            self.rest.go_on(drain(events));
        }
    }
}

async fn drain(events: EventStream) {
    events.for_each(|_| std::future::ready(())).await;
}
