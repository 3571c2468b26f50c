use super::*;
use testkit::upstream::{
    Answers, FakeServer, McpServer, Received, Step, answer, empty, event_stream,
};

fn sse(url: String) -> Config {
    Config { transport: TransportKind::Sse, ..config(url) }
}

#[tokio::test]
async fn answers_find_their_requests_on_the_one_stream() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let rig = Rig::open(sse(server.sse_url())).await;
    let calls = (0..20).map(|id| rig.ask(call(id, &format!("tool-{id}"))));
    for (id, answer) in futures_util::future::join_all(calls).await.iter().enumerate() {
        said(answer, &format!("\"tool-{id}\""));
    }
    let post = server.http().until(|r| r.mcp_method() == "tools/call").await;
    assert_eq!(post.path, "/messages?sessionId=1");
}

#[tokio::test]
async fn messages_of_the_server_come_through_the_inbox() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let mut rig = Rig::open(sse(server.sse_url())).await;
    let stream = server.streams()[0].clone();
    stream.message(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
    stream.message(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    assert_eq!(rig.delivered().await.method_name(), "roots/list");
    assert_eq!(rig.delivered().await.method_name(), "notifications/tools/list_changed");
    rig.connection.close().await;
    timeout(PATIENCE, stream.closed()).await.expect("close ends the stream");
}

#[tokio::test]
async fn a_stream_that_breaks_fails_its_requests_and_comes_back() {
    let server =
        McpServer::start(Answers::Json, false, |request| match request.name().as_deref() {
            Some("break") => vec![Step::Break],
            Some("hang") => vec![],
            _ => vec![Step::Send(answer(request))],
        })
        .await;
    let rig = Rig::open(sse(server.sse_url())).await;
    let (hanging, broken) =
        tokio::join!(rig.failure(call(1, "hang")), rig.failure(call(2, "break")));
    for failure in [hanging, broken] {
        failed(&failure, ErrorKind::UpstreamError, "broke");
    }
    said(&rig.ask(call(3, "echo")).await, "echo");
    let methods: Vec<_> = server.http().so_far().iter().map(Received::mcp_method).collect();
    let greetings = methods.iter().filter(|m| m.contains("initialize")).count();
    assert_eq!(greetings, 4, "the client's opening words are repeated: {methods:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_is_reopened_without_waiting_for_a_message() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let mut rig = Rig::open(sse(server.sse_url())).await;
    server.streams()[0].fail().await;
    server.http().until_nth(2, |r| r.mcp_method() == "notifications/initialized").await;
    let stream = server.streams()[1].clone();
    stream.message(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    assert_eq!(rig.delivered().await.method_name(), "notifications/tools/list_changed");
}

#[tokio::test]
async fn progress_belongs_to_its_request() {
    let server = McpServer::start(Answers::Json, false, |request| {
        let nobodys = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#;
        let steps = [progress_of(request), nobodys.to_owned(), answer(request)];
        steps.map(Step::Send).to_vec()
    })
    .await;
    let rig = Rig::open(sse(server.sse_url())).await;
    let pieces = rig.pieces(call_with_progress(1, "echo")).await;
    assert_eq!(pieces.len(), 2);
    said(pieces[1].as_ref().unwrap(), "echo");
    assert_eq!(pieces[0].as_ref().unwrap().progress_token(), Some("\"t\""));
    assert_eq!(rig.server.protocol_errors(), 1, "the server does not know the client's token");
}

#[tokio::test]
async fn late_answers_come_to_nothing_and_the_server_is_told() {
    let server = McpServer::start(Answers::Json, false, |request| {
        let hold = (request.name().as_deref() == Some("slow")).then_some(Step::Hold);
        hold.into_iter().chain([Step::Send(answer(request))]).collect()
    })
    .await;
    let rig = Rig::open(Config { timeout: TIMEOUT, ..sse(server.sse_url()) }).await;
    let came = server.http().until(|r| r.mcp_method() == "tools/call");
    let failure = rig.expire(call(7, "slow"), came).await;
    failed(&failure, ErrorKind::UpstreamTimeout, "in time");
    let told = server.http().until(|r| r.mcp_method() == "notifications/cancelled").await;
    assert_eq!(told.message().unwrap().cancelled_id(), Some("2"));
    server.release(1);
    // Which of the two comes first is the server's affair: ask until the late answer was seen.
    while rig.server.protocol_errors() == 0 {
        said(&rig.ask(call(7, "echo")).await, "echo");
    }
    assert_eq!(rig.server.protocol_errors(), 1);
}

/// A server that announces that endpoint and never answers.
async fn announcing(endpoint: &'static str) -> (FakeServer, Rig) {
    let server = FakeServer::start(move |request| async move {
        if request.method != "GET" {
            return empty(202);
        }
        let (events, response) = event_stream();
        events.raw(&format!("event: endpoint\ndata: {endpoint}\n\n")).await;
        tokio::spawn(async move { events.closed().await });
        response
    })
    .await;
    let rig = Rig::new(Config { timeout: TIMEOUT, ..sse(server.url("/a/sse")) });
    (server, rig)
}

#[tokio::test]
async fn an_endpoint_elsewhere_is_refused() {
    for endpoint in ["http://evil.example/messages", "//evil.example/", "https://127.0.0.1/m"] {
        let (server, rig) = announcing(endpoint).await;
        failed(&rig.failure(call(1, "echo")).await, ErrorKind::UpstreamError, "another host");
        assert!(server.so_far().iter().all(|r| r.method == "GET"));
    }
}

#[tokio::test]
async fn an_endpoint_is_resolved_against_the_address() {
    for (endpoint, path) in [("messages", "/a/messages"), ("/m?s=1", "/m?s=1")] {
        let (server, rig) = announcing(endpoint).await;
        let failure = rig.expire(call(1, "echo"), server.until(|r| r.path == path)).await;
        failed(&failure, ErrorKind::UpstreamTimeout, "in time");
    }
}

#[tokio::test]
async fn a_refused_message_is_a_failure() {
    for (status, expected) in [(500, "HTTP status 500"), (404, "forgotten")] {
        let server = FakeServer::start(move |request| async move {
            if request.method != "GET" {
                return empty(status);
            }
            let (events, response) = event_stream();
            events.raw("event: endpoint\ndata: /m\n\n").await;
            tokio::spawn(async move { events.closed().await });
            response
        })
        .await;
        let rig = Rig::new(sse(server.url("/sse")));
        failed(&rig.failure(call(1, "echo")).await, ErrorKind::UpstreamError, expected);
    }
}

#[tokio::test]
async fn other_tools_after_a_break_are_announced() {
    let lists = AtomicUsize::new(0);
    let server = McpServer::start(Answers::Json, false, move |request| {
        if request.name().is_some() {
            return vec![Step::Break];
        }
        let nth = lists.fetch_add(1, Ordering::SeqCst);
        let result = format!(r#"{{"tools":[{{"name":"t{nth}"}}]}}"#);
        let id = request.id().unwrap();
        vec![Step::Send(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))]
    })
    .await;
    let mut rig = Rig::open(sse(server.sse_url())).await;
    rig.ask(message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)).await;
    failed(&rig.failure(call(2, "break")).await, ErrorKind::UpstreamError, "broke");
    assert_eq!(rig.delivered().await.method_name(), "notifications/tools/list_changed");
}
