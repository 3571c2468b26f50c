use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use domain::{ErrorKind, Span};
use proptest::prelude::*;
use protocol::ProtocolVersion;
use testkit::clock::ManualClock;

use crate::fixture::{
    INITIALIZE, announced, find, handshake, nowhere, open, opening, replica, small, table,
};
use crate::{Config, Session, Sessions};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_session_is_found_by_its_token_alone() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    assert!(Arc::ptr_eq(&sessions.get(session.token().expose()).unwrap(), &session));
    assert!(sessions.get(session.id().as_str()).is_none());
    assert!(sessions.get("").is_none());
}

#[test]
fn the_limit_refuses_and_removal_makes_room() {
    let (sessions, _) = table(small());
    let first = open(&sessions).unwrap();
    let _in_use =
        [open(&sessions).unwrap().enter(), open(&sessions).unwrap().enter(), first.enter()];
    let refused = open(&sessions).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Overloaded);
    assert!(refused.detail.contains("`session.max_sessions`"), "{refused}");
    assert!(!refused.message.contains("session.max_sessions"), "the client sees no internals");
    sessions.remove(first.token().expose()).unwrap();
    open(&sessions).unwrap();
    assert_eq!(sessions.len(), 3);
}

#[test]
fn a_session_that_did_not_come_to_be_takes_no_place() {
    let (sessions, _) = table(small());
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sessions.open(opening(), |_| panic!("no upstream side"))
    }));
    assert!(opened.is_err());
    assert!(sessions.is_empty());
}

#[test]
fn connect_is_given_a_handle_that_works_afterwards() {
    let (sessions, _) = table(small());
    let handle = Mutex::new(None);
    let other = open(&sessions).unwrap();
    let (session, _) = sessions
        .open(opening(), |weak| {
            assert!(weak.upgrade().is_none());
            *handle.lock().unwrap() = Some(weak.clone());
            Arc::clone(other.connection())
        })
        .unwrap();
    let handle = handle.into_inner().unwrap().unwrap();
    assert!(Arc::ptr_eq(&handle.upgrade().unwrap(), &session));
}

#[test]
fn one_of_many_removals_wins() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    let wins = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                if sessions.remove(session.token().expose()).is_some() {
                    wins.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(wins.into_inner(), 1);
    assert_eq!(sessions.len(), 0);
    assert!(session.is_closed());
}

#[test]
fn a_removed_session_is_held_by_no_one_else() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    assert_eq!(Arc::strong_count(&session), 2);
    sessions.remove(session.token().expose()).unwrap();
    assert_eq!(Arc::strong_count(&session), 1);
}

/// Opens a session, lets `use_it` make use of it (what it returns is kept), waits, and looks whether it ended.
#[track_caller]
fn check<T>(config: Config, wait: Duration, use_it: impl FnOnce(&Arc<Session>) -> T, ends: bool) {
    let (sessions, clock) = table(config);
    let session = open(&sessions).unwrap();
    clock.advance(SECOND);
    let used = use_it(&session);
    clock.advance(wait);
    assert_eq!(sessions.get(session.token().expose()).is_none(), ends, "get");
    assert_eq!(sessions.sweep().len(), usize::from(ends), "sweep");
    assert_eq!(sessions.len(), usize::from(!ends), "len");
    assert_eq!(session.is_closed(), ends, "closed");
    drop(used);
}

#[test]
fn limits_end_sessions() {
    let unlimited = Config { ttl: Span::secs(0), idle_timeout: Span::secs(0), ..small() };
    check(small(), 8 * SECOND, |_| (), false);
    check(small(), 9 * SECOND, |_| (), true);
    check(small(), 9 * SECOND, |session| session.touch(), false);
    check(small(), 10 * SECOND, |session| session.touch(), true);
    check(small(), 9 * SECOND, |session| drop(session.enter()), false);
    check(small(), 98 * SECOND, Session::enter, false);
    check(small(), 99 * SECOND, Session::enter, true);
    check(small(), 98 * SECOND, Session::attach, false);
    check(small(), 99 * SECOND, Session::attach, true);
    check(small(), 9 * SECOND, |session| drop(session.attach()), false);
    check(small(), Duration::ZERO, |session| session.close(), true);
    check(unlimited, 1_000_000 * SECOND, |_| (), false);
}

#[test]
fn a_call_that_outlasts_the_idle_limit_starts_it_anew() {
    let (sessions, clock) = table(small());
    let session = open(&sessions).unwrap();
    let call = session.enter();
    clock.advance(50 * SECOND);
    drop(call);
    clock.advance(9 * SECOND);
    assert!(sessions.sweep().is_empty());
    clock.advance(SECOND);
    assert_eq!(sessions.sweep().len(), 1);
}

#[test]
fn concurrent_openings_respect_the_limit() {
    let (sessions, _) = table(Config { max_sessions: 100, ..small() });
    let (opened, evicted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let Ok((_, gone)) = sessions.open(opening(), nowhere) else { continue };
                    opened.fetch_add(1, Ordering::Relaxed);
                    evicted.fetch_add(usize::from(gone.is_some()), Ordering::Relaxed);
                    assert!(sessions.len() <= 100);
                }
            });
        }
    });
    assert_eq!(opened.into_inner() - evicted.into_inner(), 100);
    assert_eq!(sessions.len(), 100);
    assert_eq!(sessions.all().len(), 100);
}

#[test]
fn the_session_that_was_idle_for_longest_makes_room() {
    let (sessions, clock) = table(small());
    let [first, second, third] = [(); 3].map(|()| {
        clock.advance(SECOND);
        open(&sessions).unwrap()
    });
    clock.advance(SECOND);
    first.touch();
    let call = second.enter();
    let (_, evicted) = sessions.open(opening(), nowhere).unwrap();
    assert!(Arc::ptr_eq(&evicted.unwrap(), &third), "the others were used, or are in use");
    assert!(third.is_closed() && !first.is_closed() && !second.is_closed());
    drop(call);
    clock.advance(SECOND);
    let _stream = first.attach();
    let (_, evicted) = sessions.open(opening(), nowhere).unwrap();
    let evicted = evicted.unwrap();
    assert!(!Arc::ptr_eq(&evicted, &first), "a stream is use");
    assert_eq!(sessions.len(), 3);
}

/// Clients that never say good-bye: `research` has four times the cap of them.
#[test]
fn abandoned_sessions_neither_refuse_new_ones_nor_are_lost() {
    let (sessions, clock) = table(Config { max_sessions: 256, ..Config::default() });
    let tokens: Vec<_> = (0..1024)
        .map(|_| {
            clock.advance(Duration::from_millis(1));
            announced(&sessions).token().clone()
        })
        .collect();
    assert_eq!((sessions.len(), sessions.all().len()), (256, 256));
    assert!(sessions.get(tokens[0].expose()).is_none(), "the oldest made room");
    for token in &tokens {
        clock.advance(Duration::from_millis(1));
        let session = find(&sessions, token.expose()).unwrap();
        assert_eq!(session.token(), token);
        assert!(!session.is_closed());
    }
    assert_eq!((sessions.len(), sessions.all().len()), (256, 256));
}

#[test]
fn an_announced_session_is_found_by_its_new_token_alone() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    let old = session.token().clone();
    let new = sessions.announce(&session, &handshake(INITIALIZE));
    assert_ne!(new, old);
    assert_eq!(session.token(), &new);
    assert!(sessions.get(old.expose()).is_none());
    assert!(Arc::ptr_eq(&sessions.get(new.expose()).unwrap(), &session));
    assert_eq!(sessions.announce(&session, &handshake(INITIALIZE)), new, "once");
    assert_eq!(sessions.len(), 1);
    assert!(sessions.remove(new.expose()).is_some());
    assert!(sessions.is_empty());
}

#[test]
fn a_session_that_ended_meanwhile_is_not_announced() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    sessions.remove(session.token().expose()).unwrap();
    let token = sessions.announce(&session, &handshake(INITIALIZE));
    assert!(find(&sessions, token.expose()).is_none());
}

#[test]
fn another_replica_goes_on_with_a_session() {
    let clock = ManualClock::new();
    let [here, there] = [(); 2].map(|()| replica(small(), &clock));
    clock.advance(30 * SECOND);
    let original = announced(&here);
    clock.advance(60 * SECOND);
    let token = original.token().expose();
    assert!(there.get(token).is_none());
    let sealed = there.unseal(token, "anonymous").unwrap();
    assert_eq!(sealed.handshake.initialize, INITIALIZE);
    assert_eq!(sealed.handshake.server_session, handshake(INITIALIZE).server_session);
    assert_eq!(sealed.handshake.server_version, ProtocolVersion::V2025_06_18);
    let (session, evicted) = there.adopt(sealed, token, opening(), nowhere).unwrap();
    assert!(evicted.is_none());
    assert_eq!(session.id(), original.id());
    assert_eq!(session.token(), original.token());
    assert_eq!(session.negotiated(), Some(ProtocolVersion::V2025_11_25));
    assert_eq!((session.started_at(), session.age()), (original.started_at(), 60 * SECOND));
    assert!(Arc::ptr_eq(&there.get(token).unwrap(), &session));
    clock.advance(9 * SECOND);
    assert!(there.get(token).is_some(), "its idle time begins when it comes");
    session.touch();
    let call = session.enter();
    clock.advance(31 * SECOND);
    assert!(there.get(token).is_none(), "its life began elsewhere");
    drop(call);
}

#[test]
fn of_several_adoptions_one_opens() {
    let clock = ManualClock::new();
    let [here, there] = [(); 2].map(|()| replica(small(), &clock));
    let original = announced(&here);
    let token = original.token().expose();
    let connected = AtomicUsize::new(0);
    let connect = |weak: &Weak<Session>| {
        connected.fetch_add(1, Ordering::Relaxed);
        nowhere(weak)
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let sealed = there.unseal(token, "anonymous").unwrap();
                there.adopt(sealed, token, opening(), connect).unwrap();
            });
        }
    });
    assert_eq!(connected.into_inner(), 1);
    assert_eq!((there.len(), there.all().len()), (1, 1));
}

/// Whether the token of an announced session is still worth something after `end` did something to it.
#[track_caller]
fn check_token(end: impl FnOnce(&Sessions, &Arc<Session>, &ManualClock), good: bool) {
    let (sessions, clock) = table(small());
    clock.advance(200 * SECOND);
    let session = announced(&sessions);
    end(&sessions, &session, &clock);
    assert_eq!(find(&sessions, session.token().expose()).is_some(), good);
}

#[test]
fn an_ended_session_does_not_come_back() {
    let end = |sessions: &Sessions, session: &Arc<Session>| {
        sessions.remove(session.token().expose()).unwrap();
    };
    check_token(|_, _, _| (), true);
    check_token(|sessions, session, _| end(sessions, session), false);
    check_token(|_, _, clock| clock.advance(10 * SECOND), false);
    check_token(
        |sessions, _, clock| {
            clock.advance(10 * SECOND);
            assert_eq!(sessions.sweep().len(), 1);
        },
        false,
    );
    let fill = |sessions: &Sessions| {
        for _ in 0..3 {
            open(sessions).unwrap().touch();
        }
    };
    check_token(
        |sessions, _, clock| {
            clock.advance(SECOND);
            fill(sessions);
        },
        true,
    );
    check_token(
        |sessions, _, clock| {
            clock.advance(10 * SECOND);
            fill(sessions);
        },
        false,
    );
}

#[test]
fn a_session_that_ends_between_unseal_and_adopt_stays_ended() {
    let (sessions, _) = table(small());
    let session = announced(&sessions);
    let token = session.token().expose();
    let sealed = sessions.unseal(token, "anonymous").unwrap();
    sessions.remove(token).unwrap();
    let refused = sessions.adopt(sealed, token, opening(), nowhere).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::SessionNotFound);
    assert!(sessions.is_empty());
}

#[test]
fn a_token_expires_by_the_wall_clock() {
    let clock = ManualClock::new();
    let [here, there] = [(); 2].map(|()| replica(small(), &clock));
    let token = announced(&here).token().clone();
    clock.advance(99 * SECOND);
    assert!(there.unseal(token.expose(), "anonymous").is_some());
    clock.advance(SECOND);
    assert!(there.unseal(token.expose(), "anonymous").is_none());
}

#[test]
fn a_token_from_a_clock_that_is_ahead_is_good_within_a_minute() {
    let ahead = ManualClock::new();
    ahead.advance(61 * SECOND);
    let token = announced(&replica(small(), &ahead)).token().clone();
    let ours = ManualClock::new();
    let there = replica(small(), &ours);
    assert!(there.unseal(token.expose(), "anonymous").is_none());
    ours.advance(SECOND);
    assert!(there.unseal(token.expose(), "anonymous").is_some());
}

#[test]
fn guesses_find_nothing() {
    let (sessions, _) = table(small());
    let session = announced(&sessions);
    let token = session.token().expose();
    let mut guess = token.as_bytes().to_vec();
    for count in 0..50_000_usize {
        // The first half guesses the key, the rest is sealed by it and wrong.
        let at = if count < 25_000 { 1 + count % 6 } else { 7 + count % (token.len() - 7) };
        guess[at] = if guess[at] == b'A' { b'B' } else { b'A' };
        let text = std::str::from_utf8(&guess).unwrap();
        if text != token {
            assert!(sessions.get(text).is_none() && sessions.unseal(text, "anonymous").is_none());
        }
    }
    assert!(sessions.unseal(&"A".repeat(1 << 20), "anonymous").is_none());
}

#[test]
fn stateless_clients_share_a_session_without_end() {
    let (sessions, clock) = table(small());
    let session = sessions.stateless(opening(), nowhere);
    assert!(session.is_stateless() && !open(&sessions).unwrap().is_stateless());
    let calls: Vec<_> = (0..5).filter_map(|_| session.enter()).collect();
    assert_eq!(calls.len(), 4, "as many as `max_stateless`");
    drop(calls);
    clock.advance(1_000 * SECOND);
    sessions.sweep();
    assert!(!session.is_closed());
    assert!(sessions.get(session.token().expose()).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    Remove(prop::sample::Index),
    RemoveAgain(prop::sample::Index),
    Wait(u64),
    Touch(prop::sample::Index),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Open),
        1 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => any::<prop::sample::Index>().prop_map(Step::RemoveAgain),
        2 => (0..12_u64).prop_map(Step::Wait),
        2 => any::<prop::sample::Index>().prop_map(Step::Touch),
        2 => Just(Step::Sweep),
    ]
}

/// A session as the test believes it to be.
struct Believed {
    session: Arc<Session>,
    opened: u64,
    touched: u64,
}

proptest! {
    #[test]
    fn counts_agree_with_a_model(steps in prop::collection::vec(step(), 1..60)) {
        let (sessions, clock) = table(Config { max_sessions: 5, ..small() });
        let (mut open_ones, mut gone, mut now) = (Vec::<Believed>::new(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Open => {
                    let (session, evicted) = sessions.open(opening(), nowhere).unwrap();
                    prop_assert_eq!(evicted.is_some(), open_ones.len() == 5);
                    if let Some(evicted) = evicted {
                        let at = open_ones.iter().position(|it| Arc::ptr_eq(&it.session, &evicted));
                        let believed = open_ones.swap_remove(at.unwrap());
                        prop_assert!(open_ones.iter().all(|it| it.touched >= believed.touched));
                        gone.push(evicted);
                    }
                    open_ones.push(Believed { session, opened: now, touched: now });
                }
                Step::Remove(index) if !open_ones.is_empty() => {
                    let believed = open_ones.swap_remove(index.index(open_ones.len()));
                    prop_assert!(sessions.remove(believed.session.token().expose()).is_some());
                    gone.push(believed.session);
                }
                Step::RemoveAgain(index) if !gone.is_empty() => {
                    let session: &Arc<Session> = index.get(&gone);
                    prop_assert!(sessions.remove(session.token().expose()).is_none());
                }
                Step::Touch(index) if !open_ones.is_empty() => {
                    let at = index.index(open_ones.len());
                    open_ones[at].session.touch();
                    open_ones[at].touched = now;
                }
                Step::Wait(seconds) => {
                    clock.advance(u32::try_from(seconds).unwrap() * SECOND);
                    now += seconds;
                }
                Step::Sweep => {
                    let swept = sessions.sweep().len();
                    let before = open_ones.len();
                    open_ones.retain(|it| now - it.opened < 100 && now - it.touched < 10);
                    prop_assert_eq!(swept, before - open_ones.len());
                }
                Step::Remove(_) | Step::RemoveAgain(_) | Step::Touch(_) => {}
            }
            prop_assert_eq!(sessions.len(), open_ones.len());
            prop_assert_eq!(sessions.all().len(), open_ones.len());
        }
    }
}
