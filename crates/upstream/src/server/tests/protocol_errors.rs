//! Answers that are none: each is one failure, or is dropped and counted.

use super::*;
use testkit::upstream::{
    Answers, FakeServer, McpServer, Step, answer, empty, event_stream, response,
};

/// A server that gives every POST the same response.
async fn fixed(status: u16, content_type: &'static str, body: &'static str) -> (FakeServer, Rig) {
    let server =
        FakeServer::start(move |_| async move { response(status, content_type, body) }).await;
    let rig = Rig::new(Config { transport: TransportKind::Http, ..config(server.url("/mcp")) });
    (server, rig)
}

async fn check(status: u16, content_type: &'static str, body: &'static str, expected: &str) {
    let (server, rig) = fixed(status, content_type, body).await;
    failed(&rig.failure(call(1, "echo")).await, ErrorKind::UpstreamError, expected);
    assert_eq!(server.so_far().len(), 1, "a request is never sent twice");
}

#[tokio::test]
async fn answers_that_are_not_mcp_are_failures() {
    let good = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    check(200, "text/html", "<html>", "not valid MCP").await;
    check(200, "", good, "not valid MCP").await;
    check(200, "application/json", "{", "not valid MCP").await;
    check(200, "application/json", "", "not valid MCP").await;
    check(200, "application/json", "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}", "not valid MCP")
        .await;
    check(200, "application/json", r#"{"jsonrpc":"2.0","id":"1","result":{}}"#, "not valid MCP")
        .await;
    check(
        200,
        "application/json",
        r#"{"jsonrpc":"2.0","id":1,"result":{},"id":1}"#,
        "not valid MCP",
    )
    .await;
    check(200, "application/json", r#"[{"jsonrpc":"2.0","id":2,"result":{}}]"#, "not valid MCP")
        .await;
    check(200, "application/json", "[]", "not valid MCP").await;
    check(202, "text/plain", "", "not valid MCP").await;
    check(500, "text/plain", "stack trace", "HTTP status 500").await;
    check(502, "text/html", "<html>", "HTTP status 502").await;
    check(404, "text/plain", "", "HTTP status 404").await;
    check(401, "text/plain", "", "HTTP status 401").await;
    check(200, "text/event-stream", "", "ended without the response").await;
    check(
        200,
        "text/event-stream",
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
        "ended without",
    )
    .await;
    check(200, "text/event-stream", "data: not json\n\n", "ended without the response").await;
}

#[tokio::test]
async fn content_types_have_no_case_and_may_have_parameters() {
    for content_type in
        ["Application/JSON", "application/json ;x", "application/json; charset=utf-8"]
    {
        let (_server, rig) =
            fixed(200, content_type, r#"{"jsonrpc":"2.0","id":1,"result":{"ok":1}}"#).await;
        said(&rig.ask(call(1, "echo")).await, "ok");
    }
    for status in [201, 206] {
        let good = r#"{"jsonrpc":"2.0","id":1,"result":{"ok":1}}"#;
        let (_server, rig) = fixed(status, "application/json", good).await;
        said(&rig.ask(call(1, "echo")).await, "ok");
    }
}

#[tokio::test]
async fn an_error_status_with_our_id_is_the_servers_answer() {
    for status in [400, 404, 500] {
        let (_server, rig) = fixed(
            status,
            "application/json",
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#,
        )
        .await;
        let answer = rig.ask(call(1, "echo")).await;
        assert_eq!(answer.kind(), Kind::Error);
        assert!(answer.error().unwrap().contains("-32602"));
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = McpServer::obliging(Answers::Json, false).await;
    let location = elsewhere.url();
    let server = FakeServer::start(move |_| {
        let mut response = empty(307);
        response.headers_mut().insert("location", location.parse().unwrap());
        async move { response }
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    failed(&rig.failure(call(1, "echo")).await, ErrorKind::UpstreamError, "HTTP status 307");
    assert!(elsewhere.http().so_far().is_empty());
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_a_failure() {
    let server = FakeServer::start(|_| async {
        response(
            200,
            "application/json",
            &b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\xff\"}}"[..],
        )
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    failed(&rig.failure(call(1, "echo")).await, ErrorKind::UpstreamError, "not valid MCP");
}

#[tokio::test]
async fn answers_to_nobody_are_dropped_and_counted() {
    let server = McpServer::start(Answers::Events, false, |request| {
        let other = r#"{"jsonrpc":"2.0","id":99,"result":{}}"#;
        let text = r#"{"jsonrpc":"2.0","id":"2","result":{}}"#;
        let steps = [other, text, "{", answer(request).as_str()].map(|m| Step::Send(m.to_owned()));
        steps.to_vec()
    })
    .await;
    let rig = Rig::open(config(server.url())).await;
    let pieces = rig.pieces(call(1, "echo")).await;
    assert_eq!(pieces.len(), 1);
    said(pieces[0].as_ref().unwrap(), "echo");
    assert_eq!(rig.server.protocol_errors(), 3);
}

#[tokio::test]
async fn a_connection_that_breaks_is_one_failure_and_the_session_goes_on() {
    for answers in [Answers::Json, Answers::Events] {
        let server = McpServer::start(answers, true, |request| match request.name().as_deref() {
            Some("break") => vec![Step::Break],
            _ => vec![Step::Send(answer(request))],
        })
        .await;
        let rig = Rig::open(config(server.url())).await;
        failed(&rig.failure(call(1, "break")).await, ErrorKind::UpstreamError, "broke");
        said(&rig.ask(call(2, "echo")).await, "echo");
        let calls =
            server.http().so_far().iter().filter(|r| r.mcp_method() == "tools/call").count();
        assert_eq!(calls, 2, "a request is never sent twice");
    }
}

#[tokio::test]
async fn other_events_are_no_messages() {
    let server = FakeServer::start(|_| async {
        let (events, response) = event_stream();
        events.raw("event: ping\ndata: {}\n\n: comment\n\nevent: message\n").await;
        events.message(r#"{"jsonrpc":"2.0","id":1,"result":{"ok":1}}"#).await;
        response
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    let pieces = rig.pieces(call(1, "echo")).await;
    assert_eq!(pieces.len(), 1);
    said(pieces[0].as_ref().unwrap(), "ok");
    assert_eq!(rig.server.protocol_errors(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_in_a_stream_is_dropped_and_the_answer_comes() {
    let comments = ":\n\n".repeat(100_000);
    let mut body = comments.into_bytes();
    body.extend(b"data: \xff\n\nid: 7\ndata: {\"jsonrpc\":\"2.0\"}\n\n");
    body.extend(b"data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"ok\":1}}\n\n");
    let server = FakeServer::start(move |_| {
        let body = body.clone();
        async move { response(200, "text/event-stream", body) }
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    let pieces = rig.pieces(call(1, "echo")).await;
    assert_eq!(pieces.len(), 1);
    said(pieces[0].as_ref().unwrap(), "ok");
    assert_eq!(rig.server.protocol_errors(), 2);
}

#[tokio::test]
async fn an_answer_counts_once() {
    let server = McpServer::start(Answers::Json, false, |request| {
        let before = answer(request).replace("\"id\":2", "\"id\":3");
        let steps = [before, answer(request), answer(request)];
        steps.map(Step::Send).to_vec()
    })
    .await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let rig = Rig::open(config).await;
    said(&rig.ask(call(1, "first")).await, "first");
    // Each call's answers come before, in time, and after.
    said(&rig.ask(call(2, "second")).await, "second");
    assert!(rig.server.protocol_errors() >= 3, "{}", rig.server.protocol_errors());
}
