//! `Last-Event-ID`: a client whose stream broke gets the rest, once.

use serde_json::{Value, json};

use crate::harness::http::{Event, Events};
use crate::harness::{Client, Config, Gate, Gateway, LegacyClient, Stub, until};

/// A server whose tool `count` sends one notification for each opening of the gate, up to `arguments.to`.
fn counting(gate: &Gate) -> Stub {
    let gate = gate.clone();
    Stub::legacy(move |exchange| {
        if exchange.tool() != "count" {
            return false;
        }
        let to = exchange.message["params"]["arguments"]["to"].as_u64().unwrap();
        for number in 1..=to {
            exchange.event(&note(number));
            gate.wait();
        }
        exchange.text("counted");
        true
    })
}

fn note(number: u64) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": number } })
}

fn count(to: u64) -> Value {
    json!({ "jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": { "name": "count", "arguments": { "to": to } } })
}

#[track_caller]
fn of_revision(gateway: &Gateway, revision: &str) -> Client {
    let mut client = Client::new(gateway.addr());
    revision.clone_into(&mut client.revision);
    client.handshake();
    client
}

#[track_caller]
fn next(events: &mut Events) -> Event {
    events.next().expect("the stream broke").expect("the stream ended")
}

/// The next event with a message.
#[track_caller]
fn next_full(events: &mut Events) -> Event {
    loop {
        let event = next(events);
        if !event.data.is_empty() {
            return event;
        }
    }
}

/// All messages up to the end of the stream.
#[track_caller]
fn rest(events: &mut Events) -> Vec<Value> {
    let mut found = Vec::new();
    while let Some(event) = events.next().expect("the stream broke") {
        if !event.data.is_empty() {
            found.push(event.json());
        }
    }
    found
}

#[test]
fn streams_of_2025_11_25_begin_with_a_primer_and_older_ones_do_not() {
    let gate = Gate::default();
    let stub = counting(&gate);
    let gateway = Gateway::start(Config::new(stub.addr));
    for (revision, primed) in [("2025-11-25", true), ("2025-06-18", false), ("2025-03-26", false)] {
        let mut client = of_revision(&gateway, revision);
        let mut events = client.open_stream(&count(1));
        let first = next(&mut events);
        assert_eq!(first.data.is_empty(), primed, "{revision}: {first:?}");
        assert!(!first.id.is_empty(), "{revision}: {first:?}");
        if primed {
            assert!(
                first.retry.parse::<u64>().is_ok_and(|retry| retry > 0),
                "{revision}: {first:?}"
            );
        }
        let event = if primed { next(&mut events) } else { first };
        assert_eq!(event.json(), note(1), "{revision}");
        gate.open();
        let answer = next(&mut events);
        assert_eq!(answer.json()["id"], 77, "{revision}: {answer:?}");
        assert!(!answer.id.is_empty() && answer.id != event.id, "{revision}: {answer:?}");
        assert_eq!(events.next().unwrap(), None, "{revision}");
    }
}

#[test]
fn a_modern_stream_has_no_event_ids() {
    let stub = Stub::modern(|exchange| {
        if exchange.tool() == "stream" {
            exchange.event(&note(1));
            exchange.text("done");
        }
        exchange.tool() == "stream"
    });
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = crate::harness::Modern::new(gateway.addr());
    let call =
        client.message(&json!(5), "tools/call", json!({ "name": "stream", "arguments": {} }));
    let mut events = client.open_stream(&call);
    let first = next(&mut events);
    assert_eq!((first.id.as_str(), first.retry.as_str()), ("", ""), "{first:?}");
    assert_eq!(first.json()["method"], "notifications/message");
    let answer = next(&mut events);
    assert_eq!(answer.id, "", "{answer:?}");
    assert_eq!(answer.json()["result"]["content"][0]["text"], "done");
}

#[track_caller]
fn cut_and_resumed(revision: &str) {
    let gate = Gate::default();
    let stub = counting(&gate);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = of_revision(&gateway, revision);
    let mut events = client.open_stream(&count(5));
    let mut last = Event::default();
    for number in 1..=2 {
        last = next_full(&mut events);
        assert_eq!(last.json(), note(number), "{revision}");
        gate.open();
    }
    events.close();
    // Two more are sent while nobody listens, the last one after the client is back.
    gate.open();
    gate.open();
    let mut events = client
        .listen_after(Some(&last.id))
        .unwrap_or_else(|answer| panic!("{revision}: {answer:?}"));
    assert_eq!(next_full(&mut events).json(), note(3), "{revision}");
    gate.open();
    let found = rest(&mut events);
    assert_eq!(found.len(), 3, "{revision}: {found:?}");
    assert_eq!((&found[0], &found[1]), (&note(4), &note(5)), "{revision}");
    assert_eq!(found[2]["id"], 77, "{revision}: {found:?}");
    assert_eq!(found[2]["result"]["content"][0]["text"], "counted", "{revision}: {found:?}");
    assert_eq!(stub.of_method("tools/call").len(), 1, "{revision}");
    assert!(
        stub.of_method("notifications/cancelled").is_empty(),
        "{revision}: a lost stream is no cancellation"
    );
    let rows = gateway.finish();
    let calls: Vec<_> = rows.iter().filter(|row| row.text("tool") == "count").collect();
    assert_eq!(calls.len(), 1, "{revision}: {calls:#?}");
    assert_eq!(
        (calls[0].text("decision"), calls[0].text("error_kind")),
        ("allow", ""),
        "{revision}: {calls:#?}"
    );
}

#[test]
fn a_call_cut_in_the_middle_is_resumed() {
    for revision in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        cut_and_resumed(revision);
    }
}

#[test]
fn a_call_resumed_twice_from_the_same_place_tells_the_same() {
    let gate = Gate::default();
    let stub = counting(&gate);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = of_revision(&gateway, "2025-11-25");
    let mut events = client.open_stream(&count(2));
    let first = next_full(&mut events);
    gate.open();
    gate.open();
    rest(&mut events);
    let told: Vec<_> =
        (0..2).map(|_| rest(&mut client.listen_after(Some(&first.id)).unwrap())).collect();
    assert_eq!(told[0].len(), 2, "{told:?}");
    assert_eq!(told[0], told[1]);
}

#[test]
fn a_call_is_resumed_from_its_primer() {
    let gate = Gate::default();
    let stub = counting(&gate);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = of_revision(&gateway, "2025-11-25");
    let mut events = client.open_stream(&count(1));
    let primer = next(&mut events);
    events.close();
    gate.open();
    let found = rest(&mut client.listen_after(Some(&primer.id)).unwrap());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], note(1));
    assert_eq!(found[1]["id"], 77);
}

#[test]
fn a_slow_answer_that_is_one_document_survives_the_loss_of_its_stream() {
    let gate = Gate::default();
    let stub = Stub::legacy({
        let gate = gate.clone();
        move |exchange| {
            if exchange.tool() == "slow" {
                exchange.event(&note(1));
                gate.wait();
                exchange.text(&"x".repeat(300_000));
            }
            exchange.tool() == "slow"
        }
    });
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = of_revision(&gateway, "2025-11-25");
    let mut events = client.open_stream(&json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "slow", "arguments": {} } }));
    let first = next_full(&mut events);
    events.close();
    gate.open();
    let found = rest(&mut client.listen_after(Some(&first.id)).unwrap());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["result"]["content"][0]["text"].as_str().unwrap().len(), 300_000);
}

#[test]
fn the_stream_of_the_session_is_resumed() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr));
    for revision in ["2025-11-25", "2025-06-18"] {
        stub.forget();
        let client = of_revision(&gateway, revision);
        let mut events = client.listen();
        until("the gateway listens", || stub.streams() == 1);
        stub.push(&note(1));
        let first = next_full(&mut events);
        assert_eq!(first.json(), note(1), "{revision}");
        assert!(!first.id.is_empty(), "{revision}: {first:?}");
        events.close();
        stub.push(&note(2));
        stub.push(&note(3));
        let mut events = client
            .listen_after(Some(&first.id))
            .unwrap_or_else(|answer| panic!("{revision}: {answer:?}"));
        for number in 2..=3 {
            assert_eq!(next_full(&mut events).json(), note(number), "{revision}");
        }
        stub.push(&note(4));
        assert_eq!(next_full(&mut events).json(), note(4), "{revision}: and goes on");
    }
}

#[test]
fn what_was_heard_on_one_stream_is_not_repeated_on_another() {
    let gate = Gate::default();
    let stub = counting(&gate);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = of_revision(&gateway, "2025-11-25");
    let mut listening = client.listen();
    until("the gateway listens", || stub.streams() == 1);
    stub.push(&note(100));
    let heard = next_full(&mut listening);
    let mut events = client.open_stream(&count(2));
    let first = next_full(&mut events);
    gate.open();
    listening.close();
    stub.push(&note(101));
    let mut listening = client.listen_after(Some(&heard.id)).unwrap();
    assert_eq!(next_full(&mut listening).json(), note(101));
    events.close();
    gate.open();
    let found = rest(&mut client.listen_after(Some(&first.id)).unwrap());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], note(2));
}

#[test]
fn an_event_of_another_session_gives_nothing() {
    let gate = Gate::default();
    let stub = counting(&gate);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut ann = of_revision(&gateway, "2025-11-25");
    let eve = of_revision(&gateway, "2025-11-25");
    let mut events = ann.open_stream(&count(3));
    let first = next_full(&mut events);
    (0..3).for_each(|_| gate.open());
    rest(&mut events);
    for id in [
        first.id.as_str(),
        "0-0",
        "1-0",
        "1-1",
        "nonsense",
        "18446744073709551616-1",
        "-1--1",
        "0-18446744073709551615",
        "\u{7f}",
        "1-1-1",
        "1-1\t",
    ] {
        match eve.listen_after(Some(id)) {
            Err(answer) => assert!(matches!(answer.status(), 400 | 404), "{id}: {answer:?}"),
            Ok(mut stream) => {
                // A stream of her own, then: what comes on it is new, and not Ann's.
                until("the gateway listens for both", || stub.streams() == 2);
                stub.push(&note(500));
                assert_eq!(next_full(&mut stream).json(), note(500), "{id}");
                stream.close();
            }
        }
    }
}

#[test]
fn events_beyond_the_bound_are_forgotten_and_the_newest_are_kept() {
    let gate = Gate::default();
    let stub = counting(&gate);
    let gateway = Gateway::start(Config::new(stub.addr).set("session.replay_events", 4));
    let mut client = of_revision(&gateway, "2025-06-18");
    let mut events = client.open_stream(&count(10));
    (0..10).for_each(|_| gate.open());
    let ids: Vec<String> = (0..11).map(|_| next_full(&mut events).id).collect();
    assert_eq!(events.next().unwrap(), None);
    let found = rest(&mut client.listen_after(Some(&ids[8])).unwrap());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], note(10));
    match client.listen_after(Some(&ids[0])) {
        // Nothing is better than a stream with a hole that nobody sees.
        Err(answer) => assert!(matches!(answer.status(), 400 | 404), "{answer:?}"),
        Ok(mut events) => {
            stub.push(&note(900));
            let message = next_full(&mut events).json();
            assert!(
                message == note(900) || message == note(2),
                "a hole that nobody sees: {message}"
            );
        }
    }
}

#[test]
fn a_stream_is_resumed_where_the_server_knows_no_resumption() {
    let gate = Gate::default();
    let stub = Stub::legacy({
        let gate = gate.clone();
        move |exchange| {
            if exchange.tool() == "steps" {
                for step in 1..=2 {
                    let token = &exchange.message["params"]["_meta"]["progressToken"];
                    exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": step } }));
                    gate.wait();
                }
                exchange.text("stepped");
            }
            exchange.tool() == "steps"
        }
    });
    // The outer gateway speaks HTTP+SSE to the inner one, which knows no event ids there.
    let inner = Gateway::start(Config::new(stub.addr));
    let url = format!("http://{}/sse", inner.addr());
    let gateway = Gateway::start(Config::of(json!({ "url": url, "transport": "sse" })));
    let mut client = of_revision(&gateway, "2025-11-25");
    let mut events = client
        .open_stream(&json!({ "jsonrpc": "2.0", "id": 77, "method": "tools/call",
        "params": { "name": "steps", "arguments": {}, "_meta": { "progressToken": "mine" } } }));
    let first = next_full(&mut events);
    assert_eq!(first.json()["params"], json!({ "progressToken": "mine", "progress": 1 }));
    events.close();
    gate.open();
    gate.open();
    let found = rest(&mut client.listen_after(Some(&first.id)).unwrap());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0]["params"], json!({ "progressToken": "mine", "progress": 2 }));
    assert_eq!(found[1]["id"], 77, "{found:?}");
}

#[test]
fn a_client_of_the_old_transport_sees_every_event_once() {
    let gate = Gate::default();
    let stub = counting(&gate);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = LegacyClient::open(gateway.addr(), "/sse");
    client.handshake();
    client.post(&count(3));
    for number in 1..=3 {
        assert_eq!(client.events.next_message(), note(number));
        gate.open();
    }
    assert_eq!(client.events.next_message()["id"], 77);
}

#[test]
fn an_event_id_from_before_the_restart_is_refused_or_begins_anew() {
    let gate = Gate::default();
    let stub = counting(&gate);
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let gateway =
        Gateway::start(Config::new(stub.addr).set("session.key_file", keys.to_str().unwrap()));
    let mut client = of_revision(&gateway, "2025-11-25");
    let mut events = client.open_stream(&count(1));
    let first = next_full(&mut events);
    gate.open();
    rest(&mut events);
    let gateway = gateway.crash_and_restart();
    let mut after = of_revision(&gateway, "2025-11-25");
    let mut events = after.open_stream(&count(1));
    next_full(&mut events);
    gate.open();
    rest(&mut events);
    match client.listen_after(Some(&first.id)) {
        Err(answer) => assert!(matches!(answer.status(), 400 | 404), "{answer:?}"),
        Ok(stream) => stream.close(),
    }
}
