//! Stage `connect`: a client is decided before its first message.

use serde_json::json;

use crate::harness::gateway::error_of;
use crate::harness::{Client, Config, Conn, Gateway, Upstream, WsClient, initialize_params};

const NOBODY: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "not from here", "rule": "origin"} if {
	input.stage == "connect"
	input.context.source_ip == data.refused
}
"#;

fn gateway(upstream: &Upstream, refused: &str) -> Gateway {
    let data = json!({ "refused": refused }).to_string();
    Gateway::start(Config::new(upstream.addr).policy(NOBODY).file("policies/data.json", &data))
}

#[test]
fn a_client_that_may_not_connect_gets_no_session_on_any_transport() {
    let upstream = Upstream::plain();
    let gateway = gateway(&upstream, "127.0.0.1");
    let mut conn = Conn::open(gateway.addr());
    let answer = conn.request("GET", "/sse", &[("Accept", "text/event-stream")], b"");
    assert_eq!(answer.status(), 403, "{}", answer.text());
    let (_, head) = WsClient::ask(gateway.addr(), "/ws", &[("Sec-WebSocket-Protocol", "mcp")]);
    assert_eq!(head.status(), 403, "{head:?}");
    let mut client = Client::new(gateway.addr());
    let answer = client.request("initialize", initialize_params());
    assert_eq!(error_of(&answer), (-31001, "policy_denied".to_owned()), "{answer}");
    assert_eq!(answer["error"]["data"]["rule"], "origin", "{answer}");
    assert!(upstream.messages().is_empty(), "{:?}", upstream.messages());
    let rows = gateway.finish();
    assert_eq!(rows.len(), 3, "{rows:#?}");
    for row in rows {
        assert_eq!((row.text("stage"), row.text("decision")), ("connect", "deny"), "{row:?}");
        assert_eq!(row.text("matched_rule"), "origin");
    }
}

#[test]
fn whoever_may_connect_is_served() {
    let upstream = Upstream::plain();
    let gateway = gateway(&upstream, "192.0.2.1");
    assert!(gateway.client().call("echo", json!({}))["result"].is_object());
    assert!(gateway.legacy_client().call("echo", json!({}))["result"].is_object());
    let mut socket = WsClient::open(gateway.addr());
    socket.handshake();
    assert!(socket.call("echo", json!({}))["result"].is_object());
}
