//! Messages that do not come as one answer to one request: events one by one,
//! requests of the server, notifications of the server, cancellation.

use serde_json::{Value, json};

use crate::harness::{Config, Gateway, Kind, Upstream, until};

const STATEFUL_SSE: Kind = Kind { stateful: true, sse: true, legacy: None };

fn legacy_config(upstream: &Upstream) -> Config {
    Config::of(json!({ "url": format!("http://{}/sse", upstream.addr), "transport": "sse" }))
}

fn steps(token: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 41, "method": "tools/call",
        "params": { "name": "steps", "arguments": {}, "_meta": { "progressToken": token } } })
}

#[test]
fn events_arrive_one_by_one_and_with_the_token_of_the_client() {
    let upstream = Upstream::start(STATEFUL_SSE);
    let gateway = Gateway::start(Config::new(upstream.addr));
    for token in [json!("mine"), json!(7), json!(9_007_199_254_740_993_i64)] {
        let mut events = gateway.client().open_stream(&steps(&token));
        // The server sends its second event only after the test has seen the first one.
        for step in 1..=2 {
            let message = events.next_message();
            assert_eq!(message["method"], "notifications/progress", "{message}");
            assert_eq!(message["params"]["progress"], step, "{message}");
            assert_eq!(message["params"]["progressToken"], token, "{message}");
            upstream.release();
        }
        let answer = events.next_message();
        assert_eq!(answer["id"], 41, "{answer}");
        assert_eq!(answer["result"]["content"][0]["text"], "stepped", "{answer}");
        assert_eq!(events.next().unwrap(), None, "the stream ends with the answer");
    }
}

#[test]
fn two_clients_with_the_same_token_each_see_their_own_progress() {
    let upstream = Upstream::start(STATEFUL_SSE);
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut streams: Vec<_> =
        (0..2).map(|_| gateway.client().open_stream(&steps(&json!("same")))).collect();
    for events in &mut streams {
        assert_eq!(events.next_message()["params"]["progress"], 1);
    }
    (0..4).for_each(|_| upstream.release());
    for events in &mut streams {
        assert_eq!(events.next_message()["params"]["progress"], 2);
        assert_eq!(events.next_message()["result"]["content"][0]["text"], "stepped");
    }
}

#[test]
fn progress_reaches_a_client_of_the_old_transport_from_an_old_server() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let gateway = Gateway::start(legacy_config(&upstream));
    let mut client = gateway.legacy_client();
    assert_eq!(client.post(&steps(&json!("tok"))).status(), 202);
    for step in 1..=2 {
        let message = client.events.next_message();
        assert_eq!(
            message["params"],
            json!({ "progressToken": "tok", "progress": step, "total": 2 }),
            "{message}"
        );
        upstream.release();
    }
    assert_eq!(client.events.next_message()["id"], 41);
}

#[test]
fn a_request_of_the_server_reaches_the_right_client_and_its_answer_the_server() {
    let upstream = Upstream::start(STATEFUL_SSE);
    let gateway = Gateway::start(Config::new(upstream.addr));
    let call = |who: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "sample", "arguments": { "who": who } } });
    let mut open: Vec<_> = ["ann", "bob"]
        .into_iter()
        .map(|who| {
            let mut client = gateway.client();
            let events = client.open_stream(&call(who));
            (who, client, events)
        })
        .collect();
    for (who, client, events) in &mut open {
        let asked = events.next_message();
        assert_eq!(asked["method"], "sampling/createMessage", "{asked}");
        assert_eq!(asked["params"]["who"], *who, "{asked}");
        let result = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": format!("said {who}") } });
        let accepted =
            client.post(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }));
        assert_eq!(accepted.status(), 202, "{}", accepted.text());
    }
    for (who, _, events) in &mut open {
        let answer = events.next_message();
        assert_eq!(
            answer["result"]["content"][0]["text"],
            format!("said {who}").as_str(),
            "{answer}"
        );
    }
    let rows = gateway.finish();
    let asked: Vec<_> =
        rows.iter().filter(|row| row.text("method") == "sampling/createMessage").collect();
    assert_eq!(asked.len(), 2, "{rows:#?}");
    assert!(asked.iter().all(|row| row.text("stage") == "server_request"), "{asked:#?}");
}

#[test]
fn another_client_cannot_answer_a_request_of_the_server() {
    let upstream = Upstream::start(STATEFUL_SSE);
    let gateway = Gateway::start(Config::new(upstream.addr));
    let (mut ann, mut eve) = (gateway.client(), gateway.client());
    let mut events = ann.open_stream(
        &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "sample", "arguments": { "who": "ann" } } }),
    );
    let asked = events.next_message();
    let forged = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "content": { "type": "text", "text": "forged" } } });
    eve.post(&forged);
    let mut real = forged;
    real["result"]["content"]["text"] = json!("real");
    assert_eq!(ann.post(&real).status(), 202);
    assert_eq!(events.next_message()["result"]["content"][0]["text"], "real");
}

#[test]
fn a_request_of_the_server_that_policy_denies_is_refused_to_the_server() {
    let upstream = Upstream::start(STATEFUL_SSE);
    let policy = "package mcp.policy\n\ndefault allow := true\n\ndeny contains \"no sampling\" if {\n\tinput.stage == \"server_request\"\n\tinput.method == \"sampling/createMessage\"\n}\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let mut client = gateway.client();
    let answer = client.call("sample", json!({ "who": "ann" }));
    assert!(client.seen.is_empty(), "the client saw {:?}", client.seen);
    assert_eq!(answer["result"]["content"][0]["text"], "no answer", "{answer}");
    let refused = upstream.wait_for("the server is told", |message| message["id"] == "ask-ann");
    assert!(refused["error"]["code"].is_i64(), "{refused}");
    let rows = gateway.finish();
    let row =
        rows.iter().find(|row| row.text("method") == "sampling/createMessage").expect("no row");
    assert_eq!((row.text("decision"), row.number("forwarded")), ("deny", Some(0)));
}

#[test]
fn a_notification_of_the_server_reaches_the_stream_of_the_client() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let (ann, bob) = (gateway.client(), gateway.client());
    let (mut at_ann, mut at_bob) = (ann.listen(), bob.listen());
    until("the gateway listens for both", || upstream.open_streams() == 2);
    upstream.push(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
    for events in [&mut at_ann, &mut at_bob] {
        assert_eq!(events.next_message()["method"], "notifications/tools/list_changed");
    }
}

#[test]
fn a_notification_of_an_old_server_reaches_an_old_client() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let gateway = Gateway::start(legacy_config(&upstream));
    let mut client = gateway.legacy_client();
    until("the gateway listens to the server", || upstream.open_streams() >= 1);
    upstream.push(&json!({ "jsonrpc": "2.0", "method": "notifications/resources/list_changed" }));
    assert_eq!(client.events.next_message()["method"], "notifications/resources/list_changed");
}

#[test]
fn messages_reach_the_server_in_the_order_in_which_the_client_sent_them() {
    // A server may refuse requests before `notifications/initialized`, so it must not be overtaken.
    for kind in [
        Kind { stateful: true, ..Kind::default() },
        STATEFUL_SSE,
        Kind { legacy: Some("/sse"), ..Kind::default() },
    ] {
        let upstream = Upstream::start(kind);
        let gateway = Gateway::start(if kind.legacy.is_some() {
            legacy_config(&upstream)
        } else {
            Config::new(upstream.addr)
        });
        for _ in 0..20 {
            let mut client = gateway.client();
            client.request("tools/list", json!({}));
        }
        let methods: Vec<String> =
            upstream.messages().iter().map(|message| message["method"].to_string()).collect();
        let wanted =
            ["\"initialize\"", "\"notifications/initialized\"", "\"tools/list\""].repeat(20);
        assert_eq!(methods, wanted, "{kind:?}");
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_not_passed_on() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let client = gateway.client();
    let mut stream = client.listen();
    until("the gateway listens", || upstream.open_streams() == 1);
    for id in [json!(0), json!(1), json!(2), json!("x"), json!({ "a": 1 }), json!(null)] {
        upstream.push(&json!({ "jsonrpc": "2.0", "id": id, "result": { "stray": true } }));
    }
    upstream.push(&json!("not a message"));
    upstream.push(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
    assert_eq!(stream.next_message()["method"], "notifications/tools/list_changed");
}

#[test]
fn a_call_whose_client_hangs_up_has_one_row_and_disturbs_nobody() {
    let upstream = Upstream::start(STATEFUL_SSE);
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    let mut events = client.open_stream(&steps(&json!("t")));
    assert_eq!(events.next_message()["params"]["progress"], 1);
    events.close();
    let called =
        upstream.wait_for("the call arrived", |message| message["params"]["name"] == "steps");
    (0..2).for_each(|_| upstream.release());
    // Hanging up may mean cancelling, or not; it never means the call of somebody else.
    assert_eq!(client.call_text("echo", json!({ "message": "later" })), "later");
    let cancelled = upstream.of_method("notifications/cancelled");
    assert!(
        cancelled.iter().all(|message| message["params"]["requestId"] == called["id"]),
        "{cancelled:?}"
    );
    let rows = gateway.finish();
    assert_eq!(rows.iter().filter(|row| row.is("tools/call", "steps")).count(), 1, "{rows:#?}");
}

#[test]
fn a_cancellation_reaches_the_server_under_its_own_id() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    let mut other = client.beside();
    // Another call first, so that the ids of both sides cannot agree by accident.
    gateway.client().call("echo", json!({}));
    client.send(&json!({ "jsonrpc": "2.0", "id": "mine", "method": "tools/call", "params": { "name": "hold", "arguments": {} } }));
    let held = upstream.wait_for("the call arrives", |message| message["params"]["name"] == "hold");
    assert_eq!(
        other
            .notify("notifications/cancelled", json!({ "requestId": "mine", "reason": "enough" }))
            .status(),
        202
    );
    let cancelled = upstream.wait_for("the cancellation arrives", |message| {
        message["method"] == "notifications/cancelled"
    });
    assert_eq!(cancelled["params"]["requestId"], held["id"], "{cancelled}");
    assert_eq!(cancelled["params"]["reason"], "enough", "{cancelled}");
    upstream.release();
}

#[test]
fn a_client_cannot_cancel_the_call_of_another() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let (mut ann, mut eve) = (gateway.client(), gateway.client());
    ann.send(&json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": { "name": "hold", "arguments": {} } }));
    let held = upstream.wait_for("the call arrives", |message| message["params"]["name"] == "hold");
    eve.notify("notifications/cancelled", json!({ "requestId": 5 }));
    eve.notify("notifications/cancelled", json!({ "requestId": held["id"] }));
    assert_eq!(eve.call_text("echo", json!({ "message": "later" })), "later");
    let cancelled = upstream.of_method("notifications/cancelled");
    assert!(
        cancelled.iter().all(|message| message["params"]["requestId"] != held["id"]),
        "{cancelled:?}"
    );
    upstream.release();
    assert_eq!(ann.answer_to(&json!(5))["result"]["content"][0]["text"], "released");
}

#[test]
fn an_event_of_the_server_cannot_smuggle_another_event() {
    let upstream = Upstream::start(STATEFUL_SSE);
    let gateway = Gateway::start(Config::new(upstream.addr));
    let nasty = "a\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\nevent: endpoint\r\rid: 5\u{2028}b";
    assert_eq!(gateway.client().call_text("echo", json!({ "message": nasty })), nasty);
    let answer = gateway.legacy_client().call("echo", json!({ "message": nasty }));
    assert_eq!(answer["result"]["content"][0]["text"], nasty);
}

#[test]
fn a_large_answer_comes_whole() {
    for kind in [Kind { stateful: true, ..Kind::default() }, STATEFUL_SSE] {
        let upstream = Upstream::start(kind);
        let gateway = Gateway::start(Config::new(upstream.addr));
        let text = gateway.client().call_text("large", json!({ "bytes": 900_000 }));
        assert_eq!(text.len(), 900_000);
    }
}
