//! The events that a client can ask for again with `Last-Event-ID` (MCP 2025-03-26 to 2025-11-25, "Resumability and
//! Redelivery").
//!
//! Every event stream of a session is a [`Track`]: the one of `GET`, which has no end, and one for each streamed
//! answer. Events are numbered within their track, and never cross to another. What all tracks of a session keep is
//! bounded in events and bytes together: whole tracks that are done go first, then the oldest events. All sessions
//! together are bounded too. A session that never streamed keeps nothing. Nothing here waits for a reader: one that is
//! too far behind finds a gap, and ends.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use domain::Clock;
use tokio::sync::Notify;

use crate::Config;

mod state;

use state::{Limits, Read, State};

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// What the server sends on its own account, to the client's `GET`.
    Listen,
    /// One streamed answer, to the client's `POST`.
    Answer,
}

/// Names an event in its session: `{track}-{number}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    track: u64,
    number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.track, self.number)
    }
}

impl FromStr for EventId {
    type Err = ();

    /// Reads exactly what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (track, number) = text.split_once('-').ok_or(())?;
        let number_of = |digits: &str| digits.parse().map_err(|_| ());
        let id = Self { track: number_of(track)?, number: number_of(number)? };
        if id.to_string() == text { Ok(id) } else { Err(()) }
    }
}

/// The tracks of one session.
pub struct Replay {
    limits: Limits,
    clock: Arc<dyn Clock>,
    tracks: OnceLock<Arc<Tracks>>,
}

struct Tracks {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// For readers: there is an event, an end or another reader.
    changed: Notify,
}

impl Replay {
    /// `total` counts the bytes that all sessions keep.
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>, total: &Arc<AtomicUsize>) -> Self {
        let limits = Limits {
            events: config.replay_events,
            bytes: config.replay_bytes,
            total: Arc::clone(total),
            total_bytes: config.replay_total_bytes,
        };
        Self { limits, clock, tracks: OnceLock::new() }
    }

    /// A track to record on: the listening one, or a new one for an answer. Dropping the latter means that its answer
    /// is complete.
    pub fn open_track(&self, kind: TrackKind) -> Track {
        let tracks = Arc::clone(self.tracks.get_or_init(|| Arc::new(Tracks::new(self))));
        let number = tracks.state().open(kind);
        Track { tracks, kind, number }
    }

    /// The events after the one that the client had last. `None` for what is no id, for an event that this session did
    /// not send (an earlier process or another replica may have), and when events after it are no longer kept. Readers
    /// of the same track that were there before end.
    pub fn resume(&self, last_event_id: &str) -> Option<Resumed> {
        let last: EventId = last_event_id.parse().ok()?;
        let tracks = self.tracks.get()?;
        let (kind, reader) = {
            let mut state = tracks.state();
            state.expire(self.clock.monotonic());
            state.resume(last)?
        };
        tracks.changed.notify_waiters();
        let next = EventId { track: last.track, number: last.number + 1 };
        Some(Resumed { tracks: Arc::clone(tracks), kind, next, reader })
    }

    /// Forgets tracks that were done long ago.
    pub(crate) fn expire(&self) {
        if let Some(tracks) = self.tracks.get() {
            tracks.state().expire(self.clock.monotonic());
        }
    }
}

impl Tracks {
    fn new(replay: &Replay) -> Self {
        Self {
            clock: Arc::clone(&replay.clock),
            state: Mutex::new(State::new(replay.limits.clone())),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One event stream, as whoever writes it sees it.
pub struct Track {
    tracks: Arc<Tracks>,
    kind: TrackKind,
    number: u64,
}

impl Track {
    /// An id from before the next event, to give the client something to resume from when there was no event yet.
    pub fn prime(&self) -> EventId {
        self.tracks.state().last(self.number)
    }

    /// Keeps an event and returns its id. Events over the limits are dropped, the oldest first.
    pub fn record(&self, message: Bytes) -> EventId {
        let id = self.tracks.state().record(self.number, message);
        self.tracks.changed.notify_waiters();
        id
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        if self.kind == TrackKind::Answer {
            self.tracks.state().finish(self.number, self.tracks.clock.monotonic());
            self.tracks.changed.notify_waiters();
        }
    }
}

/// What a client missed, and what comes after it. One reader a track: the last one.
pub struct Resumed {
    tracks: Arc<Tracks>,
    kind: TrackKind,
    next: EventId,
    reader: u64,
}

impl Resumed {
    /// What the track carries. A listening track is not read to its end: once what was missed is out, its next messages
    /// are in the [`Outbox`](crate::Outbox).
    pub fn kind(&self) -> TrackKind {
        self.kind
    }

    /// The next event. `None` after the last event of an answer; on a listening track once nothing is left of what was
    /// missed; and when another reader resumed the track, or this one fell behind what is kept. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> Option<(EventId, Bytes)> {
        loop {
            let changed = self.tracks.changed.notified();
            // The lock is let go before the wait.
            let found = self.tracks.state().read(self.next, self.reader);
            match found {
                Read::Event(message) => {
                    let id = self.next;
                    self.next.number += 1;
                    return Some((id, message));
                }
                Read::Over => return None,
                Read::Nothing => changed.await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
