use bytes::Bytes;

use super::*;

fn request(method: &str, members: &str) -> Message {
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{members}"_meta":{meta}}}}}"#
    );
    Message::parse(Bytes::from(body)).unwrap()
}

/// `name` and `method` as sent with a request of the current revision; `want` is part of the
/// refusal, empty for none.
#[track_caller]
fn check(message: &Message, method: &str, name: Option<&str>, want: &str) {
    let headers = Headers { version: Some("2026-07-28"), method: Some(method), name };
    refused(message, &headers, want);
}

#[track_caller]
fn refused(message: &Message, headers: &Headers<'_>, want: &str) {
    match super::check(message, headers) {
        Ok(()) => assert_eq!(want, ""),
        Err(error) => assert!(!want.is_empty() && error.contains(want), "{error}"),
    }
}

#[test]
fn the_name_is_what_the_method_is_about() {
    #[track_caller]
    fn check(method: &str, name: Option<&str>) {
        let members = r#""name":"n","uri":"u","taskId":"t","arguments":{},"#;
        assert_eq!(name_of(&request(method, members)).as_deref(), name, "{method}");
    }
    for method in ["tools/call", "prompts/get"] {
        check(method, Some("n"));
    }
    check("resources/read", Some("u"));
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        check(method, Some("t"));
    }
    for method in ["tools/list", "server/discover", "tasks/result", "resources/subscribe", "x"] {
        check(method, None);
    }
}

#[test]
fn headers_must_say_what_the_body_says() {
    let call = request("tools/call", r#""name":"sum","#);
    check(&call, "tools/call", Some("sum"), "");
    check(&call, "tools/call", Some("=?base64?c3Vt?="), "");
    check(&call, "=?base64?dG9vbHMvY2FsbA==?=", Some("sum"), "");
    check(
        &call,
        "Tools/Call",
        Some("sum"),
        "`Mcp-Method` says `Tools/Call`, the body `tools/call`",
    );
    check(&call, "tools/list", Some("sum"), "`Mcp-Method` says `tools/list`");
    check(&call, "tools/call", Some("Sum"), "`Mcp-Name` says `Sum`, the body `sum`");
    check(&call, "tools/call", Some(""), "`Mcp-Name` says ``");
    check(&call, "tools/call", None, "`Mcp-Name` is missing");
    check(&call, "tools/call", Some("=?base64?c3Vt"), "`Mcp-Name` says `=?base64?c3Vt`");
    check(&call, "tools/call", Some("=?base64?c3V?="), "`Mcp-Name` is not valid Base64");
    let odd = request("resources/read", r#""uri":"file:///ä","#);
    check(&odd, "resources/read", Some(&encode("file:///ä")), "");
    // No use for it.
    check(&request("tools/list", ""), "tools/list", Some("sum"), "");
    check(&request("tools/list", ""), "tools/list", None, "");
}

#[test]
fn the_version_is_repeated_too() {
    let list = request("tools/list", "");
    let headers = Headers { version: Some("2026-07-28"), method: Some("tools/list"), name: None };
    refused(&list, &headers, "");
    refused(&list, &Headers { version: None, ..headers }, "`MCP-Protocol-Version` is missing");
    let other = Headers { version: Some("2025-11-25"), ..headers };
    refused(&list, &other, "`MCP-Protocol-Version` says `2025-11-25`, the body `2026-07-28`");
    refused(&list, &Headers { method: None, ..headers }, "`Mcp-Method` is missing");
    // A notification need not name its revision.
    let body = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    let notification = Message::parse(Bytes::from(body)).unwrap();
    refused(&notification, &Headers { method: Some("notifications/cancelled"), ..headers }, "");
    refused(&notification, &headers, "`Mcp-Method` says `tools/list`");
}
