//! Streams that a client can come back to (MCP 2025-03-26 to 2025-11-25, "Resumability and Redelivery").
//!
//! Each event of a stream has an id, which names the stream and the place in it, and is kept by the session within
//! bounds. A client that lost a stream names the last event it saw, and gets what followed and what is still to come.
//! The ids of the listening stream are marked, so that it goes on even where nobody remembers the event: in another
//! replica, after a restart, or when too much was missed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{iter, unfold};
use futures_util::{FutureExt, StreamExt};
use protocol::{ProtocolVersion, sse};
use router::EventStream;
use session::{EventId, Resumed, Session, Track, TrackKind};
use tokio_util::sync::CancellationToken;

/// How long a client is asked to wait before it comes back, in milliseconds.
const RETRY_MS: u64 = 1000;
/// What the ids of the listening stream begin with.
const LISTENING: &str = "listen-";

/// The listening stream of a session as events, until the session is over, another stream takes its place, or the
/// gateway shuts down. `missed` goes first.
pub(crate) fn listening(
    session: &Arc<Session>,
    live: session::Stream,
    missed: Option<Resumed>,
    draining: CancellationToken,
) -> EventStream {
    let track = is_offered(session).then(|| session.replay().open_track(TrackKind::Listen));
    let first = track.as_ref().and_then(|track| primer(track, TrackKind::Listen, session));
    let events = unfold(Some(Listening { live, missed, track }), move |listening| {
        let draining = draining.clone();
        async move {
            let mut listening = listening?;
            tokio::select! {
                biased;
                event = listening.next() => Some((event?, Some(listening))),
                () = draining.cancelled() => Some((retry(), None)),
            }
        }
    });
    iter(first).chain(events).boxed()
}

struct Listening {
    live: session::Stream,
    missed: Option<Resumed>,
    track: Option<Track>,
}

impl Listening {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(missed) = &mut self.missed {
            if let Some((id, message)) = missed.next().await {
                return Some(event(id, TrackKind::Listen, &message));
            }
            self.missed = None;
        }
        let Some(track) = &self.track else {
            return self.live.next().await.map(|message| sse::encode_message(&message));
        };
        let (id, message) = self.live.next_recorded(track).await?;
        Some(event(id, TrackKind::Listen, &message))
    }
}

/// The messages of an answer as events, each kept until the client had the chance to come back for it.
pub(crate) fn answer(session: &Session, messages: EventStream) -> EventStream {
    if !is_offered(session) {
        return messages.map(|message| sse::encode_message(&message)).boxed();
    }
    let track = session.replay().open_track(TrackKind::Answer);
    let first = primer(&track, TrackKind::Answer, session);
    let events = messages.map(move |message| {
        let id = track.record(message.clone());
        event(id, TrackKind::Answer, &message)
    });
    iter(first).chain(events).boxed()
}

/// What a client finds that comes back.
pub(crate) enum Found {
    /// Its listening stream, with what it missed where that is still known.
    Listening(Option<Resumed>),
    /// The rest of an answer.
    Rest(EventStream),
    /// An answer of which it has everything.
    Nothing,
    /// No stream: what is left of the answer is not kept here.
    Unknown,
}

/// Finds the stream that an event belongs to.
pub(crate) fn find(session: &Session, last_event_id: &str) -> Found {
    if let Some(id) = last_event_id.strip_prefix(LISTENING) {
        let missed = session.replay().resume(id);
        return Found::Listening(missed.filter(|missed| missed.kind() == TrackKind::Listen));
    }
    let rest = session.replay().resume(last_event_id);
    let Some(mut rest) = rest.filter(|rest| rest.kind() == TrackKind::Answer) else {
        return Found::Unknown;
    };
    let first = match rest.next().now_or_never() {
        Some(None) => return Found::Nothing,
        Some(next) => next,
        None => None,
    };
    let live = unfold(rest, |mut rest| async { Some((rest.next().await?, rest)) });
    let events = iter(first).chain(live);
    Found::Rest(events.map(|(id, message)| event(id, TrackKind::Answer, &message)).boxed())
}

/// Whether the session's revision has streams to come back to.
fn is_offered(session: &Session) -> bool {
    session.negotiated().is_some_and(|version| version >= ProtocolVersion::V2025_03_26)
}

/// An event without a message, which 2025-11-25 has at the beginning: there is something to come back to even if the
/// stream breaks off before its first message.
fn primer(track: &Track, kind: TrackKind, session: &Session) -> Option<Bytes> {
    let primed = session.negotiated() >= Some(ProtocolVersion::V2025_11_25);
    primed.then(|| sse::encode_priming(&name(track.prime(), kind), Some(RETRY_MS)))
}

/// What is said before a stream ends for which the client is to come back.
fn retry() -> Bytes {
    format!("retry: {RETRY_MS}\n\n").into()
}

fn event(id: EventId, kind: TrackKind, message: &[u8]) -> Bytes {
    sse::encode_with_id(&name(id, kind), message)
}

/// An event id as clients see it.
fn name(id: EventId, kind: TrackKind) -> String {
    match kind {
        TrackKind::Listen => format!("{LISTENING}{id}"),
        TrackKind::Answer => id.to_string(),
    }
}
