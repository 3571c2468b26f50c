//! What a client does not notice: a gateway that restarts, several of them behind one address, a stream that broke off.

use serde_json::{Value, json};

use crate::harness::http::{Events, Response};
use crate::harness::{Client, Config, Conn, Gateway, Upstream, until};

fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 9, "method": "ping" })
}

/// A gateway that shares its keys with others of that folder.
fn gateway(upstream: &Upstream, keys: &std::path::Path) -> Gateway {
    let keys = keys.join("keys");
    Gateway::start(Config::new(upstream.addr).set("session.key_file", keys.to_str().unwrap()))
}

/// The client of `session` at another gateway, or at the same one after its restart.
fn at(gateway: &Gateway, session: &Client) -> Client {
    let mut client = Client::new(gateway.addr());
    client.session.clone_from(&session.session);
    client
}

#[test]
fn a_session_outlives_its_gateway_where_the_key_does() {
    let upstream = Upstream::plain();
    let folder = tempfile::tempdir().unwrap();
    let before = gateway(&upstream, folder.path());
    let client = before.client();
    let gateway = before.crash_and_restart();
    let said = at(&gateway, &client).call_text("echo", json!({ "message": "still here" }));
    assert_eq!(said, "still here");
    let sessions: Vec<_> = upstream
        .received()
        .into_iter()
        .filter(|one| one.message["method"] == "tools/call")
        .map(|one| one.head.header("mcp-session-id").map(str::to_owned))
        .collect();
    assert_eq!(sessions, [Some("upstream-0".to_owned())], "the server's session goes on too");
    assert_eq!(upstream.of_method("initialize").len(), 1, "nobody had to start over");

    let by_default = Gateway::start(Config::new(upstream.addr));
    let client = by_default.client();
    assert!(by_default.config.db().with_file_name("session.key").exists());
    let gateway = by_default.crash_and_restart();
    assert_eq!(at(&gateway, &client).post(&ping()).status(), 200, "the key is beside the log");

    let before = Gateway::start(Config::new(upstream.addr).set("audit.enabled", false));
    let client = before.client();
    let gateway = before.crash_and_restart();
    assert_eq!(at(&gateway, &client).post(&ping()).status(), 404, "no key was written anywhere");
}

#[test]
fn an_orderly_stop_leaves_the_session_at_the_server() {
    let upstream = Upstream::plain();
    let folder = tempfile::tempdir().unwrap();
    let before = gateway(&upstream, folder.path());
    let client = before.client();
    let stopped = before.stop();
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    let ended =
        |one: &crate::harness::upstream::Received| one.head.first_line.starts_with("DELETE");
    assert!(!upstream.received().iter().any(ended), "the next gateway needs it");
    let after = Gateway::start(stopped.config);
    assert_eq!(at(&after, &client).call_text("echo", json!({ "message": "on" })), "on");
    assert!(matches!(at(&after, &client).delete().status(), 200 | 202 | 204));
    until("the server is told by who knows", || upstream.received().iter().any(ended));
    assert_eq!(at(&after, &client).post(&ping()).status(), 404);
}

#[test]
fn a_session_id_is_worth_nothing_under_another_key_or_another_agent() {
    let upstream = Upstream::plain();
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let client = gateway(&upstream, folder.path()).client();
    let foreign = gateway(&upstream, other.path());
    assert_eq!(at(&foreign, &client).post(&ping()).status(), 404, "another key");
    let keys = folder.path().join("keys");
    let config = Config::new(upstream.addr)
        .set("session.key_file", keys.to_str().unwrap())
        .set("agent.id", "somebody-else");
    assert_eq!(at(&Gateway::start(config), &client).post(&ping()).status(), 404, "another agent");
    let mut forged = client.session.clone().unwrap();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let same = gateway(&upstream, folder.path());
    let mut thief = Client::new(same.addr());
    thief.session = Some(forged);
    assert_eq!(thief.post(&ping()).status(), 404, "one character changed");
}

#[test]
fn three_gateways_behind_a_round_robin_are_as_good_as_one() {
    let upstream = Upstream::plain();
    let folder = tempfile::tempdir().unwrap();
    let copies: Vec<_> = (0..3).map(|_| gateway(&upstream, folder.path())).collect();
    let mut turn = copies.iter().cycle();
    for _ in 0..15 {
        let client = turn.next().unwrap().client();
        let mut next = || at(turn.next().unwrap(), &client);
        let listed = next().request("tools/list", json!({}));
        assert!(listed["result"]["tools"].is_array(), "{listed}");
        assert_eq!(next().call_text("echo", json!({ "message": "round" })), "round");
        assert!(matches!(next().delete().status(), 200 | 202 | 204));
    }
}

#[test]
fn sessions_that_nobody_ends_make_room_and_come_back() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("session.max_sessions", 16));
    let first = gateway.client();
    for _ in 0..64 {
        gateway.client();
    }
    assert_eq!(at(&gateway, &first).call_text("echo", json!({ "message": "back" })), "back");
    let page = gateway.scrape();
    let active = crate::harness::gateway::sample(&page, "mcp_proxy_active_sessions", &[]);
    assert!(active.is_some_and(|active| active <= 16.0), "{active:?}");
}

/// Loses the stream of a call after its first event, has the server finish it, and comes back for the rest.
fn come_back(config: impl FnOnce(Config) -> Config) -> (Gateway, Result<Events, Response>) {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(config(Config::new(upstream.addr)));
    let mut client = gateway.client();
    let params = json!({ "name": "steps", "_meta": { "progressToken": "p" } });
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
    let mut stream = client.open_stream(&call);
    let event = stream.next().unwrap().unwrap();
    assert_eq!(event.json()["params"]["progress"], 1, "{event:?}");
    stream.close();
    upstream.release();
    upstream.release();
    until("the call has ended", || {
        let rows = crate::harness::rows(&gateway.config.db());
        rows.iter().any(|row| row.is("tools/call", "steps"))
    });
    let session = client.session.clone().unwrap();
    let headers = [
        ("Accept", "text/event-stream"),
        ("Mcp-Session-Id", session.as_str()),
        ("Last-Event-ID", event.id.as_str()),
    ];
    let mut conn = Conn::open(gateway.addr());
    conn.send("GET", "/mcp", &headers, b"").unwrap();
    let head = conn.read_head().unwrap();
    if head.is_event_stream() {
        return (gateway, Ok(Events::of(conn)));
    }
    let body = conn.read_body().unwrap();
    (gateway, Err(Response { head, body }))
}

#[test]
fn a_stream_that_broke_off_goes_on_where_it_was_lost() {
    let (_gateway, rest) = come_back(|config| config);
    let mut rest = rest.unwrap_or_else(|refusal| panic!("{}", refusal.text()));
    assert_eq!(rest.next_message()["params"]["progress"], 2);
    let answer = rest.next_message();
    assert_eq!(
        (&answer["id"], &answer["result"]["content"][0]["text"]),
        (&json!(7), &json!("stepped"))
    );
    assert_eq!(rest.next().unwrap(), None, "the stream ends with the answer");
}

#[test]
fn no_more_is_kept_of_a_stream_than_the_limits_allow() {
    for key in ["replay_events", "replay_bytes", "replay_total_bytes"] {
        let (_gateway, rest) = come_back(|config| config.set(&format!("session.{key}"), 1));
        let refusal = rest.expect_err(key);
        assert_eq!(refusal.status(), 400, "{key}: {}", refusal.text());
        assert!(refusal.text().contains("Last-Event-ID"), "{key}: {}", refusal.text());
    }
}
