//! Writing events.

use std::future::poll_fn;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;

fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

#[tokio::test(start_paused = true)]
async fn events_that_are_ready_leave_together_and_comments_fill_the_silence() {
    let (sender, receiver) = mpsc::channel::<Bytes>(8);
    let messages =
        stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let mut events = Events::plain(messages.boxed());
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
    let mut events = Events::plain(stream::iter(vec![large.clone(), large]).boxed());
    for _ in 0..2 {
        let batch = poll_fn(|cx| events.poll_batch(cx)).await.unwrap();
        assert!(batch.len() < 2 * BATCH_BYTES);
    }
    assert_eq!(poll_fn(|cx| events.poll_batch(cx)).await, None);
}

#[tokio::test]
async fn a_message_is_one_event_whatever_it_says() {
    let nasty = Bytes::from_static(b"{\"a\":\n\"b\",\r\n\n\r\"c\":1}");
    let mut events = Events::plain(stream::iter([nasty]).boxed());
    let batch = poll_fn(|cx| events.poll_batch(cx)).await.unwrap();
    let text = std::str::from_utf8(&batch).unwrap();
    assert_eq!(text.matches("\n\n").count(), 1, "{text}");
    assert!(
        text.lines().skip(1).all(|line| line.is_empty() || line.starts_with("data: ")),
        "{text}"
    );
}
