//! Finding the way to a server.

use super::*;
use testkit::upstream::{Answers, FakeServer, McpServer, Received, empty};

fn origin(server: &McpServer) -> String {
    server.http().url("")
}

fn tried(server: &McpServer) -> Vec<String> {
    let line = |r: &Received| format!("{} {}", r.method, r.path);
    server.http().so_far().iter().map(line).collect()
}

#[track_caller]
fn check_view(rig: &Rig, transport: &str, path: &str) {
    let view = rig.server.view();
    assert_eq!(view.transport, transport);
    assert!(view.url.unwrap().ends_with(path), "{view:?}");
}

#[tokio::test]
async fn a_bare_origin_means_the_usual_paths() {
    let server = McpServer::obliging(Answers::Json, true).await;
    for (transport, expected, path) in [
        (TransportKind::Sse, "sse", "/sse"),
        (TransportKind::Http, "http", "/mcp"),
        (TransportKind::Auto, "http", "/mcp"),
    ] {
        let rig = Rig::open(Config { transport, ..config(origin(&server)) }).await;
        said(&rig.ask(call(1, "echo")).await, "echo");
        check_view(&rig, expected, path);
    }
}

#[tokio::test]
async fn auto_falls_back_to_the_event_stream() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let rig = Rig::open(config(server.sse_url())).await;
    said(&rig.ask(call(1, "echo")).await, "echo");
    check_view(&rig, "sse", "/sse");
    assert_eq!(tried(&server)[..2], ["POST /sse", "GET /sse"]);
}

#[tokio::test]
async fn what_was_found_is_tried_first_by_the_next_session() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let rig = Rig::open(config(origin(&server))).await;
    assert_eq!(tried(&server)[..3], ["POST /", "GET /", "POST /mcp"]);
    let before = tried(&server).len();
    let (sender, inbox) = mpsc::channel(8);
    let connection = rig.server.connect(Arc::new(Collected(sender)), Party::One);
    let next = Rig { connection, inbox, server: Arc::clone(&rig.server) };
    next.initialize().await;
    let posts: Vec<_> =
        tried(&server)[before..].iter().filter(|t| t.starts_with("POST")).cloned().collect();
    assert_eq!(posts[0], "POST /mcp");
    assert!(!tried(&server)[before..].contains(&"POST /".to_owned()));
}

#[tokio::test]
async fn a_configured_transport_is_not_left() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let rig = Rig::new(Config { transport: TransportKind::Http, ..config(server.sse_url()) });
    failed(&rig.failure(message(INITIALIZE)).await, ErrorKind::UpstreamError, "HTTP status 405");
    let rig =
        Rig::new(Config { transport: TransportKind::Sse, ..config(server.http().url("/nowhere")) });
    failed(&rig.failure(message(INITIALIZE)).await, ErrorKind::UpstreamError, "HTTP status 404");
}

#[tokio::test]
async fn a_server_that_is_nowhere_is_one_failure() {
    let server = FakeServer::start(|_| async { empty(404) }).await;
    let rig = Rig::new(config(server.url("")));
    failed(&rig.failure(message(INITIALIZE)).await, ErrorKind::UpstreamError, "HTTP status 404");
    assert_eq!(server.so_far().len(), 4, "two paths, two transports");
}

#[tokio::test]
async fn a_stateless_message_finds_the_way_too() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let discover = message(
        r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    let stateless = McpServer::obliging(Answers::Json, false).await;
    let rig = Rig::new(config(origin(&stateless)));
    said(&rig.ask(discover.clone()).await, "server/discover");
    check_view(&rig, "http", "/mcp");
    assert_eq!(tried(&stateless), ["POST /", "GET /", "POST /mcp"]);
    let rig = Rig::new(config(server.sse_url()));
    said(&rig.ask(discover).await, "server/discover");
    check_view(&rig, "sse", "/sse");
    assert_eq!(tried(&server)[..2], ["POST /sse", "GET /sse"]);
}
