//! What readiness learns, and connecting again.

use super::*;
use domain::Health;
use testkit::upstream::{Answers, FakeServer, McpServer, empty, response};
use tokio::net::TcpListener;

/// The address of a port where nothing listens.
async fn nobody() -> String {
    let server = McpServer::obliging(Answers::Json, false).await;
    format!("http://{}/mcp?token=hunter2", server.kill().await)
}

#[track_caller]
fn check_down(rig: &Rig, expected: &str) {
    match rig.server.health() {
        Health::Down(why) => {
            assert!(why.contains(expected), "{why}");
            assert!(!why.contains("hunter2"), "{why}");
        }
        Health::Up => panic!("the server is up"),
    }
}

#[tokio::test]
async fn health_follows_the_last_evidence() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let rig = Rig::new(config(server.url()));
    assert_eq!(Probe::name(&*rig.server), "upstream");
    check_down(&rig, "not checked yet");
    rig.server.check().await;
    assert_eq!(rig.server.health(), Health::Up);
    let address = server.kill().await;
    rig.server.check().await;
    check_down(&rig, "refused");
    let listener = TcpListener::bind(address).await.unwrap();
    rig.server.check().await;
    assert_eq!(rig.server.health(), Health::Up);
    drop(listener);
    failed(&rig.failure(message(INITIALIZE)).await, ErrorKind::UpstreamError, "cannot be reached");
    check_down(&rig, "refused");
}

#[tokio::test]
async fn a_good_answer_means_up() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let rig = Rig::open(config(server.url())).await;
    assert_eq!(rig.server.health(), Health::Up);
}

/// A server that gives one session's `initialize` that status and body, and serves the next one.
async fn check_no_mcp(status: u16, body: &'static str, expected: &str) {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = FakeServer::start(move |received| {
        let first = asked.fetch_add(usize::from(received.method == "POST"), Ordering::Relaxed) == 0;
        let id = received.message().and_then(|message| message.id().map(str::to_owned));
        async move {
            match id {
                Some(_) if first => response(status, "application/json", body),
                Some(id) => {
                    let result = r#"{"protocolVersion":"2025-06-18"}"#;
                    response(200, "application/json", protocol::encode::result_reply(&id, result))
                }
                None => empty(if received.method == "POST" { 202 } else { 405 }),
            }
        }
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    rig.server.check().await;
    assert_eq!(rig.server.health(), Health::Up, "{status}: it can be connected to");
    failed(&rig.failure(message(INITIALIZE)).await, ErrorKind::UpstreamError, expected);
    for _ in 0..2 {
        check_down(&rig, expected);
        rig.server.check().await;
    }
    let (sender, inbox) = mpsc::channel(8);
    let connection = rig.server.connect(Arc::new(Collected(sender)), Party::One);
    Rig { connection, inbox, server: Arc::clone(&rig.server) }.initialize().await;
    assert_eq!(rig.server.health(), Health::Up, "{status}: it speaks MCP");
}

#[tokio::test]
async fn a_server_that_does_not_speak_mcp_is_down_until_it_does() {
    check_no_mcp(404, "{}", "HTTP status 404").await;
    check_no_mcp(401, "{}", "HTTP status 401").await;
    check_no_mcp(200, r#"{"status":"ok"}"#, "`jsonrpc` is missing").await;
}

#[test]
fn a_server_that_spoke_mcp_before_may_come_back_unasked() {
    let seen = LastSeen::new("files");
    seen.not_mcp("a web page");
    seen.connected();
    assert_eq!(seen.get(), Health::Down("a web page".to_owned()));
    seen.spoke();
    seen.not_mcp("a web page");
    assert_eq!(seen.get(), Health::Down("a web page".to_owned()));
    seen.connected();
    assert_eq!(seen.get(), Health::Up);
}

#[tokio::test]
async fn coming_and_going_is_logged() {
    let log = Log::default();
    let _logging = log.listen();
    let seen = LastSeen::new("files");
    seen.connected();
    seen.connected();
    seen.lost("gone");
    seen.not_mcp("a web page");
    seen.connected();
    seen.spoke();
    let up = r#"INFO {"message":"the server is up","server":"files"}"#;
    let down = r#"WARN {"message":"the server is down","server":"files","error":"gone"}"#;
    assert_eq!(log.lines(), [up, down, up]);
}

#[tokio::test]
async fn failures_show_no_secret_of_the_url() {
    let rig = Rig::new(config(nobody().await));
    let failure = rig.failure(message(INITIALIZE)).await;
    failed(&failure, ErrorKind::UpstreamError, "refused");
    assert!(failure.unsent, "{failure:?}");
    assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    assert!(failure.detail.contains("127.0.0.1"), "the operator learns the address");
    check_down(&rig, "refused");
    let view = rig.server.view();
    assert_eq!((view.name, view.transport), ("default", "http"));
    assert!(view.url.unwrap().ends_with("/mcp"), "{view:?}");
}

/// Waits that connecting to nobody takes, in milliseconds of a clock that only moves by waiting.
async fn waits(retry: Retry) -> u128 {
    let url = nobody().await;
    let rig = Rig::new(Config { retry, timeout: Span::secs(3600), ..config(url) });
    tokio::time::pause();
    let before = Instant::now();
    let failure = rig.connection.send(permit(), message(INITIALIZE)).await.err().unwrap();
    failed(&failure, ErrorKind::UpstreamError, "cannot be reached");
    let waited = before.elapsed();
    tokio::time::resume();
    waited.as_millis()
}

#[tokio::test]
async fn connecting_is_tried_again_as_configured() {
    let retry = Retry {
        max_attempts: 5,
        initial_delay: Span::secs(100),
        max_delay: Span::secs(300),
        ..Retry::default()
    };
    // 100 + 200 + 300 + 300 seconds, and a little for rounding.
    let waited = waits(retry.clone()).await;
    assert!((900_000..900_100).contains(&waited), "{waited}");
    let constant = Retry { backoff: crate::Backoff::Constant, ..retry.clone() };
    let waited = waits(constant).await;
    assert!((400_000..400_100).contains(&waited), "{waited}");
    let waited = waits(Retry { enabled: false, ..retry }).await;
    assert!(waited < 100, "{waited}");
}

#[tokio::test]
async fn https_is_never_left_for_http() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let rig = Rig::new(config(server.url().replace("http://", "https://")));
    failed(&rig.failure(message(INITIALIZE)).await, ErrorKind::UpstreamError, "cannot be reached");
    assert!(server.http().so_far().is_empty());
    assert_eq!(server.http().connections(), 3, "as many attempts as configured");
}

#[tokio::test]
async fn the_name_is_the_configured_one() {
    let url = nobody().await;
    let rig = Rig::new(Config { name: "files".to_owned(), ..config(url) });
    assert_eq!(rig.server.view().name, "files");
}
