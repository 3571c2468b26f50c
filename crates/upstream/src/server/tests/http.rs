use super::*;
use testkit::upstream::{
    Answers, FakeServer, McpServer, Step, answer, empty, event_stream, response,
};

async fn round_trip(answers: Answers, stateful: bool) {
    let server = McpServer::obliging(answers, stateful).await;
    let rig = Rig::open(config(server.url())).await;
    for id in [1, 2] {
        said(
            &rig.ask(message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#)))
                .await,
            "tools/list",
        );
        said(&rig.ask(call(id + 10, "echo")).await, "echo");
    }
    rig.connection.close().await;
    let received = server.http().so_far();
    let deleted = received.iter().any(|request| request.method == "DELETE");
    assert_eq!(deleted, stateful, "DELETE ends the session where there is one");
}

#[tokio::test]
async fn sessions_work_with_every_kind_of_server() {
    for answers in [Answers::Json, Answers::Events] {
        for stateful in [false, true] {
            round_trip(answers, stateful).await;
        }
    }
}

#[tokio::test]
async fn json_answers_stay_json_and_streams_stay_streams() {
    for (answers, streamed) in [(Answers::Json, false), (Answers::Events, true)] {
        let server = McpServer::obliging(answers, true).await;
        let rig = Rig::open(config(server.url())).await;
        let answer = rig.send(call(1, "echo")).await.unwrap();
        assert_eq!(matches!(answer, Answer::Stream(_)), streamed);
    }
}

#[tokio::test]
async fn the_session_and_the_revision_go_with_every_message() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let rig = Rig::open(config(server.url())).await;
    rig.ask(call(1, "echo")).await;
    let received = server.http().so_far();
    let initialize = received.iter().find(|r| r.mcp_method() == "initialize").unwrap();
    assert_eq!(initialize.header("mcp-session-id"), None);
    assert_eq!(initialize.header("mcp-protocol-version"), None);
    assert_eq!(initialize.header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(initialize.header("content-type"), Some("application/json"));
    for later in received.iter().filter(|r| r.mcp_method() != "initialize") {
        assert_eq!(later.header("mcp-session-id"), Some("fake-session-1"));
        assert_eq!(later.header("mcp-protocol-version"), Some("2025-06-18"));
    }
}

#[tokio::test]
async fn ids_are_ours_and_all_else_is_the_clients() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let rig = Rig::open(config(server.url())).await;
    let text = r#"{ "jsonrpc":"2.0", "params":{"name":"echo","arguments":{"n":9007199254740993,"x":1e0}}, "id":"abc", "method":"tools/call" }"#;
    rig.ask(message(text)).await;
    let call = server.http().until(|r| r.mcp_method() == "tools/call").await;
    assert_eq!(call.body, text.replace("\"abc\"", "2"));
}

#[tokio::test]
async fn one_event_after_the_other_reaches_the_reader() {
    let server = McpServer::start(Answers::Events, true, |request| {
        let update = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#;
        vec![Step::Send(update.to_owned()), Step::Hold, Step::Send(answer(request))]
    })
    .await;
    let rig = Rig::open(config(server.url())).await;
    let mut stream = rig.stream(call_with_progress(1, "slow")).await;
    let first = timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.progress_token(), Some(r#""t""#));
    server.release(1);
    said(&stream.next().await.unwrap().unwrap(), "slow");
    assert!(stream.next().await.is_none(), "nothing follows the response");
}

#[tokio::test]
async fn the_standalone_stream_is_open_before_the_first_call() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let mut rig = Rig::open(config(server.url())).await;
    rig.ask(call(1, "echo")).await;
    let order: Vec<_> = server.http().so_far().iter().map(|r| r.method.to_string()).collect();
    assert_eq!(order, ["POST", "POST", "GET", "POST"]);
    let [stream] = server.streams().try_into().unwrap();
    stream.message(r#"{"jsonrpc":"2.0","id":"s1","method":"roots/list"}"#).await;
    let request = rig.delivered().await;
    assert_eq!(request.id(), Some(r#""s1""#));
    rig.send(message(r#"{"jsonrpc":"2.0","id":"s1","result":{"roots":[]}}"#)).await.unwrap();
    server.http().until(|r| r.body.ends_with(br#""result":{"roots":[]}}"#)).await;
    rig.connection.close().await;
    timeout(PATIENCE, stream.closed()).await.expect("close ends the stream");
}

#[tokio::test]
async fn a_standalone_stream_that_ends_is_taken_up_where_it_was() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let mut rig = Rig::open(config(server.url())).await;
    server.http().until(|r| r.method == "GET").await;
    server.streams()[0].raw("id: 42\nretry: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n").await;
    rig.delivered().await;
    server.end_streams();
    let again =
        server.http().until(|r| r.method == "GET" && r.header("last-event-id").is_some()).await;
    assert_eq!(again.header("last-event-id"), Some("42"));
}

#[tokio::test]
async fn without_retry_a_standalone_stream_stays_closed() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let mut config = config(server.url());
    config.retry.enabled = false;
    let rig = Rig::open(config).await;
    server.http().until(|r| r.method == "GET").await;
    server.end_streams();
    for id in 0..20 {
        rig.ask(call(id, "echo")).await;
    }
    let opened = server.http().so_far().iter().filter(|r| r.method == "GET").count();
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn answers_on_the_standalone_stream_are_dropped() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let mut rig = Rig::open(config(server.url())).await;
    server.http().until(|r| r.method == "GET").await;
    let stream = server.streams()[0].clone();
    stream.message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    stream.message("not a message").await;
    stream.message(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    assert_eq!(rig.delivered().await.method_name(), "notifications/tools/list_changed");
    assert_eq!(rig.server.protocol_errors(), 2);
}

#[tokio::test]
async fn a_forgotten_session_says_so_until_it_is_initialised_again() {
    let server = FakeServer::start(|request| async move {
        match request.mcp_method().as_str() {
            "initialize" => {
                let id = request.message().unwrap().id().unwrap().to_owned();
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-06-18"}}}}"#);
                let mut response = response(200, "application/json", body);
                response.headers_mut().insert("mcp-session-id", "s".parse().unwrap());
                response
            }
            "tools/call" => response(400, "application/json", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#),
            "tools/list" => empty(404),
            _ => empty(if request.method == "GET" { 405 } else { 202 }),
        }
    })
    .await;
    let list = || message(r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#);
    for first in [call(1, "echo"), list()] {
        let rig = Rig::open(config(server.url("/mcp"))).await;
        failed(&rig.failure(first).await, ErrorKind::SessionNotFound, "send `initialize`");
        let so_far = server.so_far().len();
        failed(
            &rig.failure(call(2, "echo")).await,
            ErrorKind::SessionNotFound,
            "send `initialize`",
        );
        assert_eq!(server.so_far().len(), so_far, "nothing is sent to a session that is gone");
        rig.ask(message(INITIALIZE)).await;
        assert_eq!(server.so_far().last().unwrap().header("mcp-session-id"), None);
    }
}

#[tokio::test]
async fn a_broken_answer_with_event_ids_is_taken_up_again() {
    let (sender, mut streams) = mpsc::channel(4);
    let server = FakeServer::start(move |_| {
        let sender = sender.clone();
        async move {
            let (events, response) = event_stream();
            sender.send(events).await.unwrap();
            response
        }
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    let mut stream = rig.stream(call(1, "echo")).await;
    let first = streams.recv().await.unwrap();
    first.raw("id: 5\nretry: 1\ndata: \n\n").await;
    drop(first);
    let reader = tokio::spawn(async move { stream.next().await });
    let second = streams.recv().await.unwrap();
    second.message(r#"{"jsonrpc":"2.0","id":1,"result":{"resumed":true}}"#).await;
    said(&timeout(PATIENCE, reader).await.unwrap().unwrap().unwrap().unwrap(), "resumed");
    let received = server.so_far();
    assert_eq!(received.iter().map(|r| r.method.as_str()).collect::<Vec<_>>(), ["POST", "GET"]);
    assert_eq!(received[1].header("last-event-id"), Some("5"));
}

#[tokio::test]
async fn a_refusal_answers_the_servers_request() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let rig = Rig::open(config(server.url())).await;
    let request = message(r#"{"jsonrpc":"2.0","id":"s1","method":"roots/list"}"#);
    rig.connection.refuse(&request, &Failure::new(ErrorKind::PolicyDenied, "denied")).await;
    let refused =
        server.http().until(|r| r.body.starts_with(br#"{"jsonrpc":"2.0","id":"s1","error""#)).await;
    assert_eq!(refused.message().unwrap().kind(), Kind::Error);
}

#[tokio::test]
async fn initialised_again_there_is_still_one_standalone_stream() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let rig = Rig::open(config(server.url())).await;
    rig.ask(call(1, "echo")).await;
    rig.initialize().await;
    rig.ask(call(2, "echo")).await;
    let [first, _second] = server.streams().try_into().unwrap();
    timeout(PATIENCE, first.closed()).await.expect("the first stream ends");
}
