//! Answers that come as streams.

use std::time::Duration;

use domain::{Answer, Failure, MessageStream, Stage};
use futures_util::{FutureExt, StreamExt, stream};

use super::fixture::*;
use crate::{Reply, ReplyBody};

const PROGRESS: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9007199254740993,"progress":1}}"#;
const ASKING: &str =
    r#"{"jsonrpc":"2.0","id":"s-1","method":"sampling/createMessage","params":{}}"#;
const DONE: &str = r#"{"jsonrpc":"2.0","id":77,"result":{"ok":true}}"#;
const ANSWERED: &str = r#"{"jsonrpc":"2.0","id":9007199254740993,"result":{"ok":true}}"#;

fn streamed(messages: MessageStream) -> Answer {
    Answer::Stream(messages)
}

fn broken() -> Failure {
    Failure::new(domain::ErrorKind::UpstreamError, "it broke").detail("at 10.0.0.7:99")
}

/// Calls, reads all events, and compares them and the rows.
async fn check(setup: Setup, events: &[&str], rows: &[&str]) -> Gateway {
    let gateway = setup.start();
    let session = gateway.session().await;
    let (status, body) = gateway.say(&session, CALL).await;
    assert_eq!(status, 200);
    let body: Vec<_> = body.lines().collect();
    assert_eq!(body.len(), events.len(), "{body:?}");
    for (got, part) in body.iter().zip(events) {
        assert!(got.contains(part), "{got} does not hold {part}");
        assert!(!got.contains("10.0.0.7"), "{got}");
    }
    assert_eq!(gateway.rows(), rows);
    gateway
}

#[tokio::test]
async fn events_pass_one_by_one_and_the_response_is_the_last() {
    let down = "server_request allow forwarded -";
    let up = "request allow forwarded -";
    check(Setup::default().streaming(&[DONE]), &[ANSWERED], &[up]).await;
    let setup = Setup::default().streaming(&[PROGRESS, PROGRESS, DONE]);
    let gateway = check(setup, &[PROGRESS, PROGRESS, ANSWERED], &[down, down, up]).await;
    let served = r#"mcp_proxy_upstream_requests_total{server="files",status="ok"}"#;
    assert_eq!(gateway.metric(served), 2, "initialize and the call");
    // What would follow the response is not read.
    let setup = Setup::default().streaming(&[DONE, PROGRESS]);
    check(setup, &[ANSWERED], &[up]).await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error() {
    let down = "server_request allow forwarded -";
    let up = "request allow forwarded upstream_error";
    let error = r#""id":9007199254740993,"error":{"code":-31004"#;
    let setup = Setup::default().streaming(&[PROGRESS]);
    let gateway = check(setup, &[PROGRESS, error], &[down, up]).await;
    let failed = r#"mcp_proxy_upstream_requests_total{server="files",status="error"}"#;
    assert_eq!(gateway.metric(failed), 1);
    let setup = Setup::default()
        .server(|_, _| now(streamed(stream::iter([Ok(message(PROGRESS)), Err(broken())]).boxed())));
    check(setup, &[PROGRESS, error], &[down, up]).await;
}

#[tokio::test]
async fn each_event_is_decided() {
    let setup = || {
        Setup::default().examining().rules(|input| match (input.stage, input.method) {
            (Stage::ServerRequest, _) => deny("no chatter"),
            (Stage::Response, "tools/call") => deny("no answer"),
            _ => allow(),
        })
    };
    let denied = r#""id":9007199254740993,"error":{"code":-31001,"message":"no answer""#;
    let held = "server_request deny held policy_denied";
    let rows = [held, held, "response deny forwarded policy_denied"];
    let gateway = check(setup().streaming(&[PROGRESS, ASKING, DONE]), &[denied], &rows).await;
    let refused = [(r#""s-1""#.to_owned(), domain::ErrorKind::PolicyDenied)];
    assert_eq!(gateway.server.state().refused, refused);

    let down = "server_request deny forwarded -";
    let rows = [down, down, "response deny forwarded -"];
    let events = [PROGRESS, r#""id":1,"method":"sampling/createMessage""#, ANSWERED];
    check(setup().audit().streaming(&[PROGRESS, ASKING, DONE]), &events, &rows).await;
}

#[tokio::test]
async fn an_answer_is_judged_with_the_count_of_its_question() {
    let gateway = Setup::default().examining().streaming(&[DONE]).start();
    let session = gateway.session().await;
    let token = session.token().expose().to_owned();
    let first = gateway.post(CALL, Some(&token)).await;
    let second = gateway.post(CALL, Some(&token)).await;
    read(second).await;
    read(first).await;
    let asked = gateway.policy.asked().clone();
    let responses: Vec<_> = asked.iter().filter(|asked| asked.starts_with("response")).collect();
    assert_eq!(responses, ["response tools/call read_file #3", "response tools/call read_file #2"]);
}

async fn first_event(reply: Reply) -> (String, crate::EventStream) {
    let ReplyBody::Events(mut events) = reply.body else { panic!("not a stream") };
    (text(&events.next().await.unwrap()), events)
}

#[tokio::test]
async fn the_call_is_in_flight_until_the_last_event() {
    let gateway = Setup::default().streaming(&[PROGRESS, DONE]).start();
    let session = gateway.session().await;
    let reply = gateway.post(CALL, Some(session.token().expose())).await;
    assert_eq!(session.in_flight(), 1);
    let (_, mut events) = first_event(reply).await;
    assert_eq!(session.in_flight(), 1);
    gateway.clock.advance(Duration::from_secs(500));
    assert!(gateway.router.find(session.token().expose(), &caller()).is_some(), "not idle");
    assert_eq!(text(&events.next().await.unwrap()), ANSWERED);
    assert_eq!(session.in_flight(), 0);
    assert!(events.next().await.is_none());
    assert_eq!(gateway.rows().len(), 2);
}

#[tokio::test]
async fn a_client_that_stops_reading_leaves_a_row_and_nothing_else() {
    let asking = Setup::default().server(|_, _| {
        let asking = stream::iter([Ok(message(ASKING))]).chain(stream::pending());
        now(streamed(asking.boxed()))
    });
    let gateway = Setup { queue_size: 1, ..asking }.start();
    let session = gateway.session().await;
    let token = session.token().expose().to_owned();
    // More often than requests of the server may wait.
    for _ in 0..3 {
        let (asked, mut events) = first_event(gateway.post(CALL, Some(&token)).await).await;
        assert!(asked.contains("sampling/createMessage"), "{asked}");
        assert!(events.next().now_or_never().is_none());
        drop(events);
        let rows = gateway.rows();
        assert_eq!(rows, ["server_request allow forwarded -", "request allow forwarded abandoned"]);
    }
    // Before anything was read.
    drop(gateway.post(CALL, Some(&token)).await);
    assert_eq!(gateway.row(), "request allow forwarded abandoned");
}

#[tokio::test]
async fn a_request_of_the_server_may_outlive_the_answer_it_came_with() {
    let gateway = Setup::default().streaming(&[ASKING, DONE]).start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    gateway.log.take();
    gateway.say(&session, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(gateway.row(), "response allow forwarded -");
    let answer = r#"{"jsonrpc":"2.0","id":"s-1","result":{}}"#;
    assert_eq!(gateway.server.state().sent.last().unwrap(), answer);
}
