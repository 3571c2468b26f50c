//! Bad input at the edge of headers, envelopes and sessions: the outcome that
//! the specification names, one row, and nobody else harmed.

use crate::harness::gateway::error_of;
use crate::harness::stub::MODERN;
use crate::harness::{
    Client, Config, Conn, Gateway, LegacyClient, Modern, Response, Stub, WsClient,
    initialize_params,
};
use serde_json::{Value, json};

/// Allows all but `delete_file`, which it also hides.
pub(crate) const NO_DELETE: &str = "package mcp.policy\n\ndefault allow := true\n\ndeny contains \"not that\" if input.tool == \"delete_file\"\n";

pub(crate) fn start(stub: &Stub) -> Gateway {
    Gateway::start(Config::new(stub.addr).policy(NO_DELETE))
}

#[track_caller]
pub(crate) fn echoes(client: &mut Client) {
    assert_eq!(client.call_text("echo", json!({ "message": "alive" })), "alive");
}

pub(crate) fn call(id: u64, tool: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": { "message": tool } } })
}

/// Posts a modern call with these headers in the place of the right ones.
#[track_caller]
fn with_headers(gateway: &Gateway, message: &Value, changes: &[(&str, Option<&str>)]) -> Response {
    let name = message["params"]["name"].as_str().unwrap_or_default();
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", message["method"].as_str().unwrap()),
    ];
    if !name.is_empty() {
        headers.push(("Mcp-Name", name));
    }
    for (name, value) in changes {
        headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        headers.extend(value.map(|value| (*name, value)));
    }
    Conn::open(gateway.addr()).request("POST", "/mcp", &headers, message.to_string().as_bytes())
}

#[test]
fn headers_that_do_not_say_what_the_body_says_are_refused() {
    let stub = Stub::modern(|_| false);
    let gateway = start(&stub);
    let client = Modern::new(gateway.addr());
    let message = client.message(
        &json!(1),
        "tools/call",
        json!({ "name": "echo", "arguments": { "message": "hi" } }),
    );
    let bad: &[&[(&str, Option<&str>)]] = &[
        &[("Mcp-Method", Some("tools/list"))],
        &[("Mcp-Method", None)],
        &[("Mcp-Method", Some("Tools/Call"))],
        &[("Mcp-Method", Some(""))],
        &[("Mcp-Name", Some("read_file"))],
        &[("Mcp-Name", None)],
        &[("Mcp-Name", Some("Echo"))],
        &[("Mcp-Name", None), ("Mcp_Name", Some("echo"))],
        &[("Mcp-Method", None), ("Mcp_Method", Some("tools/call"))],
        &[("Mcp-Name", Some("=?base64?!!!?="))],
        &[("Mcp-Name", Some("=?base64?ZWNob"))],
        &[("Mcp-Name", Some("=?base64?ZGVsZXRlX2ZpbGU=?="))],
        &[("Mcp-Name", Some("=?base64?/w==?="))],
        &[("MCP-Protocol-Version", None)],
        &[("MCP-Protocol-Version", Some("2025-11-25"))],
    ];
    for changes in bad {
        let answer = with_headers(&gateway, &message, changes);
        assert_eq!(
            (answer.status(), error_of(&answer.json())),
            (400, (-32020, "header_mismatch".to_owned())),
            "{changes:?}: {}",
            answer.text()
        );
        let unread = changes.iter().any(|(name, _)| name.contains('_'));
        assert!(unread || answer.json()["id"] == 1, "{changes:?}: {}", answer.text());
    }
    assert!(stub.of_method("tools/call").is_empty());
    let fine: &[&[(&str, Option<&str>)]] = &[
        &[],
        &[("Mcp-Name", Some("=?base64?ZWNobw==?="))],
        &[("Mcp-Param-Unknown", Some("x"))],
        &[("mcp-session-id", Some("anything"))],
    ];
    for changes in fine {
        let answer = with_headers(&gateway, &message, changes);
        assert_eq!(answer.status(), 200, "{changes:?}: {}", answer.text());
        assert_eq!(answer.head.header("mcp-session-id"), None, "{changes:?}");
    }
    let forwarded =
        stub.received().into_iter().any(|one| one.head.header("mcp-param-unknown") == Some("x"));
    assert!(forwarded, "unknown parameters are passed on");
    let rows = gateway.finish();
    let refused = rows.iter().filter(|row| row.text("error_kind") == "header_mismatch").count();
    assert_eq!(refused, bad.len(), "one row each");
}

#[test]
fn a_name_that_needs_coding_is_compared_decoded_and_coded_again() {
    let stub = Stub::modern(|_| false);
    let gateway = start(&stub);
    let client = Modern::new(gateway.addr());
    let name = "caf\u{e9} \u{2603}";
    let message = client.message(
        &json!(1),
        "tools/call",
        json!({ "name": name, "arguments": { "message": "hi" } }),
    );
    let answer = with_headers(&gateway, &message, &[("Mcp-Name", Some("=?base64?Y2Fmw6kg4piD?="))]);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let received = stub.received();
    let call = received.iter().find(|one| one.message["method"] == "tools/call").unwrap();
    assert_eq!(call.head.header("mcp-name"), Some("=?base64?Y2Fmw6kg4piD?="), "{:?}", call.head);
    assert_eq!(call.message["params"]["name"], name);
}

#[test]
fn an_envelope_that_is_wrong_is_refused() {
    let stub = Stub::modern(|_| false);
    let gateway = start(&stub);
    let client = Modern::new(gateway.addr());
    let whole = client.message(&json!(1), "tools/call", json!({ "name": "echo", "arguments": {} }));
    let version = "/params/_meta/io.modelcontextprotocol~1protocolVersion";
    let mut unknown = whole.clone();
    *unknown.pointer_mut(version).unwrap() = json!("2099-01-01");
    let answer = with_headers(&gateway, &unknown, &[("MCP-Protocol-Version", Some("2099-01-01"))]);
    assert_eq!(
        (answer.status(), answer.json()["error"]["code"].as_i64()),
        (400, Some(-32022)),
        "{}",
        answer.text()
    );
    let supported = answer.json()["error"]["data"]["supported"].clone();
    assert!(supported.as_array().unwrap().contains(&json!(MODERN)), "{supported}");
    assert_eq!(answer.json()["error"]["data"]["requested"], "2099-01-01", "{}", answer.text());
    let mut poor = whole.clone();
    poor["params"]["_meta"]
        .as_object_mut()
        .unwrap()
        .remove("io.modelcontextprotocol/clientCapabilities");
    let answer = with_headers(&gateway, &poor, &[]);
    assert_eq!(
        (answer.status(), answer.json()["error"]["code"].as_i64()),
        (400, Some(-32602)),
        "{}",
        answer.text()
    );
    for method in
        ["initialize", "ping", "logging/setLevel", "resources/subscribe", "nonsense", "tasks/list"]
    {
        let message = client.message(&json!(1), method, json!({ "uri": "a://b" }));
        let answer = with_headers(&gateway, &message, &[]);
        assert_eq!(
            (answer.status(), answer.json()["error"]["code"].as_i64()),
            (404, Some(-32601)),
            "{method}: {}",
            answer.text()
        );
    }
    // The answers that a server's questions had in the eras before.
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", MODERN),
    ];
    let result = br#"{"jsonrpc":"2.0","id":1,"result":{"of":"nothing"}}"#;
    let answer = Conn::open(gateway.addr()).request("POST", "/mcp", &headers, result);
    assert!((200..500).contains(&answer.status()), "{} {}", answer.status(), answer.text());
    assert!(
        !stub.received().iter().any(|one| one.message["result"].is_object()),
        "nothing of it reaches the server"
    );
    assert!(stub.of_method("tools/call").is_empty());
}

#[test]
fn get_and_delete_are_not_of_the_modern_era() {
    let stub = Stub::modern(|_| false);
    let gateway = start(&stub);
    for method in ["GET", "DELETE", "PUT", "PATCH"] {
        let headers = [("Accept", "text/event-stream"), ("MCP-Protocol-Version", MODERN)];
        let answer = Conn::open(gateway.addr()).request(method, "/mcp", &headers, b"");
        assert_eq!(answer.status(), 405, "{method}: {}", answer.text());
        assert!(answer.head.header("allow").is_some(), "{method}: {:?}", answer.head);
    }
}

#[test]
fn sessions_are_asked_for_where_they_are_needed() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut stranger = Client::new(gateway.addr());
    let answer = stranger.post(&call(1, "echo"));
    assert_eq!(answer.status(), 400, "{}", answer.text());
    let answer =
        Conn::open(gateway.addr()).request("GET", "/mcp", &[("Accept", "text/event-stream")], b"");
    assert!(matches!(answer.status(), 400 | 405), "{}", answer.text());
    let mut lost = Client::new(gateway.addr());
    lost.session = Some("lost".to_owned());
    assert_eq!(lost.listen_after(None).unwrap_err().status(), 404);
    assert_eq!(lost.delete().status(), 404);
    let answer = lost.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    assert_eq!(answer.status(), 404, "{}", answer.text());
    assert!(stub.of_method("tools/call").is_empty());
    assert!(stub.of_method("initialize").is_empty());
}

#[test]
fn the_session_of_one_transport_is_unknown_to_the_others() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let http = gateway.client().session.unwrap();
    let sse = gateway.legacy_client();
    let token = sse.endpoint.split("sessionId=").nth(1).unwrap().to_owned();
    let mut client = Client::new(gateway.addr());
    client.session = Some(token);
    assert_eq!(client.post(&call(1, "echo")).status(), 404);
    let path = format!("/message?sessionId={http}");
    let answer = Conn::open(gateway.addr()).request(
        "POST",
        &path,
        &[("Content-Type", "application/json")],
        call(1, "echo").to_string().as_bytes(),
    );
    assert_eq!(answer.status(), 404, "{}", answer.text());
    assert!(stub.of_method("tools/call").is_empty());
}

#[test]
fn a_header_that_stands_twice_is_refused() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let (mut ann, eve) = (gateway.client(), gateway.client());
    let (one, two) = (ann.session.clone().unwrap(), eve.session.clone().unwrap());
    let body = call(1, "echo").to_string();
    let common =
        [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    for twice in [
        [("Mcp-Session-Id", one.as_str()), ("Mcp-Session-Id", two.as_str())],
        [
            ("Mcp-Session-Id", one.as_str()),
            ("MCP-Protocol-Version", "2025-06-18\r\nMCP-Protocol-Version: 2025-03-26"),
        ],
    ] {
        let headers: Vec<_> = common.into_iter().chain(twice).collect();
        let answer = Conn::open(gateway.addr()).request("POST", "/mcp", &headers, body.as_bytes());
        assert_eq!(answer.status(), 400, "{twice:?}: {}", answer.text());
    }
    let modern = Modern::new(gateway.addr());
    let message =
        modern.message(&json!(1), "tools/call", json!({ "name": "echo", "arguments": {} }));
    for twice in ["Mcp-Method", "Mcp-Name"] {
        let good = if twice == "Mcp-Name" { "echo" } else { "tools/call" };
        let value = format!("{good}\r\n{twice}: other");
        let answer = with_headers(&gateway, &message, &[(twice, Some(&value))]);
        assert_eq!(answer.status(), 400, "{twice}: {}", answer.text());
    }
    assert!(stub.of_method("tools/call").is_empty());
    echoes(&mut ann);
}

#[test]
fn a_second_initialize_opens_nothing() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = gateway.client();
    let again =
        json!({ "jsonrpc": "2.0", "id": 9, "method": "initialize", "params": initialize_params() });
    let answer = client.post(&again);
    assert!((400..500).contains(&answer.status()), "{} {}", answer.status(), answer.text());
    assert!(answer.json()["error"].is_object(), "{}", answer.text());
    echoes(&mut client);
    let mut socket = WsClient::open(gateway.addr());
    socket.handshake();
    let twice = socket.request("initialize", initialize_params());
    assert_eq!(twice["error"]["code"], -32600, "{twice}");
    let answer = socket.call("echo", json!({ "message": "alive" }));
    assert_eq!(answer["result"]["content"][0]["text"], "alive", "{answer}");
    let mut old = gateway.legacy_client();
    let twice = old.post(&again);
    assert!(matches!(twice.status(), 202 | 400), "{}", twice.text());
    let answer = old.call("echo", json!({ "message": "alive" }));
    assert_eq!(answer["result"]["content"][0]["text"], "alive", "{answer}");
    assert_eq!(stub.of_method("initialize").len(), 3);
}

#[test]
fn a_call_before_initialize_reaches_no_server() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut socket = WsClient::open(gateway.addr());
    let early = socket.call("echo", json!({}));
    let mut old = LegacyClient::open(gateway.addr(), "/sse");
    // Over HTTP+SSE the refusal is the answer to the POST.
    let also = old.post(&call(1, "echo"));
    assert!(stub.of_method("tools/call").is_empty(), "{early} {}", also.text());
    assert_eq!(early["error"]["code"], -32600, "{early}");
    assert_eq!((also.status(), &also.json()["error"]["code"]), (400, &json!(-32600)));
    socket.handshake();
    let answer = socket.call("echo", json!({ "message": "alive" }));
    assert_eq!(answer["result"]["content"][0]["text"], "alive", "{answer}");
    old.handshake();
    let answer = old.call("echo", json!({ "message": "alive" }));
    assert_eq!(answer["result"]["content"][0]["text"], "alive", "{answer}");
}

#[test]
fn an_unknown_revision_in_initialize_is_answered_with_a_known_one() {
    // The server echoes whatever revision it is asked for, but for 2026-07-28.
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    for asked in ["2026-07-28", "2099-12-31", "1999-01-01"] {
        let mut params = initialize_params();
        params["protocolVersion"] = json!(asked);
        let message =
            json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let answer = Client::new(gateway.addr()).post(&message);
        assert_eq!(answer.status(), 200, "{asked}: {}", answer.text());
        let offered = answer.json()["result"]["protocolVersion"].as_str().unwrap().to_owned();
        let known = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
        assert!(known.contains(&offered.as_str()), "{asked}: {offered}");
    }
}

#[test]
fn an_unknown_revision_in_the_header_is_refused() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = gateway.client();
    "2099-12-31".clone_into(&mut client.revision);
    let answer = client.post(&call(1, "echo"));
    assert_eq!(answer.status(), 400, "{}", answer.text());
    "2025-06-18".clone_into(&mut client.revision);
    echoes(&mut client);
}

#[test]
fn equal_ids_in_flight_are_refused_and_odd_ids_kept() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = gateway.client();
    for id in [
        json!(0),
        json!(-1),
        json!("1"),
        json!(1),
        json!(""),
        json!("\u{1f600}\n"),
        json!(9_007_199_254_740_993_i64),
    ] {
        let answer = client.request_as(
            &id,
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": "odd" } }),
        );
        assert_eq!(answer["result"]["content"][0]["text"], "odd", "{id}: {answer}");
    }
    for id in ["1.5", "null", "[1]", "{}", "true", "1e3"] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{}}}}}}"#
        );
        let answer = client.post_raw(text.as_bytes());
        assert_eq!(
            (answer.status(), answer.json()["error"]["code"].as_i64()),
            (400, Some(-32600)),
            "{id}: {}",
            answer.text()
        );
    }
}

#[test]
fn no_answer_crosses_between_clients_that_count_alike() {
    for (modern_server, stub) in [(false, Stub::legacy(|_| false)), (true, Stub::modern(|_| false))]
    {
        let gateway = start(&stub);
        std::thread::scope(|scope| {
            for number in 0..16 {
                let gateway = &gateway;
                scope.spawn(move || {
                    let mut legacy = (number % 2 == 0).then(|| gateway.client());
                    let mut modern = Modern::new(gateway.addr());
                    for round in 0..25 {
                        let said = format!("client {number}, round {round}");
                        let arguments = json!({ "message": said });
                        let answer = match &mut legacy {
                            Some(client) => client.call("echo", arguments),
                            None => modern.call("echo", arguments),
                        };
                        assert_eq!(
                            answer["result"]["content"][0]["text"], said,
                            "{modern_server} {answer}"
                        );
                    }
                });
            }
        });
        assert_eq!(stub.of_method("tools/call").len(), 400);
    }
}

#[test]
fn a_client_that_is_half_closed_still_gets_its_answer_or_none() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = gateway.client();
    let session = client.session.clone().unwrap();
    let mut conn = Conn::open(gateway.addr());
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Mcp-Session-Id", session.as_str()),
    ];
    conn.send("POST", "/mcp", &headers, call(5, "echo").to_string().as_bytes()).unwrap();
    conn.stream().shutdown(std::net::Shutdown::Write).unwrap();
    if let Ok(answer) = conn.read_response() {
        assert_eq!(answer.json()["id"], 5, "{}", answer.text());
    }
    echoes(&mut client);
    let rows = gateway.finish();
    let calls = rows.iter().filter(|row| row.text("tool") == "echo").count();
    // A client that is gone before its message was read has sent none.
    assert_eq!(calls, stub.of_method("tools/call").len(), "one row each: {rows:#?}");
    assert!(calls >= 1);
}

#[test]
fn a_subscription_belongs_to_its_session() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let (mut ann, mut eve) = (gateway.client(), gateway.client());
    let answer = ann.request("resources/subscribe", json!({ "uri": "demo://ann" }));
    assert!(answer["result"].is_object(), "{answer}");
    eve.request("resources/unsubscribe", json!({ "uri": "demo://ann" }));
    let received = stub.received();
    let session = |method: &str| {
        received
            .iter()
            .find(|one| one.message["method"] == method)
            .unwrap()
            .head
            .header("mcp-session-id")
            .unwrap()
            .to_owned()
    };
    assert_ne!(session("resources/subscribe"), session("resources/unsubscribe"));
}
