//! Streaming is streaming: an event leaves when it is there, whole, and no sooner than the client can take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::Answer;
use futures_util::{StreamExt, stream};
use protocol::{Message, sse};
use testkit::ports::ScriptedUpstream;
use tokio::time::{Instant, sleep};

use crate::Config;
use crate::fixture::{CALL, Gateway, MIRRORED, MODERN, Story, USUAL, in_session, post, within};

/// A notification of about that many bytes.
fn note(number: usize, bytes: usize) -> String {
    let text = "x".repeat(bytes);
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"n":{number},"data":"{text}"}}}}"#
    )
}

#[tokio::test]
async fn an_event_leaves_before_the_next_one_is_there() {
    let story = Story::new();
    let gateway = Gateway::new(&Config::default(), story.upstream.clone());
    let mut client = gateway.connect();
    client.send(&post(&format!("{USUAL}{MIRRORED}"), MODERN)).await;
    let mut times = Vec::new();
    for (number, size) in
        [0, 10, 1_000, 10_000, 100_000, 500_000].into_iter().cycle().take(60).enumerate()
    {
        let told = note(number, size);
        let start = Instant::now();
        story.tell(&told).await;
        if number == 0 {
            assert_eq!(
                within(client.head()).await.header("content-type"),
                Some("text/event-stream")
            );
        }
        // The server says nothing more until this one has arrived.
        let event = within(client.chunk()).await.unwrap();
        times.push(start.elapsed());
        assert_eq!(event, format!("event: message\ndata: {told}\n\n"));
    }
    // Not the slowest: other tests run beside this one.
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(50), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn large_events_arrive_byte_for_byte() {
    for version in ["2025-06-18", "2025-11-25"] {
        let story = Story::new();
        let gateway = Gateway::new(&Config::default(), story.upstream.clone());
        let (mut client, id) = gateway.session_of(version).await;
        client.send(&post(&in_session(&id), CALL)).await;
        let told = [
            note(1, 2 << 20),
            note(2, 0),
            note(3, 3 << 20),
            format!(
                r#"{{"jsonrpc":"2.0","id":"a","result":{{"text":"{}"}}}}"#,
                "y".repeat(2 << 20)
            ),
        ];
        let telling = async {
            for message in &told {
                story.tell(message).await;
            }
        };
        let reading = async {
            client.head().await;
            let mut decoder = sse::Decoder::new(8 << 20);
            let mut heard = Vec::new();
            while heard.len() < told.len() {
                decoder.push(client.chunk().await.unwrap().as_bytes());
                while let Some(event) = decoder.next() {
                    heard.extend(Some(event.unwrap().data).filter(|data| !data.is_empty()));
                }
            }
            heard
        };
        let ((), heard) = within(async { tokio::join!(telling, reading) }).await;
        for (told, heard) in told.iter().zip(&heard) {
            assert!(*told == *heard, "{version}: {} and {} bytes", told.len(), heard.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_the_server_back() {
    const BYTES: usize = 1000;
    let produced = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&produced);
    let upstream = ScriptedUpstream::new(move |_, _| {
        let counter = Arc::clone(&counter);
        let messages = stream::repeat_with(move || {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            Ok(Message::parse(note(number, BYTES).into()).unwrap())
        });
        Box::pin(async { Ok(Answer::Stream(messages.boxed())) })
    });
    let gateway = Gateway::new(&Config::default(), upstream);
    for modern in [true, false] {
        produced.store(0, Ordering::Relaxed);
        let mut client = gateway.connect_through(4096);
        if modern {
            client.send(&post(&format!("{USUAL}{MIRRORED}"), MODERN)).await;
        } else {
            let (_, id) = gateway.session().await;
            client.send(&post(&in_session(&id), CALL)).await;
        }
        // The clock advances when everyone waits: the server has sent what it can.
        sleep(Duration::from_secs(1)).await;
        let before = produced.load(Ordering::Relaxed);
        assert!((1..300).contains(&before), "{before}");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(produced.load(Ordering::Relaxed), before, "nothing moves");

        client.head().await;
        for _ in 0..2 * before / 60 {
            within(client.chunk()).await.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
        assert!(produced.load(Ordering::Relaxed) > before, "reading lets the server go on");
    }
}
