//! Reading within the limit, and writing events.

use std::future::poll_fn;

use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use tokio::sync::mpsc;

use super::*;

async fn read_pieces(pieces: &[&'static str], limit: usize) -> Result<Bytes, Unread> {
    let frames =
        pieces.iter().map(|piece| Ok::<_, axum::Error>(Frame::data(piece.as_bytes().into())));
    read(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())), limit).await
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    for (pieces, body) in [
        (&[][..], ""),
        (&[""], ""),
        (&["abc"], "abc"),
        (&["", "abc"], "abc"),
        (&["ab", "", "c", "d"], "abcd"),
    ] {
        assert_eq!(read_pieces(pieces, 4).await.unwrap(), body, "{pieces:?}");
    }
    for (pieces, known) in [(&["abcde"][..], 5), (&["abc", "de"], 5), (&["a", "bcde", "f"], 5)] {
        let unread = read_pieces(pieces, 4).await.unwrap_err();
        assert!(matches!(unread, Unread::TooLarge(size) if size == known), "{pieces:?} {unread:?}");
    }
}

#[tokio::test]
async fn a_body_that_comes_whole_is_not_copied() {
    let body = Bytes::from(vec![b'x'; 100]);
    let read = read(http_body_util::Full::new(body.clone()), 100).await.unwrap();
    assert_eq!(read.as_ptr(), body.as_ptr());
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_read() {
    let body = axum::body::Body::from(vec![b'x'; 101]);
    let unread = read(body, 100).await.unwrap_err();
    assert!(matches!(unread, Unread::TooLarge(101)), "{unread:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_a_message() {
    let frames = [Ok(Frame::data(Bytes::from_static(b"ab"))), Err(axum::Error::new("gone"))];
    let unread = read(StreamBody::new(stream::iter(frames)), 4).await.unwrap_err();
    assert!(matches!(unread, Unread::Broken(2)), "{unread:?}");
}

fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

#[tokio::test(start_paused = true)]
async fn events_that_are_ready_leave_together_and_comments_fill_the_silence() {
    let (sender, receiver) = mpsc::channel::<Bytes>(8);
    let messages =
        stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let mut events = Events::new(messages.boxed());
    for message in ["1", "2", "3"] {
        sender.send(message.into()).await.unwrap();
    }
    let batch = poll_fn(|cx| events.poll_batch(cx)).await.unwrap();
    assert_eq!(batch, [event("1"), event("2"), event("3")].concat());

    let start = Instant::now();
    for ticks in 1..=3 {
        let comment = poll_fn(|cx| events.poll_batch(cx)).await.unwrap();
        assert_eq!(comment, ": keep-alive\n\n");
        assert_eq!(start.elapsed(), KEEP_ALIVE * ticks);
    }
    sender.send("4".into()).await.unwrap();
    drop(sender);
    assert_eq!(poll_fn(|cx| events.poll_batch(cx)).await.unwrap(), event("4"));
    assert_eq!(poll_fn(|cx| events.poll_batch(cx)).await, None);
}

#[tokio::test]
async fn a_batch_is_bounded() {
    let large = Bytes::from(vec![b'x'; BATCH_BYTES]);
    let mut events = Events::new(stream::iter(vec![large.clone(), large]).boxed());
    for _ in 0..2 {
        let batch = poll_fn(|cx| events.poll_batch(cx)).await.unwrap();
        assert!(batch.len() < 2 * BATCH_BYTES);
    }
    assert_eq!(poll_fn(|cx| events.poll_batch(cx)).await, None);
}

#[tokio::test]
async fn a_message_is_one_event_whatever_it_says() {
    let nasty = Bytes::from_static(b"{\"a\":\n\"b\",\r\n\n\r\"c\":1}");
    let mut events = Events::new(stream::iter([nasty]).boxed());
    let batch = poll_fn(|cx| events.poll_batch(cx)).await.unwrap();
    let text = std::str::from_utf8(&batch).unwrap();
    assert_eq!(text.matches("\n\n").count(), 1, "{text}");
    assert!(
        text.lines().skip(1).all(|line| line.is_empty() || line.starts_with("data: ")),
        "{text}"
    );
}
