use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use testkit::clock::ManualClock;

use super::{EventId, Replay, Resumed, Track, TrackKind};
use crate::fixture::small;

/// A replay that keeps four events and 100 bytes.
fn replay() -> (Replay, Arc<ManualClock>) {
    let clock = ManualClock::new();
    (beside(&clock, &Arc::default()), clock)
}

/// A replay that keeps no more than 150 bytes together with others of the same `total`.
fn beside(clock: &Arc<ManualClock>, total: &Arc<AtomicUsize>) -> Replay {
    Replay::new(&small(), Arc::<ManualClock>::clone(clock), total)
}

fn record(track: &Track, message: &'static str) -> String {
    track.record(Bytes::from_static(message.as_bytes())).to_string()
}

/// What is there to read now, each message with whether the stream then waits (`…`) or is over (`.`).
fn read(resumed: &mut Resumed) -> String {
    let mut found = String::new();
    loop {
        match resumed.next().now_or_never() {
            Some(Some((_, message))) => found.push_str(std::str::from_utf8(&message).unwrap()),
            Some(None) => return found + ".",
            None => return found + "…",
        }
    }
}

#[track_caller]
fn check(replay: &Replay, last_event_id: &str, expected: Option<&str>) {
    let found = replay.resume(last_event_id).map(|mut resumed| read(&mut resumed));
    assert_eq!(found.as_deref(), expected, "after {last_event_id}");
}

#[test]
fn a_resumed_answer_goes_on_where_it_was_lost_and_ends() {
    let (replay, _) = replay();
    let track = replay.open_track(TrackKind::Answer);
    let primed = track.prime().to_string();
    let first = record(&track, "a");
    let second = record(&track, "b");
    check(&replay, &primed, Some("ab…"));
    let mut resumed = replay.resume(&first).unwrap();
    assert_eq!(resumed.kind(), TrackKind::Answer);
    assert_eq!(read(&mut resumed), "b…");
    let third = record(&track, "c");
    assert_eq!(read(&mut resumed), "c…");
    drop(track);
    assert_eq!(read(&mut resumed), ".");
    check(&replay, &second, Some("c."));
    check(&replay, &third, Some("."));
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_an_event_and_by_the_end() {
    let (replay, _) = replay();
    let track = replay.open_track(TrackKind::Answer);
    let mut resumed = replay.resume(&track.prime().to_string()).unwrap();
    let (found, ()) = tokio::join!(resumed.next(), async {
        tokio::task::yield_now().await;
        record(&track, "a");
    });
    let (id, message) = found.unwrap();
    assert_eq!((message, id.to_string()), (Bytes::from("a"), track.prime().to_string()));
    let (end, ()) = tokio::join!(resumed.next(), async {
        tokio::task::yield_now().await;
        drop(track);
    });
    assert!(end.is_none());
}

#[test]
fn a_listening_track_outlives_its_streams_and_is_read_to_what_was_missed() {
    let (replay, _) = replay();
    let first = replay.open_track(TrackKind::Listen);
    let seen = record(&first, "a");
    record(&first, "b");
    drop(first);
    let second = replay.open_track(TrackKind::Listen);
    record(&second, "c");
    check(&replay, &seen, Some("bc."));
    assert_eq!(replay.resume(&seen).unwrap().kind(), TrackKind::Listen);
}

#[test]
fn events_never_cross_to_another_track() {
    let (replay, _) = replay();
    let listen = replay.open_track(TrackKind::Listen);
    let [one, other] = [(); 2].map(|()| replay.open_track(TrackKind::Answer));
    let primed = [&listen, &one, &other].map(|track| track.prime().to_string());
    record(&one, "1");
    record(&listen, "l");
    record(&other, "2");
    record(&one, "3");
    for (primed, expected) in primed.iter().zip(["l.", "13…", "2…"]) {
        check(&replay, primed, Some(expected));
    }
}

#[test]
fn the_last_reader_of_a_track_counts() {
    let (replay, _) = replay();
    let track = replay.open_track(TrackKind::Answer);
    let primed = track.prime().to_string();
    let mut first = replay.resume(&primed).unwrap();
    record(&track, "a");
    let mut second = replay.resume(&primed).unwrap();
    assert_eq!(read(&mut first), ".");
    assert_eq!(read(&mut second), "a…");
}

#[test]
fn what_was_not_sent_cannot_be_resumed() {
    let (replay, _) = replay();
    check(&replay, "1-0", None);
    let track = replay.open_track(TrackKind::Answer);
    let last = record(&track, "a");
    let (number, _) = last.split_once('-').unwrap();
    let number: u64 = number.parse().unwrap();
    let future = format!("{number}-2");
    let unknown = format!("{}-0", number + 1);
    let spelled =
        [format!("+{last}"), format!("0{last}"), format!("{last} "), format!("{number}-01")];
    for id in spelled.iter().chain([&future, &unknown]) {
        check(&replay, id, None);
    }
    for id in ["", "-", "a-b", "1", "1-", "-1", "1-2-3", "18446744073709551616-0"] {
        check(&replay, id, None);
    }
    check(&replay, &format!("{number}-{}", u64::MAX), None);
    check(&replay, &last, Some("…"));
}

#[test]
fn ids_of_an_earlier_process_are_unknown() {
    let first = replay().0.open_track(TrackKind::Listen).prime();
    let second = replay().0.open_track(TrackKind::Listen).prime();
    assert_ne!(first, second);
}

#[test]
fn beyond_the_limits_the_oldest_events_go() {
    let (replay, _) = replay();
    let track = replay.open_track(TrackKind::Answer);
    let primed = track.prime().to_string();
    let ids: Vec<_> = ["a", "b", "c", "d", "e"].map(|text| record(&track, text)).into();
    check(&replay, &primed, None);
    check(&replay, &ids[0], Some("bcde…"));
    let long = Box::leak("x".repeat(100).into_boxed_str());
    record(&track, long);
    check(&replay, &ids[3], None);
    check(&replay, &ids[4], Some(&format!("{long}…")));
    let longer = Box::leak("y".repeat(120).into_boxed_str());
    let before = track.prime().to_string();
    record(&track, longer);
    check(&replay, &before, Some(&format!("{longer}…")));
}

#[test]
fn answers_that_are_complete_make_room_first() {
    let (replay, clock) = replay();
    let listen = replay.open_track(TrackKind::Listen);
    let listening = listen.prime().to_string();
    record(&listen, "l");
    let done = [("a", "b"), ("c", "")].map(|(first, second)| {
        let track = replay.open_track(TrackKind::Answer);
        let primed = track.prime().to_string();
        for message in [first, second].into_iter().filter(|message| !message.is_empty()) {
            record(&track, message);
        }
        clock.advance(Duration::from_secs(1));
        primed
    });
    check(&replay, &done[0], Some("ab."));
    let track = replay.open_track(TrackKind::Answer);
    record(&track, "d");
    check(&replay, &done[0], None);
    check(&replay, &done[1], Some("c."));
    check(&replay, &listening, Some("l."));
}

#[test]
fn a_complete_answer_is_forgotten_after_a_while() {
    let (replay, clock) = replay();
    let track = replay.open_track(TrackKind::Answer);
    let primed = track.prime().to_string();
    record(&track, "a");
    clock.advance(Duration::from_secs(3_600));
    replay.expire();
    check(&replay, &primed, Some("a…"));
    drop(track);
    clock.advance(Duration::from_secs(299));
    replay.expire();
    check(&replay, &primed, Some("a."));
    clock.advance(Duration::from_secs(1));
    replay.expire();
    check(&replay, &primed, None);
    assert_eq!(replay.tracks.get().unwrap().state().kept(), (0, 0, 0));
}

#[test]
fn all_sessions_together_are_bounded() {
    let (clock, total) = (ManualClock::new(), Arc::default());
    let [one, other] = [(); 2].map(|()| beside(&clock, &total));
    let text: &str = Box::leak("x".repeat(40).into_boxed_str());
    let [of_one, of_other] = [&one, &other].map(|it| it.open_track(TrackKind::Answer));
    let primed = of_one.prime().to_string();
    record(&of_one, text);
    let second = record(&of_one, text);
    record(&of_other, text);
    check(&one, &primed, Some(&format!("{text}{text}…")));
    let before = of_other.prime().to_string();
    record(&of_other, text);
    assert_eq!(total.load(Ordering::Relaxed), 120);
    check(&other, &before, Some(&format!("{text}…")));
    check(&one, &primed, Some(&format!("{text}{text}…")));
    record(&of_one, text);
    check(&one, &second, Some(&format!("{text}…")));
    assert_eq!(total.load(Ordering::Relaxed), 120);
    drop((one, of_one));
    assert_eq!(total.load(Ordering::Relaxed), 40);
    drop((other, of_other));
    assert_eq!(total.load(Ordering::Relaxed), 0);
}

#[test]
fn long_events_are_not_kept_beyond_what_all_sessions_may() {
    let (clock, total) = (ManualClock::new(), Arc::default());
    let long = Bytes::from(vec![b'x'; 64 * 1024]);
    let tracks: Vec<_> =
        (0..8).map(|_| beside(&clock, &total).open_track(TrackKind::Listen)).collect();
    for track in &tracks {
        track.record(long.clone());
    }
    assert_eq!(total.load(Ordering::Relaxed), 0);
    let short = Bytes::from(vec![b'x'; 1024]);
    for track in &tracks {
        track.record(short.clone());
    }
    assert_eq!(total.load(Ordering::Relaxed), 8 * 1024);
}

#[test]
fn a_reader_that_falls_behind_what_is_kept_ends() {
    let (replay, _) = replay();
    let track = replay.open_track(TrackKind::Answer);
    let mut resumed = replay.resume(&track.prime().to_string()).unwrap();
    for message in ["a", "b", "c", "d", "e"] {
        record(&track, message);
    }
    assert_eq!(read(&mut resumed), ".");
}

#[test]
fn nothing_is_kept_before_the_first_stream_and_nothing_of_an_empty_one() {
    let (replay, _) = replay();
    assert!(replay.tracks.get().is_none());
    drop(replay.open_track(TrackKind::Answer));
    assert_eq!(replay.tracks.get().unwrap().state().kept(), (0, 0, 0));
}

#[test]
fn an_id_reads_as_it_is_written() {
    let id = EventId { track: u64::MAX, number: 0 };
    assert_eq!(id.to_string().parse(), Ok(id));
}
