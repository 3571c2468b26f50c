use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use protocol::ProtocolVersion;

use crate::Client;
use crate::fixture::{open, small, table};

#[test]
fn every_count_is_given_out_once() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1000).map(|_| session.count_request()).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(counts.iter().collect::<HashSet<_>>().len(), 4000);
    assert_eq!(counts.iter().max(), Some(&4000));
    assert_eq!(session.request_count(), 4000);
}

#[test]
fn what_was_agreed_first_stays() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    assert_eq!((session.negotiated(), session.client()), (None, None));
    let client = |name: &str| Client { name: name.into(), version: "1".into() };
    for (version, name) in
        [(ProtocolVersion::V2025_06_18, "first"), (ProtocolVersion::V2025_11_25, "second")]
    {
        session.negotiate(version);
        session.set_client(client(name));
    }
    assert_eq!(session.negotiated(), Some(ProtocolVersion::V2025_06_18));
    assert_eq!(session.client(), Some(&client("first")));
}

#[test]
fn times_come_from_the_clock() {
    let (sessions, clock) = table(small());
    clock.advance(Duration::from_secs(5));
    let session = open(&sessions).unwrap();
    clock.advance(Duration::from_secs(2));
    assert_eq!(session.started_at(), SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    assert_eq!(session.age(), Duration::from_secs(2));
}

#[test]
fn calls_in_flight_are_counted() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    let (first, second) = (session.enter(), session.enter());
    assert!(first.is_some() && second.is_some());
    assert_eq!(session.in_flight(), 2);
    assert!(session.enter().is_none(), "two is the limit of this table");
    let aside = [session.enter_aside(), session.enter_aside(), session.enter_aside()];
    assert_eq!(aside.iter().flatten().count(), 2, "and two more for what expects no answer");
    drop(aside);
    drop(first);
    assert!(session.enter().is_some(), "room comes back");
    drop(second);
    assert_eq!(session.in_flight(), 0);
}

#[tokio::test]
async fn closing_wakes_whoever_waits_and_may_be_repeated() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    tokio::join!(session.closed(), async {
        tokio::task::yield_now().await;
        session.close();
        session.close();
    });
    session.closed().await;
    assert!(session.is_closed());
}

#[test]
fn a_session_prints_its_name_and_not_its_token() {
    let (sessions, _) = table(small());
    let session = open(&sessions).unwrap();
    let text = format!("{session:?}");
    assert!(text.contains(session.id().as_str()), "{text}");
    assert!(!text.contains(session.token().expose()), "{text}");
}
