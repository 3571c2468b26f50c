use domain::Party;

use super::*;
use crate::fixture::{Server, error, message, permit, result, rig};

const DISCOVERED: &str = r#"{"supportedVersions":["2026-07-28"]}"#;

fn call() -> &'static str {
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#
}

#[track_caller]
fn check(answer: &str, modern: bool) {
    let answer = message(format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#));
    assert_eq!(speaks_modern(&answer), modern, "{answer:?}");
}

#[test]
fn an_era_is_read_from_the_way_of_answering() {
    check(r#""result":{"supportedVersions":["2026-07-28"]}"#, true);
    check(r#""result":{"supportedVersions":["2025-11-25","2026-07-28"]}"#, true);
    check(r#""result":{"supportedVersions":["2025-11-25"]}"#, false);
    check(r#""result":{}"#, true);
    check(r#""error":{"code":-32020,"message":"no"}"#, true);
    check(r#""error":{"code":-32021,"message":"no"}"#, true);
    check(r#""error":{"code":-32022,"message":"no"}"#, true);
    check(r#""error":{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}"#, true);
    check(r#""error":{"code":-32022,"message":"no","data":{"supported":["2025-11-25"]}}"#, false);
    for code in [-32000, -32600, -32601, -32602, -32603, -32700, 0] {
        check(&format!(r#""error":{{"code":{code},"message":"no"}}"#), false);
    }
}

/// A server that answers `server/discover` like that.
fn asked(
    transport: &'static str,
    answer: impl Fn(&Message) -> crate::fixture::Scripted + Send + Sync + 'static,
) -> Arc<Server> {
    Server::new(transport, move |message| match message.method() {
        Some(Method::ServerDiscover) => answer(&message),
        _ => result(&message, "{}"),
    })
}

#[tokio::test]
async fn one_question_serves_all_that_wait() {
    let server = asked("http", |message| result(message, DISCOVERED));
    let (_, _, client) = rig(&server, Party::Many);
    let (one, other) = tokio::join!(client.ask(call()), client.ask(call()));
    assert!(one.is_ok() && other.is_ok());
    assert!(client.ask(call()).await.is_ok());
    assert_eq!(server.sent(Method::ServerDiscover).len(), 1);
    assert_eq!(server.sent(Method::ToolsList).len(), 3);
}

#[tokio::test]
async fn a_server_that_is_not_reached_is_asked_again() {
    let server = asked("http", |_| {
        Box::pin(async { Err(Failure::new(ErrorKind::UpstreamError, "gone").unsent()) })
    });
    let (_, _, client) = rig(&server, Party::Many);
    for count in 1..3 {
        let failure = client.ask(call()).await.expect_err("a failure");
        assert_eq!((failure.kind, failure.unsent), (ErrorKind::UpstreamError, true));
        assert_eq!(server.sent(Method::ServerDiscover).len(), count);
    }
    // Those who wait together fail together.
    let (one, other) = tokio::join!(client.ask(call()), client.ask(call()));
    assert!(one.is_err() && other.is_err());
    assert_eq!(server.sent(Method::ServerDiscover).len(), 3);
    assert!(server.sent(Method::ToolsList).is_empty());
}

fn shared(server: &Arc<Server>, clock: &Arc<testkit::clock::ManualClock>) -> Arc<Shared> {
    let upstream = Arc::clone(server) as Arc<dyn domain::Upstream>;
    Arc::clone(crate::Bridge::new(upstream, Arc::clone(clock) as _).shared())
}

#[tokio::test]
async fn what_is_missing_is_looked_for_again_after_a_while() {
    let server = asked("http", |message| error(message, -32000, None));
    let clock = testkit::clock::ManualClock::new();
    let shared = shared(&server, &clock);
    assert_eq!(shared.find_modern(&permit()).await, Ok(false));
    assert_eq!(shared.find_modern(&permit()).await, Ok(false));
    assert_eq!(server.sent(Method::ServerDiscover).len(), 1);
    clock.advance(BELIEVED);
    // Nobody waits for the second question.
    assert_eq!(shared.find_modern(&permit()).await, Ok(false));
    assert_eq!(server.wait_for(Method::ServerDiscover, 2).await.len(), 2);
    shared.eras().doubt();
    assert_eq!(shared.find_modern(&permit()).await, Ok(false));
    assert_eq!(server.sent(Method::ServerDiscover).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn silence_behind_a_pipe_is_no_and_a_late_answer_counts() {
    let (late, answers) = tokio::sync::watch::channel(false);
    let server = asked("stdio", move |message| {
        let (mut answers, reply) = (answers.clone(), result(message, DISCOVERED));
        Box::pin(async move {
            answers.wait_for(|late| *late).await.map(drop).unwrap();
            reply.await
        })
    });
    let shared = shared(&server, &testkit::clock::ManualClock::new());
    assert_eq!(shared.find_modern(&permit()).await, Ok(false));
    late.send_replace(true);
    while shared.eras().read(&shared.eras().modern) != Belief::Spoken {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.sent(Method::ServerDiscover).len(), 1);
}
