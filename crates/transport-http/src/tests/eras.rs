//! What distinguishes the stateless revision from those with sessions.

use domain::ErrorKind::{self, BadTransport, HeaderMismatch, UnsupportedVersion};
use testkit::ports::ScriptedUpstream;

use crate::Config;
use crate::fixture::{Gateway, MIRRORED, MODERN, Story, USUAL, bare, post, within};

fn modern() -> String {
    post(&format!("{USUAL}{MIRRORED}"), MODERN)
}

#[tokio::test(start_paused = true)]
async fn a_stateless_call_needs_no_session_and_gets_none() {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    let answer = gateway.connect().ask(&modern()).await;
    assert_eq!((answer.status, answer.header("mcp-session-id")), (200, None));
    assert_eq!(answer.json()["id"], "m");
    let guessed = post(&format!("{USUAL}{MIRRORED}Mcp-Session-Id: x\r\n"), MODERN);
    assert_eq!(gateway.connect().ask(&guessed).await.status, 200, "the header says nothing");
}

#[tokio::test(start_paused = true)]
async fn sessions_are_no_matter_of_the_stateless_revision() {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    for method in ["GET", "DELETE"] {
        let request = bare(&format!("{method} /mcp"), "MCP-Protocol-Version: 2026-07-28\r\n");
        let answer = gateway.connect().ask(&request).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[track_caller]
fn check(headers: &str, body: &str, kind: ErrorKind) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let request = post(&format!("{USUAL}{headers}"), body);
    async move {
        let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
        let answer = gateway.connect().ask(&request).await;
        assert_eq!(answer.status, 400, "{place}: {}", answer.body);
        assert_eq!(answer.json()["error"]["code"], kind.code(), "{place}: {}", answer.body);
        assert_eq!(gateway.row().await.error_kind, Some(kind), "{place}");
        assert_eq!(gateway.upstream.connections().opened, 0, "{place}: nothing goes upstream");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_say_what_the_body_says() {
    for (from, to) in [
        ("Mcp-Name: echo", "Mcp-Name: other"),
        ("Mcp-Name: echo", "Mcp-Name: =?base64?!?="),
        ("Mcp-Name: echo", "Mcp_Name: echo"),
        ("Mcp-Name: echo", "Mcp-Name: echo\r\nMcp-Name: echo"),
        ("Mcp-Name: echo", "Mcp-Name: echo\r\nMcp_Name: other"),
        ("Mcp-Method: tools/call", "Mcp-Method: tools/list"),
        ("Mcp-Method: tools/call", "X: x"),
        ("Mcp-Name: echo", "X: x"),
        ("Version: 2026-07-28", "Version: 2025-11-25"),
    ] {
        check(&MIRRORED.replace(from, to), MODERN, HeaderMismatch).await;
    }
    let twice = format!("{MIRRORED}MCP-Protocol-Version: 2026-07-28\r\n");
    check(&twice, MODERN, BadTransport).await;
}

#[tokio::test(start_paused = true)]
async fn revisions_to_come_are_told_which_there_are() {
    let headers = MIRRORED.replace("2026-07-28", "2027-01-01");
    check(&headers, &MODERN.replace("2026-07-28", "2027-01-01"), UnsupportedVersion).await;
}

#[tokio::test(start_paused = true)]
async fn shutting_down_does_not_wait_for_subscriptions() {
    let mut story = Story::new();
    let gateway = Gateway::new(&Config::default(), story.upstream.clone());
    let mut client = gateway.connect();
    let listen = MODERN
        .replace("tools/call", "subscriptions/listen")
        .replace(r#""name":"echo","#, r#""notifications":{"toolsListChanged":true},"#);
    let headers = MIRRORED.replace("tools/call", "subscriptions/listen");
    client.send(&post(&format!("{USUAL}{headers}"), &listen)).await;
    story
        .tell(
            r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}"#,
        )
        .await;
    assert_eq!(within(client.head()).await.status, 200);
    assert!(within(client.chunk()).await.unwrap().contains("acknowledged"));
    gateway.shutdown.cancel();
    assert_eq!(within(client.chunk()).await, None);
    story.is_dropped().await;
    assert!(client.is_closed().await);
}
