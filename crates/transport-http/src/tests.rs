//! The endpoint as a client sees it, on a clock that advances by itself when everyone waits.

use domain::{ErrorKind, Transport};
use futures_util::{StreamExt, stream};
use protocol::Message;
use router::Caller;
use serde_json::json;
use testkit::ports::{ScriptedUpstream, result};
use tokio::sync::{mpsc, oneshot};

use crate::fixture::{
    self, CALL, Gateway, INITIALIZE, NOTE, USUAL, bare, in_session, post, within,
};
use crate::{Config, Security, Served};

mod admission;
mod batches;
mod eras;
mod leaving;
mod refusals;
mod resumption;
mod streaming;

fn default() -> Gateway {
    Gateway::new(&Config::default(), ScriptedUpstream::obliging())
}

#[tokio::test(start_paused = true)]
async fn a_session_from_initialize_to_delete() {
    let gateway = default();
    let (mut client, id) = gateway.session().await;
    let call = client.ask(&post(&in_session(&id), CALL)).await;
    assert_eq!((call.status, call.header("content-type")), (200, Some("application/json")));
    assert_eq!(call.json(), json!({"jsonrpc": "2.0", "id": "a", "result": {}}));
    assert_eq!(call.header("mcp-session-id"), None);

    let delete = bare("DELETE /mcp", &format!("Mcp-Session-Id: {id}\r\n"));
    let answer = client.ask(&delete).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    within(gateway.upstream.closed(1)).await;
    let after = client.ask(&post(&in_session(&id), CALL)).await;
    assert_eq!(after.status, 404);
    let again = client.ask(&delete).await;
    assert_eq!(again.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_notification_is_accepted_while_the_server_is_silent() {
    let upstream = ScriptedUpstream::new(|_, _| Box::pin(std::future::pending()));
    let gateway = Gateway::new(&Config::default(), upstream);
    let (mut client, id) = gateway.session().await;
    let before = tokio::time::Instant::now();
    let answer = client.ask(&post(&in_session(&id), NOTE)).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, ""));
    assert_eq!(before.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn events_leave_one_by_one() {
    let (sender, receiver) = mpsc::channel::<Message>(1);
    let receiver = std::sync::Mutex::new(Some(receiver));
    let upstream = ScriptedUpstream::new(move |_, _| {
        let receiver = receiver.lock().unwrap().take().unwrap();
        let messages = stream::unfold(receiver, |mut receiver| async {
            Some((Ok(receiver.recv().await?), receiver))
        });
        Box::pin(async { Ok(domain::Answer::Stream(messages.boxed())) })
    });
    let gateway = Gateway::new(&Config::default(), upstream);
    let (mut client, id) = gateway.session_of("2024-11-05").await;
    client.send(&post(&in_session(&id), CALL)).await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
    let response = r#"{"jsonrpc":"2.0","id":"a","result":{"x":1}}"#;

    sender.send(Message::parse(note.into()).unwrap()).await.unwrap();
    let head = within(client.head()).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.header("cache-control"), Some("no-cache, no-store"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    let event = format!("event: message\ndata: {note}\n\n");
    assert_eq!(within(client.chunk()).await, Some(event));

    sender.send(Message::parse(response.into()).unwrap()).await.unwrap();
    drop(sender);
    let event = format!("event: message\ndata: {response}\n\n");
    assert_eq!(within(client.chunk()).await, Some(event));
    assert_eq!(within(client.chunk()).await, None);
    let next = client.ask(&post(&in_session(&id), NOTE)).await;
    assert_eq!(next.status, 202, "the connection is still of use");
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_session_carries_what_the_server_sends_on_its_own() {
    let note = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let upstream = ScriptedUpstream::new(move |message, inbox| {
        Box::pin(async move {
            inbox.deliver(Message::parse(note.into()).unwrap()).await;
            Ok(result(&message, "{}"))
        })
    });
    let gateway = Gateway::new(&Config::default(), upstream);
    let (mut client, id) = gateway.session_of("2024-11-05").await;
    let get = bare("GET /mcp", &format!("Accept: text/event-stream\r\nMcp-Session-Id: {id}\r\n"));
    let mut listener = gateway.connect();
    listener.send(&get).await;
    assert_eq!(within(listener.head()).await.status, 200);
    assert_eq!(gateway.connect().ask(&get).await.status, 409, "one stream a session");

    client.ask(&post(&in_session(&id), CALL)).await;
    let event = format!("event: message\ndata: {note}\n\n");
    assert_eq!(within(listener.chunk()).await, Some(event));
    // Twice the time in which a write must make progress: a quiet stream is not a stalled one.
    for _ in 0..4 {
        assert_eq!(within(listener.chunk()).await.as_deref(), Some(": keep-alive\n\n"));
    }
    client.ask(&bare("DELETE /mcp", &format!("Mcp-Session-Id: {id}\r\n"))).await;
    assert_eq!(within(listener.chunk()).await, None, "the stream ends with its session");
}

#[tokio::test(start_paused = true)]
async fn a_session_of_another_transport_is_unknown() {
    let gateway = default();
    let caller = fixture::caller(Transport::Sse);
    let session = gateway.router.open(&caller).await.ok().unwrap();
    let id = session.token().expose();
    let get = bare("GET /mcp", &format!("Mcp-Session-Id: {id}\r\n"));
    let delete = bare("DELETE /mcp", &format!("Mcp-Session-Id: {id}\r\n"));
    for request in [post(&in_session(id), CALL), get, delete] {
        let answer = gateway.connect().ask(&request).await;
        assert_eq!(answer.status, 404, "{request}");
        assert_eq!(answer.json()["error"]["data"]["kind"], "session_not_found");
    }
    assert!(gateway.router.find(id, &caller).is_some());
}

#[tokio::test(start_paused = true)]
async fn requests_on_one_connection_are_answered_in_order() {
    let gateway = default();
    let (mut client, id) = gateway.session().await;
    let call = post(&in_session(&id), CALL);
    client.send(&format!("{call}{}{call}", post(&in_session(&id), NOTE))).await;
    for status in [200, 202, 200] {
        assert_eq!(within(client.answer()).await.status, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_in_pieces_is_one_message() {
    let gateway = default();
    let (start, end) = INITIALIZE.split_at(20);
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{USUAL}Transfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{start}\r\n{:x}\r\n{end}\r\n0\r\n\r\n",
        start.len(),
        end.len()
    );
    assert_eq!(gateway.connect().ask(&request).await.status, 200);
    let row = gateway.row().await;
    assert_eq!((&*row.method, row.request_bytes), ("initialize", INITIALIZE.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn the_row_knows_the_client() {
    let gateway = default();
    let agent = format!("User-Agent: {}\r\n", "x".repeat(300));
    gateway.connect().ask(&post(&format!("{USUAL}{agent}"), INITIALIZE)).await;
    let row = gateway.row().await;
    assert_eq!(row.user_agent.as_deref(), Some("x".repeat(256).as_str()));
    assert_eq!(row.source_ip.unwrap().to_string(), "127.0.0.1");
    assert_eq!(row.transport, Transport::Http);
}

#[tokio::test(start_paused = true)]
async fn security_headers_can_be_switched_off() {
    let names = ["x-content-type-options", "x-frame-options", "referrer-policy", "cache-control"];
    for on in [true, false] {
        let security = Security { enable_security_headers: on, ..Security::default() };
        let config = Config { security, ..Config::default() };
        let gateway = Gateway::new(&config, ScriptedUpstream::obliging());
        let answers = [
            gateway.connect().ask(&post(USUAL, INITIALIZE)).await,
            gateway.connect().ask(&bare("GET /nowhere", "")).await,
        ];
        for answer in answers {
            for name in names {
                assert_eq!(answer.header(name).is_some(), on, "{name} of {}", answer.status);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_is_off_says_which_key_turns_it_on() {
    let sse = axum::Router::new().route("/sse", axum::routing::get(|| async { "stream" }));
    for (served, http, other, websocket) in [
        (Served::All, 200, 200, 426),
        (Served::Http, 200, 404, 404),
        (Served::Sse, 404, 200, 404),
        (Served::WebSocket, 404, 404, 426),
        (Served::Stdio, 404, 404, 404),
    ] {
        let config = Config { transport: served, ..Config::default() };
        let gateway = Gateway::with_sse(&config, ScriptedUpstream::obliging(), sse.clone());
        let answers = [
            (http, gateway.connect().ask(&post(USUAL, INITIALIZE)).await),
            (other, gateway.connect().ask(&bare("GET /sse", "")).await),
            (websocket, gateway.connect().ask(&bare("GET /ws", "")).await),
        ];
        for (status, answer) in answers {
            assert_eq!(answer.status, status, "{served:?}");
            assert_eq!(answer.body.contains("server.transport"), status == 404, "{}", answer.body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_other_transport_gets_the_caller_and_a_body_within_the_limit() {
    let (sender, mut seen) = mpsc::channel(1);
    let handler = move |axum::Extension(caller): axum::Extension<Caller>, body: String| async move {
        sender.send((caller.transport, body)).await.unwrap();
    };
    let sse = axum::Router::new().route("/message", axum::routing::post(handler));
    let mut config = Config::default();
    config.limits.max_body_bytes = 100;
    let gateway = Gateway::with_sse(&config, ScriptedUpstream::obliging(), sse);
    let message = |body: &str| post(USUAL, body).replace("/mcp", "/message?sessionId=x");
    let answer = gateway.connect().ask(&message(NOTE)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(within(seen.recv()).await, Some((Transport::Sse, NOTE.to_owned())));

    let answer = gateway.connect().ask(&message(&" ".repeat(101))).await;
    assert_eq!(answer.status, 413);
    let row = gateway.row().await;
    assert_eq!((row.transport, row.error_kind), (Transport::Sse, Some(ErrorKind::TooLarge)));
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_streams_and_finishes_calls() {
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let upstream = ScriptedUpstream::new(move |message, _| {
        let released = released.lock().unwrap().take().unwrap();
        Box::pin(async move {
            released.await.unwrap();
            Ok(result(&message, "{}"))
        })
    });
    let gateway = Gateway::new(&Config::default(), upstream);
    let (mut caller, id) = gateway.session().await;
    let mut listener = gateway.connect();
    let get = format!("Accept: text/event-stream\r\nMcp-Session-Id: {id}\r\n");
    listener.send(&bare("GET /mcp", &get)).await;
    within(listener.head()).await;
    caller.send(&post(&in_session(&id), CALL)).await;
    let mut idle = gateway.connect();
    idle.ask(&bare("OPTIONS /mcp", "")).await;

    gateway.shutdown.cancel();
    within(listener.rest()).await;
    assert!(idle.is_closed().await);
    release.send(()).unwrap();
    assert_eq!(within(caller.answer()).await.status, 200);
    assert!(caller.is_closed().await);
}
