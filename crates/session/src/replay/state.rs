//! What the tracks of one session keep.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{EventId, TrackKind};

/// How long a track is kept once it is done.
const KEPT: Duration = Duration::from_secs(5 * 60);

/// Events up to this length are copied: a slice would keep all of the buffer that it was read into.
const COPIED: usize = 32 * 1024;

/// What all tracks of a session keep together, at most.
#[derive(Clone)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// Bytes that all sessions keep together, and how many are too many.
    pub(super) total: Arc<AtomicUsize>,
    pub(super) total_bytes: usize,
}

pub(super) struct State {
    limits: Limits,
    /// The number of the listening track; random, so that an id of an earlier process is not taken for one of this.
    listening: u64,
    last_track: u64,
    /// By their numbers. Most sessions have one: a tree would have room for eleven.
    tracks: Vec<Log>,
    /// Events ever recorded.
    recorded: u64,
    events: usize,
    bytes: usize,
}

/// The events of one track.
struct Log {
    track: u64,
    kind: TrackKind,
    /// The number of the last event; that of the first is 1.
    last: u64,
    kept: VecDeque<Event>,
    done: Option<Instant>,
    /// The reader that counts, of all there were.
    reader: u64,
}

struct Event {
    /// Its place among all events of the session.
    place: u64,
    message: Bytes,
}

/// What a reader finds.
pub(super) enum Read {
    Event(Bytes),
    Nothing,
    Over,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        // The upper half leaves room to count on, and keeps ids short.
        let listening = domain::random_uuid().as_u64_pair().0 >> 32;
        Self {
            limits,
            listening,
            last_track: listening,
            tracks: Vec::with_capacity(1),
            recorded: 0,
            events: 0,
            bytes: 0,
        }
    }

    /// The number of a track to record on.
    pub(super) fn open(&mut self, kind: TrackKind) -> u64 {
        let number = match kind {
            TrackKind::Listen => self.listening,
            TrackKind::Answer => {
                self.last_track += 1;
                self.last_track
            }
        };
        if let Err(place) = place(&self.tracks, number) {
            self.tracks.insert(place, Log::new(number, kind));
        }
        number
    }

    fn log(&self, track: u64) -> Option<&Log> {
        place(&self.tracks, track).ok().and_then(|place| self.tracks.get(place))
    }

    fn log_mut(&mut self, track: u64) -> Option<&mut Log> {
        place(&self.tracks, track).ok().and_then(|place| self.tracks.get_mut(place))
    }

    /// The last event of a track; number 0 when there was none.
    pub(super) fn last(&self, track: u64) -> EventId {
        EventId { track, number: self.log(track).map_or(0, |log| log.last) }
    }

    /// Keeps an event of an open track.
    pub(super) fn record(&mut self, track: u64, message: Bytes) -> EventId {
        let place = self.recorded + 1;
        if let Some(log) = self.log_mut(track) {
            let kept =
                if message.len() <= COPIED { Bytes::copy_from_slice(&message) } else { message };
            let length = kept.len();
            log.last += 1;
            log.kept.push_back(Event { place, message: kept });
            self.recorded = place;
            self.events += 1;
            self.bytes += length;
            self.limits.total.fetch_add(length, Ordering::Relaxed);
        }
        self.trim();
        self.last(track)
    }

    /// Drops what is over the limits. The newest event stays unless all sessions together keep too much and it is
    /// long: any number of sessions would come to any number of bytes.
    fn trim(&mut self) {
        while self.is_over() {
            let done = self.tracks.iter().filter_map(|log| Some((log.done?, log.track)));
            if let Some((_, oldest)) = done.min() {
                self.forget(oldest);
                continue;
            }
            let logs = self.tracks.iter_mut().filter(|log| !log.kept.is_empty());
            let oldest = logs.min_by_key(|log| log.kept.front().map(|event| event.place));
            let Some(event) = oldest.and_then(|log| log.kept.pop_front()) else { return };
            self.release(1, event.message.len());
        }
    }

    fn is_over(&self) -> bool {
        let Limits { events, bytes, total, total_bytes } = &self.limits;
        let together = total.load(Ordering::Relaxed) > *total_bytes;
        match self.events {
            0 => false,
            1 => together && self.bytes > COPIED,
            kept => together || kept > *events || self.bytes > *bytes,
        }
    }

    fn release(&mut self, events: usize, bytes: usize) {
        self.events -= events;
        self.bytes -= bytes;
        self.limits.total.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes that nothing more comes on a track.
    pub(super) fn finish(&mut self, track: u64, now: Instant) {
        self.expire(now);
        match self.log_mut(track) {
            Some(log) if !log.kept.is_empty() => log.done = Some(now),
            _ => self.forget(track),
        }
    }

    /// Forgets tracks that were done long ago.
    pub(super) fn expire(&mut self, now: Instant) {
        let long_ago = |done: Instant| now.saturating_duration_since(done) >= KEPT;
        let expired = self.tracks.iter().filter(|log| log.done.is_some_and(long_ago));
        let expired: Vec<u64> = expired.map(|log| log.track).collect();
        for track in expired {
            self.forget(track);
        }
    }

    fn forget(&mut self, track: u64) {
        if let Ok(place) = place(&self.tracks, track) {
            let log = self.tracks.remove(place);
            let bytes = log.kept.iter().map(|event| event.message.len()).sum();
            self.release(log.kept.len(), bytes);
        }
    }

    /// A new reader for what comes after `last`, if all of that is kept.
    pub(super) fn resume(&mut self, last: EventId) -> Option<(TrackKind, u64)> {
        let log = self.log_mut(last.track)?;
        if last.number > log.last || last.number + 1 < log.first() {
            return None;
        }
        log.reader += 1;
        Some((log.kind, log.reader))
    }

    /// What `reader` finds at `next`.
    pub(super) fn read(&self, next: EventId, reader: u64) -> Read {
        let log = match self.log(next.track) {
            Some(log) if log.reader == reader => log,
            _ => return Read::Over,
        };
        if next.number > log.last {
            let open = log.kind == TrackKind::Answer && log.done.is_none();
            return if open { Read::Nothing } else { Read::Over };
        }
        // An event before the first that is kept is a gap.
        let place = next.number.checked_sub(log.first()).and_then(|it| usize::try_from(it).ok());
        let event = place.and_then(|place| log.kept.get(place));
        event.map_or(Read::Over, |event| Read::Event(event.message.clone()))
    }

    /// Tracks, events and bytes that are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize, usize) {
        (self.tracks.len(), self.events, self.bytes)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.release(self.events, self.bytes);
    }
}

/// Where a track is, or would be.
fn place(tracks: &[Log], track: u64) -> Result<usize, usize> {
    tracks.binary_search_by_key(&track, |log| log.track)
}

impl Log {
    fn new(track: u64, kind: TrackKind) -> Self {
        Self { track, kind, last: 0, kept: VecDeque::new(), done: None, reader: 0 }
    }

    /// The number of the first event that is kept; of the next one when none is.
    fn first(&self) -> u64 {
        (self.last + 1).saturating_sub(self.kept.len() as u64)
    }
}
