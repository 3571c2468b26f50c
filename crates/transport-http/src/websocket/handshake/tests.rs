use domain::{ErrorKind, Transport};
use testkit::ports::ScriptedUpstream;

use crate::Config;
use crate::fixture::{Gateway, bare};

/// A handshake in which that part stands in place of the usual one.
fn handshake(usual: &str, instead: &str) -> String {
    // The key is the example of RFC 6455, section 1.3.
    let all = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: other, mcp\r\n";
    assert!(all.contains(usual), "{usual}");
    all.replacen(usual, instead, 1)
}

async fn check(headers: &str, status: u16, said: &str) {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    let mut client = gateway.connect();
    let answer = client.ask(&bare("GET /ws", headers)).await;
    assert_eq!(answer.status, status, "{headers}");
    assert!(answer.body.contains(said), "{}", answer.body);
    let upgrade = (status == 426).then_some("websocket");
    assert_eq!(answer.header("upgrade"), upgrade);
    assert_eq!(answer.header("sec-websocket-version"), upgrade.map(|_| "13"));
    let row = gateway.row().await;
    assert_eq!(
        (row.transport, row.error_kind),
        (Transport::WebSocket, Some(ErrorKind::BadTransport))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_handshake_is_refused() {
    check("", 426, "Upgrade: websocket").await;
    check(&handshake("keep-alive, Upgrade", "keep-alive"), 426, "Connection: Upgrade").await;
    check(&handshake("Upgrade: WebSocket", "Upgrade: h2c"), 426, "Upgrade: websocket").await;
    check(&handshake("Version: 13", "Version: 8"), 426, "must be `13`").await;
    check(&handshake("Sec-WebSocket-Version: 13\r\n", ""), 426, "must be `13`").await;
    check(&handshake("other, mcp", "other"), 400, "`Sec-WebSocket-Protocol: mcp`").await;
    check(&handshake("other, mcp", "MCP"), 400, "`Sec-WebSocket-Protocol: mcp`").await;
    check(&handshake("dGhl", "dGhlAAAA"), 400, "16 bytes").await;
    check(&handshake("dGhl", "????"), 400, "16 bytes").await;
    let twice = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n";
    check(&handshake("Sec-WebSocket-Version: 13\r\n", twice), 400, "more than once").await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_agreed_to() {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    let mut client = gateway.connect();
    client.send(&bare("GET /ws", &handshake("", ""))).await;
    let answer = client.head().await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("sec-websocket-protocol"), Some("mcp"));
    assert_eq!(answer.header("sec-websocket-extensions"), None);
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_sites_are_refused() {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    let headers = format!("Origin: http://evil.example\r\n{}", handshake("", ""));
    assert_eq!(gateway.connect().ask(&bare("GET /ws", &headers)).await.status, 403);
    assert_eq!(gateway.row().await.error_kind, Some(ErrorKind::Forbidden));
}

#[tokio::test(start_paused = true)]
async fn only_get_is_served() {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    let answer = gateway.connect().ask(&bare("DELETE /ws", "")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
}
