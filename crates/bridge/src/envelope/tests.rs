use super::*;
use crate::fixture::{INITIALIZE, message};

#[track_caller]
fn check(params: &str, level: Option<&str>, expected: &str) {
    let envelope = Envelope::of(&message(INITIALIZE));
    let meta = object::get(params, "_meta");
    let text = envelope.around(Some(params), meta, level);
    assert_eq!(text, expected);
    let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{text}}}"#);
    let request = Message::parse(request.into());
    assert_eq!(request.unwrap().era(), protocol::Era::Modern);
}

const ENVELOPE: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"roots":{"listChanged":true},"sampling":{},"elicitation":{}}"#;

#[test]
fn what_the_client_said_travels_with_every_request() {
    let with = |before: &str, after: &str| {
        format!(r#"{{"name":"t"{before},"_meta":{{{ENVELOPE}{after}}}}}"#)
    };
    check(r#"{"name":"t"}"#, None, &with("", ""));
    check(
        r#"{"name":"t"}"#,
        Some(r#""error""#),
        &with("", r#","io.modelcontextprotocol/logLevel":"error""#),
    );
    // What only a retry carries does not come from a client with a session.
    check(r#"{"name":"t","inputResponses":{},"requestState":"x"}"#, None, &with("", ""));
    // Other members of `_meta` stay; a level of the client's own making does not.
    check(
        r#"{"name":"t","_meta":{"progressToken":7,"io.modelcontextprotocol/logLevel":"debug"}}"#,
        None,
        &format!(r#"{{"name":"t","_meta":{{"progressToken":7,{ENVELOPE}}}}}"#),
    );
}

#[test]
fn the_gateway_declares_nothing() {
    let own = Envelope::own().around(None, None, None);
    assert!(own.contains(r#"/clientCapabilities":{}"#), "{own}");
    assert!(own.contains(r#""name":"mcp-proxy""#), "{own}");
}
