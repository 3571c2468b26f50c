//! What is not let through: its status, its JSON-RPC error and its row in the log.

use domain::ErrorKind::{self, BadTransport, Forbidden, ParseError, SessionNotFound, TooLarge};
use serde_json::Value;
use testkit::ports::ScriptedUpstream;

use crate::Config;
use crate::fixture::{CALL, Gateway, INITIALIZE, USUAL, bare, post};

/// Sends a request to a fresh gateway and compares the status and the kind of the one row that follows.
#[track_caller]
fn check(request: String, status: u16, kind: ErrorKind) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let mut config = Config::default();
        config.limits.max_body_bytes = 1000;
        let gateway = Gateway::new(&config, ScriptedUpstream::obliging());
        let answer = gateway.connect().ask(&request).await;
        assert_eq!(answer.status, status, "{place}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{place}");
        let error = answer.json();
        assert_eq!(error["jsonrpc"], "2.0", "{place}");
        assert_eq!(error["id"], Value::Null, "{place}");
        assert_eq!(error["error"]["code"], kind.code(), "{place}");
        assert_eq!(error["error"]["data"]["kind"], kind.as_str(), "{place}");
        assert_eq!(gateway.row().await.error_kind, Some(kind), "{place}");
        assert_eq!(gateway.upstream.connections().opened, 0, "{place}: nothing goes upstream");
    }
}

#[tokio::test(start_paused = true)]
async fn paths_and_methods() {
    for path in ["/", "//mcp", "/mcp/", "/MCP", "/mcp/..;/metrics", "/%6dcp", "/metrics", "/ws/"] {
        check(bare(&format!("GET {path}"), ""), 404, BadTransport).await;
    }
    for method in ["PUT", "PATCH", "TRACE", "CONNECT"] {
        // CONNECT has no path, so that nothing is found.
        let (target, status) = if method == "CONNECT" { ("mcp:80", 403) } else { ("/mcp", 405) };
        let kind = if status == 403 { Forbidden } else { BadTransport };
        check(bare(&format!("{method} {target}"), ""), status, kind).await;
    }
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_named() {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    for (method, status) in [("OPTIONS", 204), ("PUT", 405)] {
        let answer = gateway.connect().ask(&bare(&format!("{method} /mcp"), "")).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("allow"), Some("GET, POST, DELETE, OPTIONS"), "{method}");
    }
    let mut client = gateway.connect();
    client.send(&bare("HEAD /mcp", "")).await;
    assert_eq!(client.head().await.status, 405);
}

#[tokio::test(start_paused = true)]
async fn media_types() {
    let accept = "Accept: application/json, text/event-stream\r\n";
    for content_type in
        ["", "Content-Type: text/plain\r\n", "Content-Type: application/json; charset=latin1\r\n"]
    {
        check(post(&format!("{accept}{content_type}"), INITIALIZE), 415, BadTransport).await;
    }
    for encoding in ["gzip", "gzip, gzip", "identity", "x"] {
        let headers = format!("{USUAL}Content-Encoding: {encoding}\r\n");
        check(post(&headers, INITIALIZE), 415, BadTransport).await;
    }
    for accept in ["application/json", "text/event-stream", "text/html", "", "*/*;q=0"] {
        let headers = format!("Content-Type: application/json\r\nAccept: {accept}\r\n");
        check(post(&headers, INITIALIZE), 406, BadTransport).await;
    }
    check(bare("GET /mcp", "Accept: application/json\r\n"), 406, BadTransport).await;
}

#[tokio::test(start_paused = true)]
async fn versions() {
    for headers in [
        "MCP-Protocol-Version: 1999-01-01\r\n",
        "MCP-Protocol-Version:\r\n",
        "MCP-Protocol-Version: 2025-06-18\r\nMCP-Protocol-Version: 2025-06-18\r\n",
        "MCP-Protocol-Version: \u{e9}\r\n",
    ] {
        check(bare("GET /mcp", headers), 400, BadTransport).await;
        check(bare("DELETE /mcp", headers), 400, BadTransport).await;
        let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
        let answer = gateway.connect().ask(&post(&format!("{USUAL}{headers}"), INITIALIZE)).await;
        assert_eq!(answer.status, 400, "{headers}: {}", answer.body);
        assert!(gateway.row().await.error_kind.is_some());
        assert_eq!(gateway.upstream.connections().opened, 0, "nothing goes upstream");
    }
}

#[tokio::test(start_paused = true)]
async fn sessions() {
    let twice = "Mcp-Session-Id: a\r\nMcp-Session-Id: a\r\n";
    for (headers, status, kind) in [
        ("", 400, BadTransport),
        ("Mcp-Session-Id: a\r\n", 404, SessionNotFound),
        (twice, 400, BadTransport),
    ] {
        check(bare("GET /mcp", headers), status, kind).await;
        check(bare("DELETE /mcp", headers), status, kind).await;
    }
    check(post(&format!("{USUAL}{twice}"), INITIALIZE), 400, BadTransport).await;
}

#[tokio::test(start_paused = true)]
async fn messages_without_a_session_keep_their_id() {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    for (headers, status) in [("", 400), ("Mcp-Session-Id: a\r\n", 404)] {
        let answer = gateway.connect().ask(&post(&format!("{USUAL}{headers}"), CALL)).await;
        assert_eq!((answer.status, answer.json()["id"].clone()), (status, "a".into()));
    }
    assert_eq!(gateway.recorder.events().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn bodies() {
    check(post(USUAL, "{"), 400, ParseError).await;
    check(post(USUAL, ""), 400, ParseError).await;
    check(post(USUAL, &" ".repeat(1001)), 413, TooLarge).await;
    let announced = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{USUAL}Content-Length: 107374182400\r\n\r\n"
    );
    check(announced, 413, TooLarge).await;
    let endless = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{USUAL}Transfer-Encoding: chunked\r\n\r\n\
         3e8\r\n{}\r\n1\r\n ",
        " ".repeat(1000)
    );
    check(endless, 413, TooLarge).await;
}

#[tokio::test(start_paused = true)]
async fn hosts_and_origins() {
    let with =
        |headers: &str| format!("POST /mcp HTTP/1.1\r\n{headers}{USUAL}Content-Length: 0\r\n\r\n");
    check(with(""), 400, BadTransport).await;
    check(with("Host: localhost\r\nHost: localhost\r\n"), 400, BadTransport).await;
    check(with("Host: evil.example\r\n"), 403, Forbidden).await;
    check(with("Host: localhost\r\nOrigin: null\r\n"), 403, Forbidden).await;
    check(with("Host: localhost\r\nOrigin: https://evil.example\r\n"), 403, Forbidden).await;
    check(with("Host: evil.example\r\nOrigin: http://localhost\r\n"), 403, Forbidden).await;
    let absolute = "GET http://evil.example/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n";
    check(absolute.to_owned(), 403, Forbidden).await;
}
