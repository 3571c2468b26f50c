//! Questions of the server, subscriptions and revisions, between clients and
//! servers of either era.

use crate::harness::http::Events;
use crate::harness::{
    Client, Config, Conn, Gate, Gateway, Modern, Stub, WsClient, initialize_params, until,
};
use serde_json::{Value, json};
use std::net::SocketAddr;

const NO_SAMPLING: &str = "package mcp.policy\n\ndefault allow := true\n\ndeny contains \"no sampling\" if {\n\tinput.stage == \"server_request\"\n\tinput.method == \"sampling/createMessage\"\n}\n";

/// A question of the server, its id chosen badly on purpose: every session has the same.
pub(crate) fn question(id: u64, method: &str, who: &str) -> Value {
    let params = match method {
        "sampling/createMessage" => {
            json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": who } }], "maxTokens": 7 })
        }
        "elicitation/create" => {
            json!({ "message": who, "requestedSchema": { "type": "object", "properties": { "name": { "type": "string" } } } })
        }
        _ => json!({}),
    };
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn answer_for(method: &str, who: &str) -> Value {
    match method {
        "sampling/createMessage" => {
            json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": who } })
        }
        "elicitation/create" => json!({ "action": "accept", "content": { "name": who } }),
        _ => json!({ "roots": [{ "uri": format!("file:///{who}"), "name": who }] }),
    }
}

const QUESTIONS: [&str; 3] = ["sampling/createMessage", "elicitation/create", "roots/list"];

/// A legacy server: the tool `ask` asks the question of `arguments.method` and returns the client's answer as text.
fn asking() -> Stub {
    Stub::legacy(|exchange| {
        if exchange.tool() != "ask" {
            return false;
        }
        let arguments = exchange.message["params"]["arguments"].clone();
        let session = exchange.head.header("mcp-session-id").unwrap().to_owned();
        let method = arguments["method"].as_str().unwrap();
        let number = exchange.asked(&session);
        exchange.event(&question(number, method, arguments["who"].as_str().unwrap()));
        let answer = exchange.answer(&session, &json!(number));
        exchange.text(&answer.to_string());
        true
    })
}

/// A modern server with the same tool, which asks by `input_required`.
fn asking_modern() -> Stub {
    Stub::modern(|exchange| {
        if exchange.tool() != "ask" {
            return false;
        }
        let params = exchange.message["params"].clone();
        let who = params["arguments"]["who"].as_str().unwrap();
        if params["inputResponses"].is_object() {
            let state = params["requestState"].as_str().unwrap_or_default();
            let text =
                json!({ "result": params["inputResponses"]["q"], "state": state }).to_string();
            exchange.text(&text);
            return true;
        }
        let mut asked = question(1, params["arguments"]["method"].as_str().unwrap(), who);
        let asked = json!({ "method": asked["method"].take(), "params": asked["params"].take() });
        exchange.result(json!({ "resultType": "input_required", "inputRequests": { "q": asked }, "requestState": format!("état {who}/+=") }));
        true
    })
}

pub(crate) fn ask(method: &str, who: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "ask", "arguments": { "method": method, "who": who } } })
}

fn all_capabilities() -> Value {
    json!({ "sampling": {}, "elicitation": {}, "roots": {} })
}

#[track_caller]
pub(crate) fn able(gateway: &Gateway) -> Client {
    let mut client = Client::new(gateway.addr());
    client.capabilities = all_capabilities();
    client.handshake();
    client
}

/// The text of the answer as JSON.
#[track_caller]
fn told(answer: &Value) -> Value {
    let text =
        answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    serde_json::from_str(text).unwrap()
}

#[track_caller]
fn questions_find_their_session(stub: &Stub, policed: bool) {
    let gateway = Gateway::start(Config::new(stub.addr));
    for method in QUESTIONS {
        let mut open: Vec<(&str, Client, Events)> = ["ann", "bob"]
            .into_iter()
            .map(|who| {
                let mut client = able(&gateway);
                let events = client.open_stream(&ask(method, who));
                (who, client, events)
            })
            .collect();
        let mut asked: Vec<Value> =
            open.iter_mut().map(|(_, _, events)| events.next_message()).collect();
        for ((who, ..), asked) in open.iter().zip(&asked) {
            assert_eq!(asked["method"], method, "{asked}");
            assert_eq!(asked["params"], question(1, method, who)["params"], "{asked}");
        }
        // The one who was asked last answers first.
        open.reverse();
        asked.reverse();
        for ((who, client, _), asked) in open.iter_mut().zip(&asked) {
            let accepted = client.post(
                &json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer_for(method, who) }),
            );
            assert_eq!(accepted.status(), 202, "{}", accepted.text());
        }
        for (who, _, events) in &mut open {
            let answer = events.next_message();
            assert_eq!(answer["id"], 3, "{answer}");
            assert_eq!(told(&answer)["result"], answer_for(method, who), "{answer}");
        }
    }
    let rows = gateway.finish();
    if policed {
        for method in QUESTIONS {
            let asked = rows
                .iter()
                .filter(|row| row.text("method") == method && row.text("stage") == "server_request")
                .count();
            assert_eq!(asked, 2, "{method}: {rows:#?}");
        }
    }
}

#[test]
fn questions_of_a_legacy_server_find_their_session() {
    questions_find_their_session(&asking(), true);
}

#[test]
fn questions_of_a_modern_server_become_requests_to_a_legacy_client() {
    questions_find_their_session(&asking_modern(), true);
}

#[track_caller]
fn asked_and_told(gateway: &Gateway, method: &str, state_of_server: bool) {
    let mut client = Modern::new(gateway.addr());
    let arguments = json!({ "method": method, "who": "eve" });
    let first = client.request("tools/call", json!({ "name": "ask", "arguments": arguments }));
    assert_eq!(first["result"]["resultType"], "input_required", "{method}: {first}");
    let requests =
        first["result"]["inputRequests"].as_object().unwrap_or_else(|| panic!("{first}"));
    assert_eq!(requests.len(), 1, "{first}");
    let (key, asked) = requests.iter().next().unwrap();
    assert_eq!(asked["method"], method, "{first}");
    assert_eq!(asked["params"], question(1, method, "eve")["params"], "{first}");
    let state = first["result"]["requestState"].clone();
    if state_of_server {
        assert_eq!(state, "état eve/+=", "untouched");
    }
    let mut responses = json!({});
    responses[key] = answer_for(method, "eve");
    let mut params = json!({ "name": "ask", "arguments": arguments, "inputResponses": responses });
    if !state.is_null() {
        params["requestState"] = state;
    }
    // The second round may come over any connection.
    let answer = Modern::new(gateway.addr()).request("tools/call", params);
    assert_eq!(answer["result"]["resultType"], "complete", "{method}: {answer}");
    assert_eq!(told(&answer)["result"], answer_for(method, "eve"), "{answer}");
}

#[test]
fn questions_of_a_legacy_server_become_input_required_to_a_modern_client() {
    let stub = asking();
    let gateway = Gateway::start(Config::new(stub.addr));
    for method in QUESTIONS {
        asked_and_told(&gateway, method, false);
    }
    assert_eq!(stub.of_method("tools/call").len(), 3, "each call ran once");
}

#[test]
fn input_required_of_a_modern_server_reaches_a_modern_client_untouched() {
    let stub = asking_modern();
    let gateway = Gateway::start(Config::new(stub.addr));
    for method in QUESTIONS {
        asked_and_told(&gateway, method, true);
    }
    assert!(stub.of_method("initialize").is_empty());
}

#[test]
fn a_modern_client_that_cannot_answer_is_not_asked() {
    let stub = asking();
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = Modern::new(gateway.addr());
    client.capabilities = json!({});
    let (head, answer) = client.exchange(
        "tools/call",
        json!({ "name": "ask", "arguments": { "method": "sampling/createMessage", "who": "eve" } }),
    );
    if answer["error"]["code"] == -32021 {
        assert_eq!(head.status(), 400, "{head:?}");
        assert!(
            answer["error"]["data"]["requiredCapabilities"]["sampling"].is_object(),
            "{answer}"
        );
    } else {
        assert_eq!(told(&answer)["error"]["code"], -32601, "the server is told: {answer}");
    }
}

#[test]
fn policy_denies_sampling_on_both_sides_of_the_bridge() {
    for (name, stub) in [("legacy", asking()), ("modern", asking_modern())] {
        let config = Config::new(stub.addr).policy(NO_SAMPLING);
        let gateway = Gateway::start(config.set("server.graceful_shutdown", "0s"));
        let mut client = able(&gateway);
        let answer =
            client.request("tools/call", ask("sampling/createMessage", "ann")["params"].clone());
        assert!(client.seen.is_empty(), "{name}: the client saw {:?}", client.seen);
        assert!(!answer.to_string().contains("assistant"), "{name}: {answer}");
        let mut client = Modern::new(gateway.addr());
        let answer =
            client.call("ask", json!({ "method": "sampling/createMessage", "who": "ann" }));
        assert_ne!(answer["result"]["resultType"], "input_required", "{name}: {answer}");
        let mut free = able(&gateway);
        let mut events = free.open_stream(&ask("roots/list", "bob"));
        assert_eq!(events.next_message()["method"], "roots/list", "{name}");
        let rows = gateway.finish();
        // Each question has a row of its own; the call of a modern client ends with the denial, too.
        let denied: Vec<_> = rows.iter().filter(|row| row.text("decision") == "deny").collect();
        let of = |method| denied.iter().filter(|row| row.text("method") == method).count();
        assert_eq!((of("sampling/createMessage"), of("tools/call")), (2, 1), "{name}: {denied:#?}");
        for row in denied {
            assert_eq!(
                (row.text("stage"), row.text("error_kind")),
                ("server_request", "policy_denied"),
                "{name}: {row:#?}"
            );
            assert!(
                row.text("reasons").contains("no sampling")
                    || row.0["reasons"].to_string().contains("no sampling"),
                "{name}: {row:#?}"
            );
        }
    }
}

#[test]
fn a_legacy_server_learns_that_its_question_was_denied() {
    let stub = asking();
    let gateway = Gateway::start(Config::new(stub.addr).policy(NO_SAMPLING));
    let mut client = Modern::new(gateway.addr());
    client.call("ask", json!({ "method": "sampling/createMessage", "who": "ann" }));
    let call = stub.of_method("tools/call").remove(0);
    let told = stub.wait_for("the server need not wait for ever", |message| {
        message["error"].is_object() || message["method"] == "notifications/cancelled"
    });
    if told["method"].is_string() {
        assert_eq!(told["params"]["requestId"], call["id"], "{told}");
    } else {
        assert_eq!(told["id"], 1, "{told}");
    }
}

#[test]
fn policy_sees_what_a_modern_client_answers() {
    let policy = "package mcp.policy\n\ndefault allow := true\n\ndeny contains \"no secrets\" if contains(json.marshal(input.request.params), \"hunter2\")\n";
    let stub = asking_modern();
    let gateway = Gateway::start(Config::new(stub.addr).policy(policy));
    let mut client = Modern::new(gateway.addr());
    let arguments = json!({ "method": "elicitation/create", "who": "eve" });
    let first = client.request("tools/call", json!({ "name": "ask", "arguments": arguments }));
    let params = json!({ "name": "ask", "arguments": arguments, "requestState": first["result"]["requestState"],
        "inputResponses": { "q": { "action": "accept", "content": { "name": "hunter2" } } } });
    let answer = client.request("tools/call", params);
    assert_eq!(answer["error"]["code"], -31001, "{answer}");
    assert_eq!(stub.of_method("tools/call").len(), 1, "nothing reached the server");
}

#[test]
fn guessed_answers_go_nowhere() {
    let stub = asking();
    let gateway = Gateway::start(Config::new(stub.addr));
    let (mut ann, mut eve) = (able(&gateway), able(&gateway));
    let mut events = ann.open_stream(&ask("sampling/createMessage", "ann"));
    let asked = events.next_message();
    for id in [asked["id"].clone(), json!(1), json!("1"), json!(0), json!(2), json!(-1), json!("q")]
    {
        let forged = json!({ "jsonrpc": "2.0", "id": id, "result": answer_for("sampling/createMessage", "forged") });
        eve.post(&forged);
        if id != asked["id"] {
            ann.post(&forged);
        }
    }
    let real = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer_for("sampling/createMessage", "real") });
    assert_eq!(ann.post(&real).status(), 202);
    let answer = events.next_message();
    assert_eq!(told(&answer)["result"]["content"]["text"], "real", "{answer}");
    let forged = stub
        .received()
        .into_iter()
        .filter(|one| one.message.to_string().contains("forged"))
        .count();
    assert_eq!(forged, 0, "nothing forged reached the server");
}

#[test]
fn a_second_answer_to_the_same_question_goes_nowhere() {
    let stub = asking();
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut ann = able(&gateway);
    let mut events = ann.open_stream(&ask("sampling/createMessage", "ann"));
    let asked = events.next_message();
    for text in ["first", "second"] {
        ann.post(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer_for("sampling/createMessage", text) }));
    }
    assert_eq!(told(&events.next_message())["result"]["content"]["text"], "first");
    let reached = stub
        .received()
        .into_iter()
        .filter(|one| one.message.to_string().contains("second"))
        .count();
    assert_eq!(reached, 0);
}

#[test]
fn the_state_of_a_parked_call_belongs_to_its_owner() {
    let stub = asking();
    let first = Gateway::start(Config::new(stub.addr));
    let mut client = Modern::new(first.addr());
    let arguments = json!({ "method": "elicitation/create", "who": "eve" });
    let parked = client.request("tools/call", json!({ "name": "ask", "arguments": arguments }));
    let state = parked["result"]["requestState"].as_str().expect("no state").to_owned();
    let key = parked["result"]["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let mut responses = json!({});
    responses[&key] = answer_for("elicitation/create", "eve");
    let mut changed = state.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    for bad in [
        String::from_utf8(changed).unwrap(),
        "nonsense".to_owned(),
        String::new(),
        "A".repeat(5_000),
    ] {
        let params = json!({ "name": "ask", "arguments": arguments, "requestState": bad, "inputResponses": responses });
        let answer = client.request("tools/call", params);
        assert!(answer["error"].is_object(), "{bad}: {answer}");
        assert_ne!(answer["error"]["code"], -32603, "{bad}: {answer}");
    }
    // Other arguments than those that were parked.
    let params = json!({ "name": "echo", "arguments": {}, "requestState": state, "inputResponses": responses });
    let answer = client.request("tools/call", params);
    assert!(answer["error"].is_object(), "{answer}");
    let params = json!({ "name": "ask", "arguments": arguments, "requestState": state, "inputResponses": responses });
    let answer = client.request("tools/call", params.clone());
    assert_eq!(told(&answer)["result"], answer_for("elicitation/create", "eve"), "{answer}");
    let answer = client.request("tools/call", params);
    assert!(answer["error"].is_object(), "used once: {answer}");
}

#[test]
fn both_revisions_are_in_the_log() {
    for (name, stub, server) in [
        ("legacy", Stub::legacy(|_| false), "2025-11-25"),
        ("modern", Stub::modern(|_| false), "2026-07-28"),
    ] {
        let gateway = Gateway::start(Config::new(stub.addr));
        let mut old = able(&gateway);
        old.call_text("echo", json!({ "message": "old" }));
        Modern::new(gateway.addr()).call("echo", json!({ "message": "new" }));
        let rows = gateway.finish();
        let calls: Vec<_> = rows
            .iter()
            .filter(|row| row.text("tool") == "echo")
            .map(|row| (row.text("protocol_version"), row.text("server_version")))
            .collect();
        let of_old = if name == "legacy" { "2025-06-18" } else { server };
        assert_eq!(calls, [("2025-06-18", of_old), ("2026-07-28", server)], "{name}");
    }
}

#[test]
fn a_modern_client_learns_of_changes_of_either_server() {
    let modern = Stub::modern(|exchange| {
        if exchange.method() == "subscriptions/listen" {
            let id = exchange.message["id"].clone();
            let tag = json!({ "io.modelcontextprotocol/subscriptionId": id });
            exchange.event(
                &json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": { "_meta": tag, "notifications": { "toolsListChanged": true } } }),
            );
            exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": { "_meta": tag } }));
            exchange.hung_up();
            return true;
        }
        false
    });
    let legacy = Stub::legacy(|_| false);
    for (name, stub) in [("modern", &modern), ("legacy", &legacy)] {
        let gateway = Gateway::start(Config::new(stub.addr));
        let mut client = Modern::new(gateway.addr());
        let listen = client.message(
            &json!("sub-1"),
            "subscriptions/listen",
            json!({ "notifications": { "toolsListChanged": true } }),
        );
        let mut events = client.open_stream(&listen);
        let first = events.next_message();
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{name}: {first}");
        assert_eq!(
            first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "sub-1",
            "{name}: {first}"
        );
        assert_eq!(first["params"]["notifications"]["toolsListChanged"], true, "{name}: {first}");
        if name == "legacy" {
            until("the gateway listens", || stub.streams() == 1);
            stub.push(&json!({ "jsonrpc": "2.0", "method": "notifications/prompts/list_changed" }));
            stub.push(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
        }
        let changed = events.next_message();
        assert_eq!(changed["method"], "notifications/tools/list_changed", "{name}: {changed}");
        assert_eq!(
            changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "sub-1",
            "{name}: {changed}"
        );
    }
}

#[test]
fn a_legacy_client_learns_of_changes_of_a_modern_server() {
    let gate = Gate::default();
    let stub = Stub::modern({
        let gate = gate.clone();
        move |exchange| {
            if exchange.method() == "subscriptions/listen" {
                let id = exchange.message["id"].clone();
                let tag = json!({ "io.modelcontextprotocol/subscriptionId": id });
                let asked = exchange.message["params"]["notifications"].clone();
                exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": { "_meta": tag, "notifications": asked } }));
                gate.wait();
                exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": { "_meta": tag } }));
                exchange.hung_up();
                return true;
            }
            false
        }
    });
    let gateway = Gateway::start(Config::new(stub.addr));
    let client = able(&gateway);
    let mut events = client.listen();
    stub.wait_for("the gateway subscribes", |message| message["method"] == "subscriptions/listen");
    gate.open();
    let changed = events.next_message();
    assert_eq!(changed["method"], "notifications/tools/list_changed", "{changed}");
    assert!(
        changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].is_null(),
        "no word of the other era: {changed}"
    );
}

/// What a gateway with that `server.transport` answers on its paths.
fn statuses(addr: SocketAddr) -> [u16; 3] {
    let body =
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize_params() });
    let mcp = Client::new(addr).post(&body).status();
    let mut conn = Conn::open(addr);
    conn.send("GET", "/sse", &[("Accept", "text/event-stream")], b"").unwrap();
    let sse = conn.read_head().unwrap().status();
    let (_, head) = WsClient::ask(addr, "/ws", &[("Sec-WebSocket-Protocol", "mcp")]);
    [mcp, sse, head.status()]
}

#[test]
fn each_transport_is_served_where_it_is_configured() {
    let stub = Stub::legacy(|_| false);
    for (transport, wanted) in [
        ("all", [200, 200, 101]),
        ("http", [200, 404, 404]),
        ("sse", [404, 200, 404]),
        ("websocket", [404, 404, 101]),
    ] {
        let gateway = Gateway::start(Config::new(stub.addr).set("server.transport", transport));
        assert_eq!(statuses(gateway.addr()), wanted, "{transport}");
        let mut conn = Conn::open(gateway.addr());
        for path in [
            "/",
            "/MCP",
            "/mcp/",
            "/ws/x",
            "/sse/",
            "/message",
            "//mcp",
            "/mcp/..;/metrics",
            "/metrics",
            "/health",
            "/%6dcp",
        ] {
            let answer = conn.request("POST", path, &[("Content-Type", "application/json")], b"{}");
            assert!(
                matches!(answer.status(), 400 | 404),
                "{transport} {path}: {}",
                answer.status()
            );
        }
    }
}
