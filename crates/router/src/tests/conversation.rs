//! Clients that speak over one pair of pipes.

use std::time::Duration;

use bytes::Bytes;
use domain::{Answer, Transport};
use futures_util::{FutureExt, StreamExt};
use protocol::Method;
use session::Stream;

use super::fixture::*;
use crate::{Caller, Conversation};

const OLD_WELCOME: &str =
    r#"{"protocolVersion":"2025-03-26","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#;

fn call(id: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo"}}}}"#)
}

/// A conversation after its handshake with that welcome, and the client's end of it.
async fn begin(gateway: &Gateway) -> (Conversation, Stream) {
    let caller = Caller { transport: Transport::Stdio, ..caller() };
    let conversation = Conversation::open(&gateway.router, caller).await.ok().unwrap();
    let mut stream = conversation.session().attach().unwrap();
    conversation.take(INITIALIZE.into()).await;
    assert!(hear(&mut stream).await.contains("serverInfo"));
    gateway.log.take();
    (conversation, stream)
}

async fn hear(stream: &mut Stream) -> String {
    text(&stream.next().await.expect("the end"))
}

fn welcoming(welcome: &'static str) -> Setup {
    let setup = Setup { queue_size: 100, ..Setup::default() };
    setup.raw_server(move |message, _| match message.method() {
        Some(Method::Initialize) => now(Answer::Message(response(welcome))),
        _ => obliging(&message),
    })
}

/// Takes `body` in a conversation of 2025-03-26 and compares the ids and error codes of what is heard, in any order, and
/// the number of rows.
#[track_caller]
fn check_batch(body: String, heard: &[&str], rows: usize) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let gateway = welcoming(OLD_WELCOME).start();
        let (conversation, mut stream) = begin(&gateway).await;
        conversation.take(body.into()).await;
        conversation.finish(Duration::from_secs(5)).await;
        let mut answers = Vec::new();
        while let Some(answer) = stream.next().await {
            answers.push(text(&answer));
        }
        assert_eq!(answers.len(), heard.len(), "{place}: {answers:?}");
        for part in heard {
            assert!(answers.iter().any(|it| it.contains(part)), "{place}: {part} {answers:?}");
        }
        assert_eq!(gateway.log.take().len(), rows, "{place}");
    }
}

#[tokio::test]
async fn a_batch_is_taken_apart_where_the_revision_has_them() {
    let two = [r#""id":1,"result""#, r#""id":2,"result""#];
    check_batch(format!("[{},{INITIALIZED},{}]", call(1), call(2)), &two, 3).await;
    check_batch(format!("[{}]", call(1)), &two[..1], 1).await;
    let refused = r#""code":-32600"#;
    check_batch(format!("[{},{{}}]", call(1)), &[two[0], refused], 2).await;
    check_batch(format!("[{INITIALIZE},{}]", call(2)), &[refused, two[1]], 2).await;
    check_batch("[]".to_owned(), &[refused], 1).await;
    check_batch("[".to_owned(), &[r#""id":null,"error":{"code":-32"#], 1).await;
    let many: Vec<_> = (1..=51).map(call).collect();
    check_batch(format!("[{}]", many.join(",")), &[refused], 1).await;
    let most: Vec<_> = (1..=4).map(call).collect();
    check_batch(format!("[{}]", most.join(",")), &[r#""result""#; 4], 4).await;
}

#[tokio::test]
async fn other_revisions_have_no_batches() {
    let gateway = Setup::default().start();
    let (conversation, mut stream) = begin(&gateway).await;
    conversation.take(format!("[{}]", call(1)).into()).await;
    assert!(hear(&mut stream).await.contains("-32600"));
    assert_eq!(gateway.row(), "request error held invalid_request");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_recorded_without_being_read() {
    let gateway = Setup::default().start();
    let (conversation, mut stream) = begin(&gateway).await;
    conversation.oversized(1001, 1000).await;
    let refusal = hear(&mut stream).await;
    assert!(refusal.contains(r#""id":null"#) && refusal.contains("1000 bytes"), "{refusal}");
    let rows = gateway.log.take();
    assert_eq!(rows.iter().map(short).collect::<Vec<_>>(), ["request error held too_large"]);
    assert_eq!((rows[0].request_bytes, rows[0].transport), (1001, Transport::Stdio));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_not_read_from() {
    let gateway = Setup::default().start();
    let (conversation, mut stream) = begin(&gateway).await;
    let mut taken = 0;
    // Two answers fill the queue and four wait for room; then refusals have to wait too.
    while conversation.take(call(taken).into()).now_or_never().is_some() {
        taken += 1;
        // Lets the calls come to their answers.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(taken < 20, "it takes and takes");
    }
    assert_eq!(taken, 6);
    for _ in 0..taken {
        assert!(hear(&mut stream).await.contains("result"));
    }
    conversation.take(Bytes::from(call(99))).await;
    assert!(hear(&mut stream).await.contains(r#""id":99,"result""#));
}

#[tokio::test(start_paused = true)]
async fn finishing_waits_for_calls_but_not_for_ever() {
    let gateway = Setup::default().server(|_, _| Box::pin(std::future::pending())).start();
    let (conversation, mut stream) = begin(&gateway).await;
    conversation.take(call(1).into()).await;
    let start = tokio::time::Instant::now();
    conversation.finish(Duration::from_secs(7)).await;
    assert_eq!(start.elapsed().as_secs(), 7);
    assert_eq!(stream.next().await, None);
    assert_eq!((gateway.router.sessions().len(), gateway.server.state().closed), (0, 1));
    assert_eq!(gateway.row(), "request allow forwarded abandoned");
}

#[tokio::test(start_paused = true)]
async fn finishing_does_not_wait_for_a_subscription() {
    let acknowledged = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{}}}"#;
    let setup = Setup { queue_size: 100, ..Setup::default() }.server(move |_, _| {
        let first = futures_util::stream::iter([Ok(message(acknowledged))]);
        now(Answer::Stream(first.chain(futures_util::stream::pending()).boxed()))
    });
    let gateway = setup.start();
    let (conversation, mut stream) = begin(&gateway).await;
    let listen = r#"{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    conversation.take(listen.into()).await;
    assert_eq!(hear(&mut stream).await, acknowledged);
    let start = tokio::time::Instant::now();
    conversation.finish(Duration::from_secs(30)).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn nothing_but_a_ping_comes_before_the_initialization() {
    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let gateway = welcoming(OLD_WELCOME).start();
    let caller = Caller { transport: Transport::WebSocket, ..caller() };
    let conversation = Conversation::open(&gateway.router, caller).await.ok().unwrap();
    let mut stream = conversation.session().attach().unwrap();
    conversation.take(PING.into()).await;
    assert!(hear(&mut stream).await.contains("result"));
    conversation.take(call(2).into()).await;
    let early = hear(&mut stream).await;
    assert!(early.contains(r#""id":2"#) && early.contains("-32600"), "{early}");
    conversation.take(INITIALIZE.into()).await;
    // The order counts, not the answer.
    conversation.take(call(3).into()).await;
    let answers = [hear(&mut stream).await, hear(&mut stream).await].concat();
    assert!(!answers.contains("error"), "{answers}");
    assert_eq!(gateway.server.state().sent.len(), 3);
    conversation.finish(Duration::ZERO).await;
}
