//! Headers that policy sets (obligation `set_header`) go with the message, and with no other.

use super::*;
use domain::Permit;
use testkit::upstream::{Answers, McpServer};

/// A permit with a header of policy, and some that are not policy's to set.
fn labelled() -> Permit {
    let mut permit = permit();
    for (name, value) in [
        ("x-team", "a b"),
        ("content-type", "text/plain"),
        ("accept", "text/plain"),
        ("mcp-session-id", "forged"),
        ("mcp-protocol-version", "forged"),
        ("mcp-method", "forged"),
        ("not a name", "x"),
        ("x-line", "a\r\nx-injected: b"),
    ] {
        permit.set_header(name, value);
    }
    permit
}

/// Calls with and without headers, and compares those of the POSTs.
async fn check(rig: &Rig, server: &McpServer, call: impl Fn(u64) -> Message) {
    rig.connection.send(labelled(), call(7)).await.unwrap();
    rig.ask(call(8)).await;
    let sent = server.http().so_far();
    let calls: Vec<_> = sent.iter().filter(|it| it.mcp_method() == "tools/call").collect();
    let [with, without] = calls[..] else { panic!("{calls:?}") };
    assert_eq!(with.header("x-team"), Some("a b"));
    assert_eq!(without.header("x-team"), None);
    assert!(sent.iter().all(|it| it.mcp_method() == "tools/call" || it.header("x-team").is_none()));
    // All others are as the transport has them.
    for name in ["content-type", "accept", "mcp-session-id", "mcp-protocol-version", "mcp-method"] {
        assert_eq!(with.header(name), without.header(name), "{name}");
    }
    assert_eq!((with.header("x-line"), with.header("x-injected")), (None, None));
}

#[tokio::test]
async fn over_streamable_http() {
    for answers in [Answers::Json, Answers::Events] {
        let server = McpServer::obliging(answers, true).await;
        let rig = Rig::open(config(server.url())).await;
        check(&rig, &server, |id| call(id, "echo")).await;
    }
}

#[tokio::test]
async fn over_streamable_http_without_a_session() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let rig = Rig::new(config(server.url()));
    let call = |id: u64| {
        message(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        ))
    };
    check(&rig, &server, call).await;
}

#[tokio::test]
async fn over_http_and_sse() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let sse = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let rig = Rig::open(sse).await;
    check(&rig, &server, |id| call(id, "echo")).await;
}
