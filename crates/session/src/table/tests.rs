use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{ErrorKind, Span};
use proptest::prelude::*;

use crate::fixture::{open, opening, small, table};
use crate::{Config, Session};

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
    open(&sessions).unwrap();
    open(&sessions).unwrap();
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
    let session = sessions
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
    let opened = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    opened.fetch_add(usize::from(open(&sessions).is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(opened.into_inner(), 100);
    assert_eq!(sessions.len(), 100);
    assert_eq!(sessions.all().len(), 100);
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
                Step::Open => match open(&sessions) {
                    Ok(session) => open_ones.push(Believed { session, opened: now, touched: now }),
                    Err(_) => prop_assert_eq!(open_ones.len(), 5),
                },
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
