use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use crate::fixture::{open, small, table};
use crate::{Pushed, Session, TrackKind};

fn session() -> Arc<Session> {
    open(&table(small()).0).unwrap()
}

async fn push(session: &Session, text: &'static str) -> Pushed {
    session.outbox().push(Bytes::from_static(text.as_bytes())).await
}

/// Polls once: what does not finish now is waiting for something.
async fn waits(future: &mut (impl Future + Unpin)) -> bool {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}

#[tokio::test]
async fn messages_arrive_in_order_whether_or_not_a_stream_was_there() {
    let session = session();
    assert_eq!(push(&session, "a").await, Pushed::Queued);
    let mut stream = session.attach().unwrap();
    assert_eq!(push(&session, "b").await, Pushed::Queued);
    assert_eq!(stream.next().await.unwrap(), "a");
    assert_eq!(stream.try_next().unwrap(), "b");
    assert_eq!(stream.try_next(), None);
}

#[tokio::test]
async fn a_full_queue_without_a_stream_drops_the_newest() {
    let session = session();
    assert_eq!(push(&session, "a").await, Pushed::Queued);
    assert_eq!(push(&session, "b").await, Pushed::Queued);
    assert_eq!(push(&session, "c").await, Pushed::Dropped);
    let mut stream = session.attach().unwrap();
    assert_eq!(stream.try_next().unwrap(), "a");
    assert_eq!(stream.try_next().unwrap(), "b");
    assert_eq!(stream.try_next(), None);
}

#[tokio::test]
async fn a_full_queue_with_a_stream_holds_the_sender_back() {
    let session = session();
    let mut stream = session.attach().unwrap();
    assert_eq!(push(&session, "a").await, Pushed::Queued);
    assert_eq!(push(&session, "b").await, Pushed::Queued);
    let mut third = pin!(push(&session, "c"));
    assert!(waits(&mut third).await);
    assert_eq!(stream.next().await.unwrap(), "a");
    assert_eq!(third.await, Pushed::Queued);
    assert_eq!(stream.next().await.unwrap(), "b");
    assert_eq!(stream.next().await.unwrap(), "c");
}

#[tokio::test]
async fn a_queue_is_full_by_bytes_too() {
    let session = session();
    let long = Bytes::from(vec![b'x'; 3 << 20]);
    let push = || session.outbox().push(long.clone());
    assert_eq!(push().await, Pushed::Queued);
    assert_eq!(push().await, Pushed::Dropped);
    let mut stream = session.attach().unwrap();
    let mut second = pin!(push());
    assert!(waits(&mut second).await);
    assert_eq!(stream.next().await.unwrap(), long);
    assert_eq!(second.await, Pushed::Queued);
    assert_eq!(stream.next().await.unwrap(), long);
    let longer = Bytes::from(vec![b'y'; 9 << 20]);
    assert_eq!(session.outbox().push(longer.clone()).await, Pushed::Queued, "alone it fits");
    assert_eq!(stream.next().await.unwrap(), longer);
}

#[tokio::test]
async fn a_sender_that_waits_is_let_go_when_the_stream_leaves() {
    let session = session();
    let stream = session.attach().unwrap();
    assert_eq!(push(&session, "a").await, Pushed::Queued);
    assert_eq!(push(&session, "b").await, Pushed::Queued);
    let mut third = pin!(push(&session, "c"));
    assert!(waits(&mut third).await);
    drop(stream);
    assert_eq!(third.await, Pushed::Dropped);
}

#[tokio::test]
async fn there_is_one_stream_at_a_time_and_the_next_takes_over_the_rest() {
    let session = session();
    assert_eq!(push(&session, "a").await, Pushed::Queued);
    let first = session.attach().unwrap();
    assert!(session.attach().is_none());
    assert!(session.outbox().attached());
    drop(first);
    assert!(!session.outbox().attached());
    let mut second = session.attach().unwrap();
    assert_eq!(second.next().await.unwrap(), "a");
}

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let session = session();
    let mut stream = session.attach().unwrap();
    {
        let mut read = pin!(stream.next());
        assert!(waits(&mut read).await);
        assert_eq!(push(&session, "a").await, Pushed::Queued);
    }
    assert_eq!(stream.next().await.unwrap(), "a");
}

#[tokio::test]
async fn closing_delivers_what_waits_and_then_ends() {
    let session = session();
    let mut stream = session.attach().unwrap();
    assert_eq!(push(&session, "a").await, Pushed::Queued);
    session.close();
    assert_eq!(push(&session, "b").await, Pushed::Dropped);
    assert_eq!(stream.next().await.unwrap(), "a");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn closing_lets_a_waiting_sender_and_a_waiting_reader_go() {
    let full = session();
    let _stream = full.attach().unwrap();
    assert_eq!(push(&full, "a").await, Pushed::Queued);
    assert_eq!(push(&full, "b").await, Pushed::Queued);
    let mut third = pin!(push(&full, "c"));
    assert!(waits(&mut third).await);
    full.close();
    assert_eq!(third.await, Pushed::Dropped);

    let empty = session();
    let mut stream = empty.attach().unwrap();
    let mut read = pin!(stream.next());
    assert!(waits(&mut read).await);
    empty.close();
    assert_eq!(read.await, None);
}

#[tokio::test]
async fn whoever_takes_over_displaces_the_other_and_loses_nothing() {
    let session = session();
    assert_eq!(push(&session, "a").await, Pushed::Queued);
    let mut first = session.attach().unwrap();
    let track = session.replay().open_track(TrackKind::Listen);
    let primed = track.prime().to_string();
    let (id, message) = first.next_recorded(&track).await.unwrap();
    assert_eq!((message, &id), (Bytes::from("a"), &track.prime()));
    let mut second = {
        let mut read = pin!(first.next());
        assert!(waits(&mut read).await);
        let second = session.take_over();
        assert_eq!(read.await, None);
        second
    };
    assert_eq!(push(&session, "b").await, Pushed::Queued);
    drop(first);
    assert!(
        session.outbox().attached(),
        "the end of the displaced stream is not the end of the other"
    );
    let mut missed = session.replay().resume(&primed).unwrap();
    assert_eq!(missed.next().await.unwrap(), (id, Bytes::from("a")));
    assert!(missed.next().await.is_none());
    assert_eq!(second.next().await.unwrap(), "b");
    drop(second);
    assert!(!session.outbox().attached());
}

#[tokio::test]
async fn all_who_wait_for_room_get_some() {
    let session = session();
    let mut stream = session.attach().unwrap();
    let writers: Vec<_> = (0..50)
        .map(|_| {
            let session = Arc::clone(&session);
            tokio::spawn(async move { push(&session, "a").await })
        })
        .collect();
    for _ in 0..50 {
        assert_eq!(stream.next().await.unwrap(), "a");
    }
    for writer in writers {
        assert_eq!(writer.await.unwrap(), Pushed::Queued);
    }
}
