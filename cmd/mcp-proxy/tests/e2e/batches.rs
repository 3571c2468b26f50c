//! Batches of 2025-03-26, and nowhere else: taken apart, each item decided and recorded.

use crate::harness::gateway::error_of;
use crate::harness::stub::MODERN;
use crate::harness::wait::now;
use crate::harness::{
    Client, Conn, Gateway, Modern, Response, Row, Stub, WsClient, initialize_params, until,
};
use crate::hostile::{call, echoes, start};
use serde_json::{Value, json};

#[track_caller]
fn old(gateway: &Gateway) -> Client {
    let mut client = Client::new(gateway.addr());
    "2025-03-26".clone_into(&mut client.revision);
    client.handshake();
    client
}

/// The messages of an answer to a batch, from a document or a stream, in the order of their ids.
#[track_caller]
fn answers(response: &Response) -> Vec<Value> {
    let mut found: Vec<Value> = if response.head.is_event_stream() {
        let text = response.text();
        text.lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(str::trim)
            .filter(|data| !data.is_empty())
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    } else {
        vec![response.json()]
    };
    found = found
        .into_iter()
        .flat_map(|one| if let Value::Array(items) = one { items } else { vec![one] })
        .collect();
    found.sort_by_key(|one| one["id"].as_u64());
    found
}

/// Rows whose request came from the client, the handshake left out.
fn of_client(rows: &[Row]) -> Vec<&Row> {
    rows.iter()
        .filter(|row| !matches!(row.text("method"), "initialize" | "notifications/initialized"))
        .collect()
}

#[test]
fn a_batch_is_taken_apart_and_each_item_decided() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = old(&gateway);
    let batch = json!([
        call(1, "echo"),
        call(2, "delete_file"),
        { "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 1, "progress": 1 } },
        { "jsonrpc": "2.0", "id": 3, "method": "tools/list" },
        { "jsonrpc": "2.0", "id": 4, "method": "ping" },
    ]);
    let answer = client.post(&batch);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let found = answers(&answer);
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[0]["result"]["content"][0]["text"], "echo", "{found:?}");
    assert_eq!(error_of(&found[1]), (-31001, "policy_denied".to_owned()));
    assert!(found[2]["result"]["tools"].is_array(), "{found:?}");
    assert!(found[3]["result"].is_object(), "{found:?}");
    assert_eq!(
        stub.of_method("tools/call").len(),
        1,
        "nothing of the denied item reached the server"
    );
    let rows = gateway.finish();
    let rows = of_client(&rows);
    assert_eq!(rows.len(), 5, "{rows:#?}");
    let denied: Vec<_> = rows.iter().filter(|row| row.text("decision") == "deny").collect();
    assert_eq!(denied.len(), 1, "{denied:#?}");
    assert_eq!((denied[0].text("tool"), denied[0].number("forwarded")), ("delete_file", Some(0)));
}

#[test]
fn a_batch_without_requests_is_accepted() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = old(&gateway);
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    let answer = client.post(&json!([note, note]));
    assert_eq!((answer.status(), answer.text()), (202, String::new()));
    until("both reached the server", || {
        stub.of_method("notifications/roots/list_changed").len() == 2
    });
}

#[test]
fn bad_items_of_a_batch_have_their_own_errors() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = old(&gateway);
    let text = r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"echo"}}}, 7, [], {"jsonrpc":"1.0","id":9,"method":"ping"}]"#;
    let answer = client.post_raw(text.as_bytes());
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let found = answers(&answer);
    assert_eq!(found.len(), 4, "{found:?}");
    let errors = found.iter().filter(|one| one["error"]["code"] == -32600).count();
    assert_eq!(errors, 3, "{found:?}");
    assert!(found.iter().any(|one| one["result"]["content"][0]["text"] == "echo"), "{found:?}");
    let rows = gateway.finish();
    assert_eq!(of_client(&rows).len(), 4, "{rows:#?}");
}

#[track_caller]
fn batch_refused(client: &mut Client, body: &[u8]) {
    let answer = client.post_raw(body);
    assert_eq!(answer.status(), 400, "{}", answer.text());
    assert_eq!(error_of(&answer.json()).0, -32600, "{}", answer.text());
}

#[test]
fn batches_that_are_none_are_refused_whole() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = old(&gateway);
    batch_refused(&mut client, b"[]");
    batch_refused(&mut client, b" [ ] ");
    let bomb: Vec<Value> = (0..10_000).map(|id| call(id, "echo")).collect();
    let started = now();
    batch_refused(&mut client, json!(bomb).to_string().as_bytes());
    assert!(started.elapsed().as_millis() < 4_000, "{:?}", started.elapsed());
    let greeting = json!([{ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize_params() }]);
    batch_refused(&mut Client::new(gateway.addr()), greeting.to_string().as_bytes());
    assert!(stub.of_method("tools/call").is_empty());
    assert_eq!(stub.of_method("initialize").len(), 1);
    echoes(&mut client);
    let rows = gateway.finish();
    assert_eq!(
        of_client(&rows).iter().filter(|row| row.text("decision") == "error").count(),
        4,
        "{rows:#?}"
    );
}

#[test]
fn later_revisions_have_no_batches() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    for revision in ["2025-06-18", "2025-11-25"] {
        let mut client = Client::new(gateway.addr());
        revision.clone_into(&mut client.revision);
        client.handshake();
        batch_refused(&mut client, json!([call(1, "echo")]).to_string().as_bytes());
        echoes(&mut client);
    }
    let modern = Modern::new(gateway.addr());
    let message =
        modern.message(&json!(1), "tools/call", json!({ "name": "echo", "arguments": {} }));
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "echo"),
    ];
    let answer = Conn::open(gateway.addr()).request(
        "POST",
        "/mcp",
        &headers,
        json!([message]).to_string().as_bytes(),
    );
    assert_eq!((answer.status(), error_of(&answer.json()).0), (400, -32600), "{}", answer.text());
    assert_eq!(stub.of_method("tools/call").len(), 2);
}

#[test]
fn a_batch_of_one_over_websocket_is_a_batch() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = WsClient::open(gateway.addr());
    let mut params = initialize_params();
    params["protocolVersion"] = json!("2025-03-26");
    client.request("initialize", params);
    client.send(&json!([call(71, "echo"), call(72, "delete_file")]));
    let mut found = Vec::new();
    while found.len() < 2 {
        let heard = client.hear();
        found.extend(heard.as_array().cloned().unwrap_or_else(|| vec![heard]));
    }
    found.sort_by_key(|one| one["id"].as_u64());
    assert_eq!(found[0]["result"]["content"][0]["text"], "echo", "{found:?}");
    assert_eq!(error_of(&found[1]).0, -31001, "{found:?}");
}
