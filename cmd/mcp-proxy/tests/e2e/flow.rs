//! Streaming is streaming: events, sizes, slow readers, cancellation and
//! progress, across transports and eras.

use crate::eras::{able, ask, question};
use crate::harness::http::Events;
use crate::harness::python::number;
use crate::harness::stub::{Exchange, tools};
use crate::harness::wait::now;
use crate::harness::{Config, Gate, Gateway, LegacyClient, Modern, Stub, WsClient, binary, until};
use crate::restarts::resident;
use serde_json::{Value, json};

/// The size of a list that another gateway lost.
const TWO_MEGABYTES: usize = 2_140_787;

/// A server that sends two steps of progress, each after an opening of the gate.
fn stepping(gates: &[(&'static str, Gate)], modern: bool) -> Stub {
    let gates = gates.to_vec();
    let behaviour = move |exchange: &mut Exchange<'_>| {
        if exchange.tool() == "steps" {
            let params = exchange.message["params"].clone();
            let (_, gate) =
                gates.iter().find(|(who, _)| params["arguments"]["who"] == *who).unwrap();
            for step in 1..=2 {
                exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": { "progressToken": params["_meta"]["progressToken"], "progress": step, "message": params["arguments"]["who"] } }));
                gate.wait();
            }
            exchange.text("stepped");
        }
        exchange.tool() == "steps"
    };
    if modern { Stub::modern(behaviour) } else { Stub::legacy(behaviour) }
}

fn steps(who: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 41, "method": "tools/call",
        "params": { "name": "steps", "arguments": { "who": who }, "_meta": { "progressToken": "same" } } })
}

#[test]
fn equal_progress_tokens_do_not_cross_and_events_come_one_by_one() {
    for (modern_server, modern_client) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let gates = [("ann", Gate::default()), ("bob", Gate::default())];
        let stub = stepping(&gates, modern_server);
        let gateway = Gateway::start(Config::new(stub.addr));
        let mut open: Vec<(&str, Events)> = ["ann", "bob"]
            .into_iter()
            .map(|who| {
                let call = steps(who);
                let events = if modern_client {
                    let mut client = Modern::new(gateway.addr());
                    let mut envelope =
                        client.message(&call["id"], "tools/call", call["params"].clone());
                    envelope["params"]["_meta"]["progressToken"] = json!("same");
                    client.open_stream(&envelope)
                } else {
                    able(&gateway).open_stream(&call)
                };
                (who, events)
            })
            .collect();
        for step in 1..=2 {
            for (who, events) in &mut open {
                let message = events.next_message();
                let wanted = json!({ "progressToken": "same", "progress": step, "message": who });
                assert_eq!(message["params"], wanted, "{modern_server} {modern_client} {message}");
            }
            gates.iter().for_each(|(_, gate)| gate.open());
        }
        for (_, events) in &mut open {
            let answer = events.next_message();
            assert_eq!(answer["id"], 41, "{answer}");
            assert_eq!(answer["result"]["content"][0]["text"], "stepped", "{answer}");
        }
    }
}

/// Text that any re-encoding would change.
fn heavy(bytes: usize) -> String {
    let piece = "x\u{e9}\u{2028}\"\\/ \n\u{1f600}data: id: 7 ";
    piece.repeat(bytes / piece.len() + 1)
}

/// A server whose tool `heavy` sends one large event and then one large answer.
fn heavy_stub(bytes: usize, streamed: bool) -> Stub {
    Stub::legacy(move |exchange| {
        if exchange.tool() == "heavy" {
            let token = exchange.message["params"]["_meta"]["progressToken"].clone();
            if streamed {
                exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": { "progressToken": token, "progress": 1, "message": heavy(bytes) } }));
            }
            exchange.text(&heavy(bytes));
        }
        exchange.tool() == "heavy"
    })
}

fn heavy_params() -> Value {
    json!({ "name": "heavy", "arguments": {}, "_meta": { "progressToken": "t" } })
}

#[track_caller]
fn is_heavy(seen: &[Value], answer: &Value, bytes: usize, what: &str) {
    assert!(
        answer["result"]["content"][0]["text"] == heavy(bytes).as_str(),
        "{what}: the answer differs: {}",
        answer.to_string().chars().take(200).collect::<String>()
    );
    let progress: Vec<_> =
        seen.iter().filter(|message| message["method"] == "notifications/progress").collect();
    assert_eq!(progress.len(), 1, "{what}");
    assert!(progress[0]["params"]["message"] == heavy(bytes).as_str(), "{what}: the event differs");
}

#[test]
fn large_events_and_answers_come_through_every_transport() {
    let stub = heavy_stub(TWO_MEGABYTES, true);
    let first = Gateway::start(Config::new(stub.addr));
    let at = |path: &str| {
        format!("{}://{}{path}", if path == "/ws" { "ws" } else { "http" }, first.addr())
    };
    let wrapped = json!([binary().to_str().unwrap(), "wrap", "--upstream", at("/mcp")]);
    let upstreams = [
        ("http", json!({ "url": at("/mcp"), "transport": "http" })),
        ("sse", json!({ "url": at("/sse"), "transport": "sse" })),
        ("websocket", json!({ "url": at("/ws") })),
        ("stdio", json!({ "command": wrapped })),
    ];
    for (name, upstream) in upstreams {
        let gateway = Gateway::start(Config::of(upstream));
        let mut client = able(&gateway);
        let answer = client.request("tools/call", heavy_params());
        is_heavy(&client.seen, &answer, TWO_MEGABYTES, &format!("http < {name}"));
        let mut client = LegacyClient::open(gateway.addr(), "/sse");
        client.handshake();
        let answer = client.request("tools/call", heavy_params());
        is_heavy(&client.seen, &answer, TWO_MEGABYTES, &format!("sse < {name}"));
        let mut client = WsClient::open(gateway.addr());
        client.handshake();
        let answer = client.request("tools/call", heavy_params());
        is_heavy(&client.seen, &answer, TWO_MEGABYTES, &format!("websocket < {name}"));
        let mut client = Modern::new(gateway.addr());
        let answer = client.request("tools/call", heavy_params());
        is_heavy(&client.seen, &answer, TWO_MEGABYTES, &format!("modern < {name}"));
    }
}

#[test]
fn an_answer_over_the_limit_is_an_error_that_names_it() {
    let stub = heavy_stub(300_000, false);
    let gateway = Gateway::start(Config::new(stub.addr).set("upstream.max_message_bytes", 200_000));
    let mut client = able(&gateway);
    let answer = client.request("tools/call", heavy_params());
    assert_eq!(answer["error"]["data"]["kind"], "upstream_error", "{answer}");
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("200000"),
        "names the limit: {answer}"
    );
    assert_eq!(client.call_text("echo", json!({ "message": "alive" })), "alive");
}

#[test]
fn large_lists_are_filtered_and_come_through() {
    let stub = Stub::legacy(|exchange| {
        if exchange.method() == "tools/list" {
            let mut list = tools(&["echo", "delete_file"]);
            for tool in list["tools"].as_array_mut().unwrap() {
                tool["description"] = json!(heavy(TWO_MEGABYTES / 2));
            }
            list["nextCursor"] = json!("page 2/\u{e9}");
            exchange.event(&list_of(exchange.message, list));
        }
        exchange.method() == "tools/list"
    });
    let policy = "package mcp.policy\n\ndefault allow := true\n\ndeny contains \"no\" if input.tool == \"delete_file\"\n";
    let gateway = Gateway::start(Config::new(stub.addr).policy(policy));
    let answer = able(&gateway).request("tools/list", json!({}));
    let tools = answer["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 1);
    assert_eq!(tools[0]["name"], "echo");
    assert!(tools[0]["description"] == heavy(TWO_MEGABYTES / 2).as_str());
    assert_eq!(answer["result"]["nextCursor"], "page 2/\u{e9}");
}

fn list_of(request: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
}

#[test]
fn a_slow_reader_holds_its_own_server_back_and_nobody_else() {
    let stub = Stub::legacy(|exchange| {
        if exchange.tool() == "flood" {
            let piece = "x".repeat(64 * 1024);
            for _ in 0..2_000 {
                exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": piece } }));
                if !exchange.alive() {
                    return true;
                }
            }
            exchange.text("flooded");
        }
        exchange.tool() == "flood"
    });
    let gateway = Gateway::start(Config::new(stub.addr).set("server.write_timeout", "600ms"));
    let before = resident(&gateway);
    let mut slow = able(&gateway);
    let mut events = slow.open_stream(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "flood", "arguments": {} } }));
    let mut other = able(&gateway);
    let started = now();
    let mut most = 0;
    while started.elapsed().as_millis() < 400 {
        assert_eq!(other.call_text("echo", json!({ "message": "fast" })), "fast");
        most = most.max(resident(&gateway));
    }
    // 125 MiB were on offer.
    assert!(most < before + 40 * 1024, "{before} KiB before, {most} KiB at most");
    until("the stalled stream is given up", || {
        loop {
            match events.next() {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return true,
            }
        }
    });
}

fn held(gate: &Gate, modern: bool) -> (Stub, Gate) {
    let left = Gate::default();
    let (gate, gone) = (gate.clone(), left.clone());
    let behaviour = move |exchange: &mut Exchange<'_>| {
        match exchange.tool() {
            "hold" => {
                gate.wait();
                exchange.text("held");
            }
            "abandon" => {
                if exchange.hung_up() {
                    gone.open();
                }
            }
            _ => return false,
        }
        true
    };
    (if modern { Stub::modern(behaviour) } else { Stub::legacy(behaviour) }, left)
}

fn tool(name: &str) -> Value {
    json!({ "name": name, "arguments": {} })
}

#[test]
fn a_legacy_client_that_goes_away_cancels_nothing() {
    let gate = Gate::default();
    let (stub, _) = held(&gate, false);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = able(&gateway);
    let mut other = client.beside();
    client.send(
        &json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": tool("hold") }),
    );
    stub.wait_for("the call is there", |message| message["params"]["name"] == "hold");
    client.hang_up();
    gate.open();
    assert_eq!(other.call_text("echo", json!({ "message": "alive" })), "alive");
    until("the call has its row", || {
        number(&gateway.config.db(), "SELECT count(*) FROM audit_log WHERE tool = 'hold'") == 1
    });
    assert!(
        stub.of_method("notifications/cancelled").is_empty(),
        "{:?}",
        stub.of_method("notifications/cancelled")
    );
}

#[test]
fn a_modern_client_that_goes_away_cancels_its_call() {
    // With a modern server by the end of the response stream, with a legacy one by a notification.
    let (stub, left) = held(&Gate::default(), true);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = Modern::new(gateway.addr());
    let call = client.message(&json!(3), "tools/call", tool("abandon"));
    client.send(&call);
    stub.wait_for("the call is there", |message| message["params"]["name"] == "abandon");
    client.hang_up();
    left.wait();
    assert_eq!(
        client.call("echo", json!({ "message": "alive" }))["result"]["content"][0]["text"],
        "alive"
    );
    let rows = gateway.finish();
    let row = rows.iter().find(|row| row.text("tool") == "abandon").expect("no row");
    assert_eq!(row.text("error_kind"), "abandoned", "{row:#?}");
}

#[test]
fn a_modern_client_that_goes_away_cancels_its_call_at_a_legacy_server() {
    let gate = Gate::default();
    let (stub, _) = held(&gate, false);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = Modern::new(gateway.addr());
    let call = client.message(&json!(3), "tools/call", tool("hold"));
    client.send(&call);
    let call = stub.wait_for("the call is there", |message| message["params"]["name"] == "hold");
    client.hang_up();
    let cancelled = stub
        .wait_for("the server is told", |message| message["method"] == "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], call["id"], "{cancelled}");
    gate.open();
}

#[test]
fn a_cancellation_overtakes_its_call_and_names_it_as_the_server_does() {
    for (name, modern) in [("legacy", false), ("modern", true)] {
        let gate = Gate::default();
        let (stub, left) = held(&gate, modern);
        let gateway = Gateway::start(Config::new(stub.addr));
        let mut client = able(&gateway);
        let mut other = client.beside();
        client.send(&json!({ "jsonrpc": "2.0", "id": "mine", "method": "tools/call", "params": tool("abandon") }));
        let call =
            stub.wait_for("the call is there", |message| message["params"]["name"] == "abandon");
        let accepted = other
            .notify("notifications/cancelled", json!({ "requestId": "mine", "reason": "no need" }));
        assert_eq!(accepted.status(), 202, "{name}: {}", accepted.text());
        if modern {
            left.wait();
        } else {
            let cancelled = stub.wait_for("the server is told", |message| {
                message["method"] == "notifications/cancelled"
            });
            assert_eq!(cancelled["params"]["requestId"], call["id"], "{cancelled}");
            assert_eq!(cancelled["params"]["reason"], "no need", "{cancelled}");
        }
        assert_eq!(other.call_text("echo", json!({ "message": "alive" })), "alive", "{name}");
    }
}

#[test]
fn another_session_cannot_cancel_a_call() {
    let gate = Gate::default();
    let (stub, _) = held(&gate, false);
    let gateway = Gateway::start(Config::new(stub.addr));
    let (mut ann, mut eve) = (able(&gateway), able(&gateway));
    ann.send(&json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": tool("hold") }));
    let call = stub.wait_for("the call is there", |message| message["params"]["name"] == "hold");
    for id in [json!(3), call["id"].clone()] {
        eve.notify("notifications/cancelled", json!({ "requestId": id }));
    }
    gate.open();
    assert_eq!(ann.answer_to(&json!(3))["result"]["content"][0]["text"], "held");
}

#[test]
fn a_server_that_withdraws_its_question_is_heard() {
    let stub = Stub::legacy(|exchange| {
        if exchange.tool() == "ask" {
            exchange.event(&question(1, "sampling/createMessage", "ann"));
            exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1, "reason": "never mind" } }));
            exchange.text("withdrawn");
        }
        exchange.tool() == "ask"
    });
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = able(&gateway);
    let answer =
        client.request("tools/call", ask("sampling/createMessage", "ann")["params"].clone());
    assert_eq!(answer["result"]["content"][0]["text"], "withdrawn", "{answer}");
    assert_eq!(client.seen.len(), 2, "{:?}", client.seen);
    assert_eq!(client.seen[1]["method"], "notifications/cancelled");
    assert_eq!(client.seen[1]["params"]["requestId"], client.seen[0]["id"], "{:?}", client.seen);
}

#[test]
fn an_event_leaves_before_the_next_one_is_made() {
    // Across two gateways and every transport between them.
    let gates = [("old", Gate::default()), ("socket", Gate::default())];
    let stub = stepping(&gates, false);
    let inner = Gateway::start(Config::new(stub.addr));
    let at = |path: &str| {
        format!("{}://{}{path}", if path == "/ws" { "ws" } else { "http" }, inner.addr())
    };
    for upstream in [
        json!({ "url": at("/mcp"), "transport": "http" }),
        json!({ "url": at("/sse"), "transport": "sse" }),
        json!({ "url": at("/ws") }),
    ] {
        let gateway = Gateway::start(Config::of(upstream.clone()));
        let mut old = LegacyClient::open(gateway.addr(), "/sse");
        old.handshake();
        old.post(&steps("old"));
        let mut socket = WsClient::open(gateway.addr());
        socket.handshake();
        socket.send(&steps("socket"));
        for step in 1..=2 {
            assert_eq!(
                old.events.next_message()["params"],
                json!({ "progressToken": "same", "progress": step, "message": "old" }),
                "{upstream}"
            );
            assert_eq!(
                socket.hear()["params"],
                json!({ "progressToken": "same", "progress": step, "message": "socket" }),
                "{upstream}"
            );
            gates.iter().for_each(|(_, gate)| gate.open());
        }
        assert_eq!(old.events.next_message()["id"], 41, "{upstream}");
        assert_eq!(socket.hear()["id"], 41, "{upstream}");
    }
}

#[test]
fn progress_keeps_a_long_call_alive() {
    let stub = Stub::legacy(|exchange| {
        if exchange.tool() == "long" {
            let token = exchange.message["params"]["_meta"]["progressToken"].clone();
            for step in 1..=6 {
                std::thread::sleep(std::time::Duration::from_millis(150));
                exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": step } }));
            }
            exchange.text("done");
        }
        exchange.tool() == "long"
    });
    let gateway = Gateway::start(Config::new(stub.addr).set("upstream.timeout", "500ms"));
    let mut client = able(&gateway);
    let answer = client.request(
        "tools/call",
        json!({ "name": "long", "arguments": {}, "_meta": { "progressToken": 1 } }),
    );
    assert_eq!(answer["result"]["content"][0]["text"], "done", "{answer}");
}
