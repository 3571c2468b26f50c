use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, SessionId};
use testkit::clock::ManualClock;

use super::{CAPACITY, SHARDS, Tallies};
use crate::Tally;
use crate::fixture::{announced, find, nowhere, open, opening, small, table};

const TTL: Duration = Duration::from_secs(100);

fn tallies() -> (Tallies, Arc<ManualClock>) {
    let clock = ManualClock::new();
    (Tallies::new(&(Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>), TTL), clock)
}

fn agent(tallies: &Tallies, number: usize) -> Arc<Tally> {
    tallies.of_agent(&format!("agent-{number}").into())
}

fn kept(tallies: &Tallies) -> usize {
    tallies.shards.iter().map(|shard| shard.lock().unwrap().kept.len()).sum()
}

#[test]
fn an_agent_keeps_its_tally_until_it_ends() {
    let (tallies, clock) = tallies();
    agent(&tallies, 1).note_forwarded(None, Some(true), 1);
    clock.advance(TTL - Duration::from_secs(1));
    assert_eq!(agent(&tallies, 1).state().cumulative_reads, 1);
    assert_eq!(agent(&tallies, 2).state().cumulative_reads, 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(agent(&tallies, 1).state().cumulative_reads, 0);
}

#[test]
fn an_agent_is_no_session_of_the_same_name() {
    let (tallies, _) = tallies();
    tallies.of_agent(&"s-1".into()).taint("private").unwrap();
    assert!(tallies.of_session(&SessionId::from("s-1")).is_none());
}

#[test]
fn marks_are_never_forgotten_for_room() {
    let (tallies, clock) = tallies();
    agent(&tallies, 0).taint("private").unwrap();
    for number in 1..3 * CAPACITY * SHARDS {
        agent(&tallies, number).note_forwarded(None, Some(true), 1);
    }
    assert!(kept(&tallies) <= CAPACITY * SHARDS);
    assert!(agent(&tallies, 0).is_tainted());
    clock.advance(TTL);
    assert!(!agent(&tallies, 0).is_tainted());
}

#[test]
fn without_room_newcomers_share_one_and_sessions_are_not_kept() {
    let (tallies, clock) = tallies();
    for number in 0..3 * CAPACITY * SHARDS {
        agent(&tallies, number).taint("private").unwrap();
    }
    assert_eq!(kept(&tallies), CAPACITY * SHARDS);
    let (one, other) = (tallies.of_agent(&"new".into()), tallies.of_agent(&"newer".into()));
    assert!(Arc::ptr_eq(&one, &other) && one.is_tainted());
    assert!(agent(&tallies, 0).is_tainted() && !Arc::ptr_eq(&agent(&tallies, 0), &one));
    assert!(!tallies.keep(&SessionId::from("s-1"), &one));
    clock.advance(TTL);
    assert!(tallies.keep(&SessionId::from("s-1"), &one), "what has ended makes room");
    assert!(!tallies.of_agent(&"new".into()).is_tainted());
}

#[test]
fn what_a_session_did_is_known_when_it_comes_back() {
    let (sessions, clock) = table(small());
    let session = announced(&sessions);
    session.tally().taint("private").unwrap();
    session.tally().note_forwarded(Some("read"), Some(true), 5);
    for _ in 0..3 {
        clock.advance(Duration::from_secs(1));
        open(&sessions).unwrap();
    }
    assert!(session.is_closed(), "it made room");
    let again = find(&sessions, session.token().expose()).unwrap();
    assert!(!Arc::ptr_eq(&again, &session));
    assert_eq!(again.tally().state(), session.tally().state());
}

#[test]
fn a_session_whose_tally_cannot_be_kept_does_not_come_back() {
    let (sessions, clock) = table(small());
    let stateless = sessions.stateless(opening(), nowhere);
    for number in 0..3 * CAPACITY * SHARDS {
        agent(&sessions.tallies, number).taint("private").unwrap();
    }
    let [tainted, blank] = [(); 2].map(|()| announced(&sessions));
    tainted.tally().taint("private").unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(1));
        open(&sessions).unwrap();
    }
    assert!(find(&sessions, tainted.token().expose()).is_none());
    assert!(find(&sessions, blank.token().expose()).is_some());
    assert!(stateless.tally().is_tainted(), "shared with others: no room for one of its own");
}

#[test]
fn stateless_clients_of_an_agent_share_a_tally() {
    let (sessions, _) = table(small());
    let [one, other] = [(); 2].map(|()| sessions.stateless(opening(), nowhere));
    one.tally().taint("private").unwrap();
    assert!(other.tally().is_tainted());
    assert!(!open(&sessions).unwrap().tally().is_tainted());
}
