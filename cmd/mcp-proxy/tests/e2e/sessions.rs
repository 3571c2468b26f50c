//! Sessions: who has one, how it ends, and that it is one's own.

use std::time::Duration;

use serde_json::json;

use crate::harness::gateway::sample;
use crate::harness::{
    Client, Config, Conn, Gateway, Kind, LegacyClient, Upstream, initialize_params, until,
};

fn ping() -> serde_json::Value {
    json!({ "jsonrpc": "2.0", "id": 9, "method": "ping" })
}

#[test]
fn session_ids_are_long_random_and_visible_ascii() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let ids: std::collections::HashSet<String> =
        (0..20).map(|_| gateway.client().session.expect("no session id")).collect();
    assert_eq!(ids.len(), 20);
    for id in ids {
        assert!(id.len() >= 22 && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{id}");
        assert!(
            !id.contains("upstream-"),
            "the id of the server's session is shown to the client: {id}"
        );
    }
}

#[test]
fn a_session_that_is_missing_unknown_or_ended_is_refused() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    assert_eq!(client.post(&ping()).status(), 200);

    let mut none = Client::new(gateway.addr());
    assert_eq!(none.post(&ping()).status(), 400, "no session id");
    let mut unknown = Client::new(gateway.addr());
    unknown.session = Some("11111111-2222-4333-8444-555555555555".to_owned());
    let answer = unknown.post(&ping());
    assert_eq!(answer.status(), 404, "unknown session id");
    assert_eq!(answer.json()["id"], 9, "the refusal carries the id: {}", answer.text());

    assert!(matches!(client.delete().status(), 200 | 202 | 204));
    assert_eq!(client.post(&ping()).status(), 404, "ended session");
    assert_eq!(client.delete().status(), 404, "ended twice");
    assert_eq!(unknown.delete().status(), 404, "unknown session ended");
    let conn = Conn::open(gateway.addr()).request(
        "GET",
        "/mcp",
        &[("Accept", "text/event-stream"), ("Mcp-Session-Id", "x")],
        b"",
    );
    assert_eq!(conn.status(), 404);
}

#[test]
fn ending_a_session_ends_its_stream_and_the_session_of_the_server() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    let mut stream = client.listen();
    client.delete();
    assert_eq!(stream.next().unwrap(), None);
    until("the server is told", || {
        upstream.received().iter().any(|one| one.head.first_line.starts_with("DELETE "))
    });
    until("no session is counted", || {
        sample(&gateway.scrape(), "mcp_proxy_active_sessions", &[]) == Some(0.0)
    });
}

#[test]
fn a_session_of_one_transport_is_none_of_the_other() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let old = gateway.legacy_client();
    let id = old.endpoint.rsplit('=').next().unwrap().to_owned();
    let mut thief = Client::new(gateway.addr());
    thief.session = Some(id);
    assert_eq!(thief.post(&ping()).status(), 404);
    let id = gateway.client().session.unwrap();
    let stolen = Conn::open(gateway.addr()).request(
        "POST",
        &format!("/message?sessionId={id}"),
        &[("Content-Type", "application/json")],
        ping().to_string().as_bytes(),
    );
    assert_eq!(stolen.status(), 404);
}

#[test]
fn a_closed_stream_ends_the_session_of_the_old_transport() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let client = gateway.legacy_client();
    let page = gateway.scrape();
    assert_eq!(sample(&page, "mcp_proxy_active_sessions", &[]), Some(1.0), "{page}");
    client.events.close();
    until("the session is gone", || {
        sample(&gateway.scrape(), "mcp_proxy_active_sessions", &[]) == Some(0.0)
    });
    assert_eq!(client.post(&ping()).status(), 404);
}

#[test]
fn sessions_in_use_are_not_displaced_by_one_over_the_limit() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("session.max_sessions", 3));
    let mut clients: Vec<_> = (0..3).map(|_| gateway.client()).collect();
    let _streams: Vec<_> = clients.iter().map(Client::listen).collect();
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize_params() });
    let refused = Client::new(gateway.addr()).post(&body);
    assert_eq!(refused.status(), 503, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], -31009, "{}", refused.text());
    let stream =
        Conn::open(gateway.addr()).request("GET", "/sse", &[("Accept", "text/event-stream")], b"");
    assert_eq!(stream.status(), 503);
    clients.pop().unwrap().delete();
    gateway.client();
}

#[test]
fn requests_over_the_limit_of_a_session_are_refused_until_one_is_answered() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("session.max_in_flight", 1));
    let mut client = gateway.client();
    let mut beside = client.beside();
    client.send(
        &json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "hold" } }),
    );
    upstream.wait_for("the call arrived", |message| message["params"]["name"] == "hold");
    let refused = beside.post(&ping());
    assert_eq!(refused.status(), 503, "{}", refused.text());
    assert_eq!(refused.json()["error"]["data"]["kind"], "overloaded", "{}", refused.text());
    upstream.release();
    client.answer_to(&json!(7));
    assert_eq!(beside.post(&ping()).status(), 200);
}

/// A request of MCP 2026-07-28, which needs no session.
fn stateless(addr: std::net::SocketAddr, id: u64, tool: &str) -> Conn {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "e2e", "version": "1.0" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": tool, "arguments": {}, "_meta": meta });
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", tool),
    ];
    let mut conn = Conn::open(addr);
    conn.send("POST", "/mcp", &headers, call.to_string().as_bytes()).unwrap();
    conn
}

#[test]
fn stateless_requests_over_the_limit_are_refused_until_one_is_answered() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("session.max_stateless", 1));
    let mut held = stateless(gateway.addr(), 1, "hold");
    upstream.wait_for("the call arrived", |message| message["params"]["name"] == "hold");
    let refused = stateless(gateway.addr(), 1, "echo").read_response().unwrap();
    assert_eq!(refused.status(), 503, "{}", refused.text());
    assert_eq!(refused.json()["error"]["data"]["kind"], "overloaded", "{}", refused.text());
    upstream.release();
    let answer = held.read_response().unwrap();
    assert_eq!(answer.json()["result"]["content"][0]["text"], "released", "{}", answer.text());
    let answer = stateless(gateway.addr(), 1, "echo").read_response().unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr).set("upstream.min_protocol_version", "2025-06-18");
    let gateway = Gateway::start(config);
    gateway.client();
    let mut params = initialize_params();
    params["protocolVersion"] = json!("2025-03-26");
    let answer = Client::new(gateway.addr()).request("initialize", params);
    assert_eq!(answer["error"]["code"], -31004, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("2025-06-18"), "{answer}");
}

#[test]
fn an_idle_session_and_an_old_session_end() {
    let upstream = Upstream::plain();
    let ended =
        [("idle_timeout", "1h", "300ms"), ("ttl", "300ms", "0s")].map(|(key, ttl, idle)| {
            let config = Config::new(upstream.addr)
                .set("session", json!({ "ttl": ttl, "idle_timeout": idle }));
            let gateway = Gateway::start(config);
            let (mut client, unused) = (gateway.client(), gateway.client());
            let began = crate::harness::wait::now();
            until("the time is over", || began.elapsed() > Duration::from_millis(500));
            assert_eq!(client.post(&ping()).status(), 404, "{key}");
            (gateway, unused)
        });
    for (gateway, _) in &ended {
        until("nobody has to ask for a session to end", || {
            sample(&gateway.scrape(), "mcp_proxy_active_sessions", &[]) == Some(0.0)
        });
    }
}

#[test]
fn an_open_stream_keeps_its_session_from_being_idle() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("session.idle_timeout", "300ms"));
    let mut old = gateway.legacy_client();
    let began = crate::harness::wait::now();
    until("several idle times have passed", || began.elapsed() > Duration::from_millis(1_500));
    assert_eq!(
        old.call("echo", json!({ "message": "here" }))["result"]["content"][0]["text"],
        "here"
    );
}

#[test]
fn each_client_has_a_session_of_its_own_at_a_stateful_server() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    for _ in 0..3 {
        gateway.client().call("echo", json!({}));
    }
    let sessions: std::collections::HashSet<String> = upstream
        .received()
        .iter()
        .filter(|one| one.message["method"] == "tools/call")
        .map(|one| one.head.header("mcp-session-id").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(sessions.len(), 3, "{sessions:?}");
}

#[test]
fn the_endpoint_of_the_old_transport_is_relative_and_on_this_gateway() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let config =
        Config::of(json!({ "url": format!("http://{}/sse", upstream.addr), "transport": "sse" }));
    let gateway = Gateway::start(config);
    let client = LegacyClient::open(gateway.addr(), "/sse");
    assert!(client.endpoint.starts_with("/message?sessionId="), "{}", client.endpoint);
}

#[test]
fn revisions_are_negotiated_with_the_server() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut client = Client::new(gateway.addr());
        let mut params = initialize_params();
        params["protocolVersion"] = json!(revision);
        let answer = client.request("initialize", params);
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        assert_eq!(answer["result"]["serverInfo"]["name"], "fake", "{answer}");
    }
    let client = gateway.client();
    let session = client.session.clone().unwrap();
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Mcp-Session-Id", session.as_str()),
        ("MCP-Protocol-Version", "1999-01-01"),
    ];
    let answer =
        Conn::open(gateway.addr()).request("POST", "/mcp", &headers, ping().to_string().as_bytes());
    assert_eq!(answer.status(), 400, "an unknown revision in the header: {}", answer.text());
}

#[test]
fn the_gateway_takes_the_open_files_that_it_may_have() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr).set("server.max_connections", 2_000_000);
    let gateway = Gateway::start_with_open_files(config, 256);
    let mut clients: Vec<Client> = (0..300).map(|_| gateway.client()).collect();
    for client in &mut clients {
        assert_eq!(client.post(&ping()).status(), 200);
    }
    let stderr = gateway.stop().stderr;
    assert!(stderr.contains("`server.max_connections` needs more open files"), "{stderr}");
}
