//! Arguments that are repeated in headers.

use super::*;

const TOOL: &str = r#"{"name":"t","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}"#;

fn page(tools: &str, next: &str) -> String {
    format!(r#"{{"resultType":"complete","tools":[{tools}]{next}}}"#)
}

/// A server whose tool is on the second page, and which insists on the header if `strict`.
fn server(strict: bool) -> Arc<Server> {
    Server::stateless(move |message| match message.method() {
        Some(Method::ToolsList) if message.params().unwrap().contains(r#""cursor":"2""#) => {
            result(&message, &page(TOOL, ""))
        }
        Some(Method::ToolsList) => result(&message, &page("", r#","nextCursor":"2""#)),
        Some(Method::ToolsCall) if strict && message.param_headers().is_empty() => {
            error(&message, -32020, None)
        }
        _ => result(&message, "{}"),
    })
}

fn call(tool: &str) -> String {
    request(1, "tools/call", &format!(r#"{{"name":"{tool}","arguments":{{"region":"eu"}}}}"#))
}

fn headers(server: &Server) -> Vec<String> {
    let sent = server.sent(Method::ToolsCall);
    let shown = sent.iter().flat_map(|message| message.param_headers());
    shown.map(|header| format!("{}: {}", header.name, header.value)).collect()
}

#[tokio::test]
async fn tools_are_listed_before_an_unknown_one_is_called() {
    let server = server(true);
    let client = Client::open(&server).await;
    for _ in 0..2 {
        assert_eq!(client.ask(&call("t")).await.unwrap().kind(), Kind::Response);
    }
    assert_eq!(headers(&server), ["Mcp-Param-Region: eu", "Mcp-Param-Region: eu"]);
    assert_eq!(server.sent(Method::ToolsList).len(), 2);
    // All tools are known: one that is not there is not looked for again.
    client.ask(&call("other")).await.unwrap();
    assert_eq!(server.sent(Method::ToolsList).len(), 4);
}

#[tokio::test]
async fn a_list_that_passes_by_is_enough() {
    let server = Server::stateless(|message| match message.method() {
        Some(Method::ToolsList) => result(&message, &page(TOOL, "")),
        _ => result(&message, "{}"),
    });
    let client = Client::open(&server).await;
    client.ask(&request(1, "tools/list", "{}")).await.unwrap();
    client.ask(&call("t")).await.unwrap();
    client.ask(&call("other")).await.unwrap();
    assert_eq!(headers(&server), ["Mcp-Param-Region: eu"]);
    assert_eq!(server.sent(Method::ToolsList).len(), 1);
}

#[tokio::test]
async fn a_mismatch_is_answered_once_by_listing_again() {
    let old = r#"{"name":"t","inputSchema":{"type":"object"}}"#;
    let lists = AtomicU64::new(0);
    let server = Server::stateless(move |message| match message.method() {
        Some(Method::ToolsList) => {
            let first = lists.fetch_add(1, Ordering::Relaxed) == 0;
            result(&message, &page(if first { old } else { TOOL }, ""))
        }
        Some(Method::ToolsCall) if message.name().as_deref() == Some("never") => {
            error(&message, -32020, None)
        }
        Some(Method::ToolsCall) if message.param_headers().is_empty() => {
            error(&message, -32020, None)
        }
        _ => result(&message, "{}"),
    });
    let client = Client::open(&server).await;
    assert_eq!(client.ask(&call("t")).await.unwrap().kind(), Kind::Response);
    assert_eq!(server.sent(Method::ToolsCall).len(), 2);
    assert_eq!(client.ask(&call("never")).await.unwrap().error_code(), Some(-32020));
    assert_eq!(server.sent(Method::ToolsCall).len(), 4);
}

#[tokio::test]
async fn a_pipe_has_no_headers() {
    let server = Server::new("stdio", |message| match message.method() {
        Some(Method::Initialize) => error(&message, -32601, None),
        Some(Method::ServerDiscover) => result(&message, OFFER),
        _ => result(&message, "{}"),
    });
    let client = Client::open(&server).await;
    client.ask(&call("t")).await.unwrap();
    assert!(server.sent(Method::ToolsList).is_empty());
}
