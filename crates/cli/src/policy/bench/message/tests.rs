use std::time::Duration;

use serde_json::json;

use super::*;

fn document() -> serde_json::Value {
    json!({
        "stage": "response",
        "method": "tools/call",
        "tool": "export",
        "arguments": {"path": "a"},
        "result": {"content": []},
        "request": {"id": 7, "params": {"name": "export"}, "size": 120, "method": "tools/call"},
        "agent": {"id": "claude", "capabilities": ["read:*"]},
        "identity": {"verified": true, "method": "token", "did": "did:x"},
        "session": {"id": "s-1", "request_count": 3, "started_at": "2026-11-20T10:00:00Z",
            "client": {"name": "c", "version": "1"}, "taints": ["private"], "tools_used": {"read": 2},
            "cumulative_reads": 2, "cumulative_writes": 1, "bytes_out": 300},
        "server": {"name": "files", "transport": "http", "url": "http://a/",
            "tool": {"description": "d", "annotations": {"readOnlyHint": true}, "digest": "ab", "changed": true}},
        "context": {"timestamp": "2026-11-20T10:40:00Z", "source_ip": "127.0.0.1", "environment": "test",
            "transport": "sse", "headers": {"x-team": "red"}},
        "findings": [],
    })
}

#[test]
fn every_member_of_the_document_is_in_the_input() {
    let message = Message::of(&document().to_string()).unwrap();
    let input = message.input();
    assert_eq!((input.stage, input.context.transport), (Stage::Response, Transport::Sse));
    assert_eq!((input.tool, input.size, input.id), (Some("export"), 120, Some("7")));
    assert_eq!(input.params, Some(r#"{"name":"export"}"#));
    assert_eq!(input.arguments, Some(r#"{"path":"a"}"#));
    assert_eq!(input.result, Some(r#"{"content":[]}"#));
    assert_eq!((&*input.agent.id, &*input.identity.did), ("claude", "did:x"));
    assert_eq!((input.session.request_count, input.session.client_name), (Some(3), Some("c")));
    assert!(input.session.state.taints.contains("private"));
    assert_eq!((input.session.state.tools_used["read"], input.session.state.bytes_out), (2, 300));
    let tool = input.server.tool.unwrap();
    assert_eq!((&*tool.digest, tool.changed), ("ab", true));
    assert_eq!(tool.annotations.as_deref(), Some(r#"{"readOnlyHint":true}"#));
    assert_eq!(
        input.context.timestamp,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_171_200)
    );
    assert_eq!(input.context.headers, [("x-team".into(), "red".into())]);
}

#[track_caller]
fn check_refused(member: &str, value: serde_json::Value, mentions: &str) {
    let mut document = document();
    *document.pointer_mut(member).unwrap() = value;
    let error = format!("{:#}", Message::of(&document.to_string()).unwrap_err());
    assert!(error.contains(mentions), "{error}");
}

#[test]
fn what_no_message_looks_like_is_refused() {
    check_refused("/stage", json!("later"), "`later` is no stage");
    check_refused("/context/transport", json!("pigeon"), "`pigeon`");
    check_refused("/context/timestamp", json!("noon"), "no message of the gateway");
    check_refused("/tool", json!(7), "no message of the gateway");
}
