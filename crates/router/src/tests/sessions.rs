//! Who opens a session, and how it ends.

use std::time::Duration;

use bytes::Bytes;
use domain::{Answer, ErrorKind, Failure, Handshake, Stage, Transport};
use futures_util::{FutureExt, StreamExt, stream};
use protocol::ProtocolVersion;

use super::fixture::*;
use crate::{Caller, ReplyBody, Ticket};

/// An `initialize` after which there is no session, neither here nor upstream.
async fn check(setup: Setup, status: u16, part: &str, row: &str) {
    let gateway = setup.start();
    let reply = gateway.post(INITIALIZE, None).await;
    assert!(reply.session.is_none(), "{row}");
    let (got, body) = read(reply).await;
    assert_eq!(got, status, "{body}");
    assert!(body.contains(part) && body.contains(r#""id":"init""#), "{body}");
    assert_eq!(gateway.row(), row);
    ended(&gateway).await;
}

/// Compares that one session was opened and none is left.
async fn ended(gateway: &Gateway) {
    assert_eq!(gateway.router.sessions().len(), 0);
    assert_eq!(gateway.metric(r#"mcp_proxy_sessions_total{transport="http"}"#), 1);
    assert_eq!(gateway.metric("mcp_proxy_session_duration_seconds_count"), 1);
    // The server is told behind the reply.
    tokio::task::yield_now().await;
    assert_eq!(gateway.server.state().closed, 1);
}

const WELCOMED: &str = r#"{"jsonrpc":"2.0","id":77,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
const REJECTED: &str =
    r#"{"jsonrpc":"2.0","id":77,"error":{"code":-32602,"message":"Unsupported protocol version"}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;

fn answering(body: &'static str) -> Setup {
    Setup::default().raw_server(move |_, _| now(Answer::Message(message(body))))
}

fn streaming(bodies: &'static [&'static str]) -> Setup {
    Setup::default().raw_server(move |_, _| now(stream_of(bodies)))
}

#[tokio::test]
async fn initialize_opens_a_session_and_announces_it() {
    for setup in [Setup::default(), streaming(&[WELCOMED]), Setup::default().audit()] {
        let gateway = setup.examining().start();
        let reply = gateway.post(INITIALIZE, None).await;
        let token = reply.session.clone().unwrap();
        let (status, body) = read(reply).await;
        assert_eq!(status, 200);
        assert!(body.contains(r#""id":"init""#) && body.contains("serverInfo"), "{body}");
        let session = gateway.router.find(token.expose(), &caller()).unwrap();
        assert_eq!(session.negotiated().unwrap().as_str(), "2025-06-18");
        assert_eq!(&*session.client().unwrap().name, "probe");
        let events = gateway.log.take();
        let event = events.first().unwrap();
        assert_eq!(event.protocol_version, Some("2025-06-18"));
        assert_eq!(event.session_id.as_ref(), Some(session.id()));
        assert_eq!(gateway.server.state().closed, 0);
        let reply = gateway.post(PING, Some(token.expose())).await;
        assert!(reply.session.is_none(), "announced once");
    }
}

#[tokio::test]
async fn an_initialize_that_does_not_succeed_leaves_no_session() {
    let denying = |stage: Stage| {
        Setup::default()
            .examining()
            .rules(move |input| if input.stage == stage { deny("go away") } else { allow() })
    };
    let denied = "request deny held policy_denied";
    check(denying(Stage::Request), 200, "go away", denied).await;
    let denied = "response deny forwarded policy_denied";
    check(denying(Stage::Response), 200, "go away", denied).await;
    let setup = denying(Stage::Response).raw_server(|_, _| now(stream_of(&[WELCOMED])));
    check(setup, 200, "go away", denied).await;
    let failing_with = |kind| Setup::default().raw_server(move |_, _| failing(kind));
    let failed = "request allow forwarded upstream_error";
    check(failing_with(ErrorKind::UpstreamError), 200, "-31004", failed).await;
    check(streaming(&[]), 200, "-31004", failed).await;
    let rejected = "request allow forwarded -";
    check(answering(REJECTED), 200, "Unsupported protocol version", rejected).await;
    check(streaming(&[REJECTED]), 200, "Unsupported protocol version", rejected).await;
}

#[tokio::test]
async fn a_session_is_announced_before_the_answer_when_something_precedes_it() {
    let gateway = streaming(&[PING, WELCOMED]).start();
    let reply = gateway.post(INITIALIZE, None).await;
    let token = reply.session.clone().unwrap();
    let (_, body) = read(reply).await;
    assert_eq!(body.lines().count(), 2, "{body}");
    assert!(gateway.router.find(token.expose(), &caller()).is_some());

    let gateway = streaming(&[PING, REJECTED]).start();
    let reply = gateway.post(INITIALIZE, None).await;
    assert!(reply.session.is_some());
    read(reply).await;
    ended(&gateway).await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_initializing_leaves_no_session() {
    let gateway = Setup::default().raw_server(|_, _| Box::pin(std::future::pending())).start();
    assert!(gateway.post(INITIALIZE, None).now_or_never().is_none());
    assert_eq!(gateway.row(), "request allow forwarded abandoned");
    ended(&gateway).await;

    let silent = Setup::default().raw_server(|_, _| {
        now(Answer::Stream(stream::iter([Ok(message(PING))]).chain(stream::pending()).boxed()))
    });
    let gateway = silent.start();
    let reply = gateway.post(INITIALIZE, None).await;
    let ReplyBody::Events(mut events) = reply.body else { panic!("not a stream") };
    assert!(events.next().await.is_some());
    assert!(events.next().now_or_never().is_none());
    drop(events);
    ended(&gateway).await;

    let gateway = Setup::default().start();
    drop(gateway.receive(INITIALIZE, with_token(None)).await);
    assert_eq!(gateway.row(), "request error held abandoned");
    ended(&gateway).await;
}

#[tokio::test]
async fn a_session_is_initialized_once() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    let (status, body) = gateway.say(&session, INITIALIZE).await;
    assert_eq!(status, 400);
    assert!(body.contains(r#""id":"init","error":{"code":-32600"#), "{body}");
    assert_eq!(gateway.row(), "request error held invalid_request");
    assert!(gateway.server.state().sent.is_empty());
    assert!(gateway.router.find(session.token().expose(), &caller()).is_some());
    // Without a session it opens another.
    let other = gateway.session().await;
    assert_ne!(other.token(), session.token());
    assert_eq!(gateway.router.sessions().len(), 2);
}

#[tokio::test]
async fn initialize_without_an_id_opens_nothing() {
    let gateway = Setup::default().start();
    let body = INITIALIZE.replace(r#""id":"init","#, "");
    let (status, _) = read(gateway.post(&body, None).await).await;
    assert_eq!(status, 400);
    assert_eq!(gateway.metric(r#"mcp_proxy_sessions_total{transport="http"}"#), 0);
}

#[tokio::test]
async fn the_session_of_a_stream_lives_as_long_as_the_stream() {
    let gateway = answering(REJECTED).start();
    let sse = Caller { transport: Transport::Sse, ..caller() };
    let session = gateway.router.open(&sse).await.ok().unwrap();
    let received = gateway.receive(INITIALIZE, Ticket::Session(session.clone())).await;
    let reply = gateway.router.handle(received.ok().unwrap()).await;
    assert!(reply.session.is_none());
    // Its client still has to read why.
    assert!(!session.is_closed());
    gateway.router.close(&session).await;
    gateway.router.close(&session).await;
    assert_eq!(gateway.server.state().closed, 1);
    assert_eq!(gateway.metric("mcp_proxy_session_duration_seconds_count"), 1);
}

#[tokio::test]
async fn sessions_are_limited_and_the_least_used_idle_one_makes_room() {
    let gateway = Setup { max_sessions: 1, ..Setup::default() }.start();
    let idle = gateway.session().await;
    let session = gateway.session().await;
    assert!(idle.is_closed());

    let _in_use = session.enter();
    let (status, body) = read(gateway.post(INITIALIZE, None).await).await;
    assert_eq!(status, 503);
    assert!(body.contains(r#""id":"init""#) && body.contains("-31009"), "{body}");
    assert_eq!(
        gateway.log.take().iter().map(short).collect::<Vec<_>>(),
        ["request error held overloaded"]
    );
}

#[tokio::test]
async fn a_session_that_cannot_go_on_at_the_server_ends() {
    let setup = Setup::default().server(|_, _| failing(ErrorKind::SessionNotFound));
    let gateway = setup.start();
    let session = gateway.session().await;
    let (status, body) = gateway.say(&session, CALL).await;
    assert_eq!(status, 404);
    assert!(body.contains(r#""id":9007199254740993"#), "{body}");
    assert_eq!(gateway.row(), "request allow forwarded session_not_found");
    assert!(session.is_closed());
    ended(&gateway).await;

    let lost = || Failure::new(ErrorKind::SessionNotFound, "lost");
    let setup = Setup::default()
        .server(move |_, _| now(Answer::Stream(stream::iter([Err(lost())]).boxed())));
    let gateway = setup.start();
    let session = gateway.session().await;
    assert_eq!(gateway.say(&session, CALL).await.0, 200);
    ended(&gateway).await;
}

/// What a server and its client settled on.
fn handshake() -> Handshake {
    Handshake {
        initialize: Bytes::from_static(INITIALIZE.as_bytes()),
        version: ProtocolVersion::V2025_06_18,
        server_session: None,
        server_version: ProtocolVersion::V2025_06_18,
    }
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_and_ends_for_good_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let durable = || Setup { key_file: Some(folder.path().join("keys")), ..Setup::default() };
    let gateway = durable().start();
    gateway.server.state().handshake = Some(handshake());
    let token = gateway.post(INITIALIZE, None).await.session.unwrap();
    let session = gateway.router.find(token.expose(), &caller()).unwrap();
    gateway.log.take();

    // The same keys, and nothing else, are what the next process has.
    let restarted = durable().start();
    let (status, _) = read(restarted.post(CALL, Some(token.expose())).await).await;
    assert_eq!(status, 200);
    let rows = restarted.log.take();
    let row = rows.first().unwrap();
    assert_eq!(row.session_id.as_ref(), Some(session.id()));
    assert_eq!(row.protocol_version, Some("2025-06-18"));
    assert_eq!(restarted.server.state().resumed, 1);
    assert_eq!(restarted.metric("mcp_proxy_sessions_total{transport=\"http\"}"), 1);

    let adopted = restarted.router.find(token.expose(), &caller()).unwrap();
    assert_eq!(adopted.client().map(|client| &*client.name), Some("probe"));
    restarted.router.close(&adopted).await;
    assert_eq!(read(restarted.post(CALL, Some(token.expose())).await).await.0, 404);
    let sse = Caller { transport: Transport::Sse, ..caller() };
    assert!(gateway.router.find(token.expose(), &sse).is_none(), "not over another transport");
}

#[tokio::test]
async fn a_token_of_other_keys_or_another_principal_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let durable = || Setup { key_file: Some(folder.path().join("keys")), ..Setup::default() };
    let gateway = durable().start();
    gateway.server.state().handshake = Some(handshake());
    let token = gateway.post(INITIALIZE, None).await.session.unwrap();
    let other_keys = Setup::default().start();
    assert_eq!(read(other_keys.post(CALL, Some(token.expose())).await).await.0, 404);
    assert_eq!(other_keys.row(), "request error held session_not_found");
    let other_agent = Setup { agent: "somebody else", ..durable() }.start();
    assert_eq!(read(other_agent.post(CALL, Some(token.expose())).await).await.0, 404);
}

#[tokio::test]
async fn sessions_end_at_their_limits_and_with_the_gateway() {
    let gateway = Setup::default().start();
    let idle = gateway.session().await;
    gateway.clock.advance(Duration::from_secs(99));
    let fresh = gateway.session().await;
    gateway.clock.advance(Duration::from_secs(2));
    gateway.router.sweep().await;
    assert!(idle.is_closed() && !fresh.is_closed());
    assert_eq!(gateway.server.state().closed, 1);
    gateway.session().await;
    gateway.router.close_all().await;
    assert_eq!(gateway.router.sessions().len(), 0);
    assert_eq!(gateway.server.state().closed, 3);
    assert_eq!(gateway.metric("mcp_proxy_session_duration_seconds_count"), 3);
}

#[tokio::test]
async fn a_message_is_a_sign_of_life_even_if_it_is_denied() {
    let gateway = Setup::default()
        .rules(|input| if input.tool.is_some() { deny("not this") } else { allow() })
        .start();
    let session = gateway.session().await;
    for _ in 0..3 {
        gateway.clock.advance(Duration::from_secs(60));
        assert_eq!(gateway.say(&session, CALL).await.0, 200);
    }
}

#[tokio::test]
async fn what_a_client_calls_itself_is_cut() {
    let gateway = Setup::default().start();
    let long = "é".repeat(1000);
    let body = INITIALIZE.replace("probe", &long).replace(r#""7""#, "7");
    let reply = gateway.post(&body, None).await;
    let session = gateway.router.find(reply.session.unwrap().expose(), &caller()).unwrap();
    let client = session.client().unwrap();
    assert_eq!((&*client.name, &*client.version), (&*"é".repeat(128), ""));
}

#[tokio::test]
async fn nothing_overtakes_initialized() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    let ticket = || Ticket::Session(std::sync::Arc::clone(&session));
    let initialized = gateway.receive(INITIALIZED, ticket()).await.ok().unwrap();
    let call = gateway.receive(CALL, ticket()).await.ok().unwrap();

    let mut answer = Box::pin(gateway.router.handle(call));
    assert!(futures_util::poll!(&mut answer).is_pending(), "the call waits");
    assert!(gateway.server.state().sent.is_empty());
    gateway.router.handle(initialized).await;
    assert_eq!(read(answer.await).await.0, 200);

    let sent = gateway.server.state().sent.clone();
    assert!(sent[0].contains("initialized") && sent[1].contains("tools/call"), "{sent:?}");
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    let ticket = || Ticket::Session(std::sync::Arc::clone(&session));
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(gateway.receive(CALL, ticket()).await.ok().unwrap());
    }
    let (status, body) = gateway.say(&session, CALL).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("overloaded") && body.contains("9007199254740993"), "{body}");
    assert_eq!(gateway.say(&session, INITIALIZED).await.0, 202, "a notification has room");
    for received in waiting {
        assert_eq!(read(gateway.router.handle(received).await).await.0, 200);
    }
    assert_eq!(gateway.say(&session, CALL).await.0, 200);
}

#[tokio::test]
async fn a_revision_that_is_not_spoken_is_not_offered_to_the_server() {
    for (asked, offered) in [
        ("2025-03-26", "2025-03-26"),
        ("2026-07-28", "2025-11-25"),
        ("2099-12-31", "2025-11-25"),
        ("latest", "2025-11-25"),
    ] {
        let gateway = Setup::default().start();
        let reply = gateway.post(&INITIALIZE.replace("2025-06-18", asked), None).await;
        assert_eq!(reply.status, 200, "{asked}");
        let sent = gateway.server.state().sent.join("\n");
        let expected = INITIALIZE.replace("2025-06-18", offered);
        assert!(sent.contains(&expected), "{asked}: {sent}");
    }
}
