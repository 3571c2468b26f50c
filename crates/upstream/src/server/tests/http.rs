use super::*;
use testkit::upstream::{Answers, FakeServer, McpServer, Step, answer, event_stream};

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
        vec![Step::Send(progress_of(request)), Step::Hold, Step::Send(answer(request))]
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

#[tokio::test]
async fn the_time_out_stands_still_while_the_server_waits_for_the_client() {
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}"#;
    let server =
        McpServer::start(Answers::Events, true, move |request| match request.name().as_deref() {
            Some("ask") => {
                vec![Step::Send(question.to_owned()), Step::Hold, Step::Send(answer(request))]
            }
            Some(_) => vec![Step::Hold],
            None => vec![Step::Send(answer(request))],
        })
        .await;
    let config = Config { timeout: Span::millis(50), ..config(server.url()) };
    let rig = Rig::open(config).await;
    let mut stream = rig.stream(call(1, "ask")).await;
    assert_eq!(stream.next().await.unwrap().unwrap().method_name(), "elicitation/create");
    // A session without questions measures the time.
    let other = rig.beside(Party::One);
    other.initialize().await;
    let measure = async || other.failure(call(2, "never")).await;
    let rest = async {
        measure().await;
        measure().await;
        server.release(1);
    };
    let (answered, ()) = tokio::join!(stream.next(), rest);
    said(&answered.unwrap().unwrap(), "ask");
}
