//! WebSocket: who gets one, and what breaks it.

use crate::harness::websocket::opcode;
use crate::harness::{Config, Conn, Gateway, Stub, WsClient, until};
use crate::hostile::{call, start};
use serde_json::json;

#[test]
fn foreign_origins_and_hosts_get_no_websocket() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let protocol = ("Sec-WebSocket-Protocol", "mcp");
    for (extra, wanted) in [
        (vec![protocol, ("Origin", "http://evil.example")], 403),
        (vec![protocol, ("Origin", "null")], 403),
        (vec![protocol, ("Host", "evil.example")], 403),
        (vec![protocol, ("Origin", "http://localhost"), ("Host", "evil.example")], 403),
        (vec![protocol, ("Origin", "http://localhost:7777")], 101),
        (vec![protocol], 101),
        (vec![("Sec-WebSocket-Protocol", "chat, mcp")], 101),
        (vec![("Sec-WebSocket-Protocol", "chat")], 400),
        (vec![], 400),
        (vec![protocol, ("Sec-WebSocket-Version", "12")], 426),
    ] {
        let (_, head) = WsClient::ask(gateway.addr(), "/ws", &extra);
        if wanted == 426 || wanted == 400 {
            assert!((400..500).contains(&head.status()), "{extra:?}: {head:?}");
        } else {
            assert_eq!(head.status(), wanted, "{extra:?}: {head:?}");
        }
    }
    let answer = Conn::open(gateway.addr()).request("GET", "/ws", &[], b"");
    assert!(matches!(answer.status(), 400 | 426), "{}", answer.status());
    let answer = Conn::open(gateway.addr()).request(
        "POST",
        "/ws",
        &[("Content-Type", "application/json")],
        b"{}",
    );
    assert!(matches!(answer.status(), 400 | 404 | 405 | 426), "{}", answer.status());
    assert!(stub.of_method("initialize").is_empty());
}

#[test]
fn broken_frames_end_their_websocket_with_the_code_of_the_specification() {
    let stub = Stub::legacy(|_| false);
    let gateway =
        Gateway::start(Config::new(stub.addr).set("server.limits.max_body_bytes", 100_000));
    let open = || {
        let mut client = WsClient::open(gateway.addr());
        client.handshake();
        client
    };
    let mut healthy = open();
    let mut binary = open();
    binary.frame(opcode::BINARY, true, b"\x00\x01").unwrap();
    assert_eq!(binary.closed(), Some(1003), "binary");
    let mut text = open();
    text.frame(opcode::TEXT, true, b"\xff\xfe{}").unwrap();
    assert_eq!(text.closed(), Some(1007), "no UTF-8");
    let mut long = open();
    long.frame(opcode::TEXT, true, &vec![b' '; 100_001]).unwrap();
    assert_eq!(long.closed(), Some(1009), "over the limit");
    let mut pieces = open();
    pieces.frame(opcode::TEXT, false, &[b' '; 60_000]).unwrap();
    pieces.frame(opcode::CONTINUATION, true, &[b' '; 60_000]).unwrap();
    assert_eq!(pieces.closed(), Some(1009), "over the limit in pieces");
    for (what, bytes) in [
        ("not masked", &b"\x81\x02{}"[..]),
        ("reserved bit", &b"\xc1\x80\x01\x02\x03\x04"[..]),
        ("unknown opcode", &b"\x83\x80\x01\x02\x03\x04"[..]),
        ("continuation of nothing", &b"\x80\x80\x01\x02\x03\x04"[..]),
        ("ping in pieces", &b"\x09\x80\x01\x02\x03\x04"[..]),
    ] {
        let mut broken = open();
        broken.raw(bytes).unwrap();
        assert_eq!(broken.closed(), Some(1002), "{what}");
    }
    let mut ping = open();
    ping.frame(opcode::PING, true, &[b'x'; 126]).unwrap();
    assert_eq!(ping.closed(), Some(1002), "ping too long");
    let mut huge = open();
    huge.raw(b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04").unwrap();
    assert!(matches!(huge.closed(), Some(1002 | 1009)), "a frame of 2^63 bytes");
    assert_eq!(
        healthy.call("echo", json!({ "message": "alive" }))["result"]["content"][0]["text"],
        "alive"
    );
    until("the sessions of the broken ones have ended", || stub.sessions() == 1);
}

#[test]
fn an_orderly_close_is_answered_and_ends_the_session() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = WsClient::open(gateway.addr());
    client.handshake();
    client.frame(opcode::PING, true, b"are you there").unwrap();
    let pong = client.next_frame().unwrap();
    assert_eq!((pong.opcode, pong.payload), (opcode::PONG, b"are you there".to_vec()));
    client.frame(opcode::CLOSE, true, &1000_u16.to_be_bytes()).unwrap();
    assert_eq!(client.closed(), Some(1000));
    until("the session has ended at the server", || stub.sessions() == 0);
    let mut other = WsClient::open(gateway.addr());
    other.handshake();
    let finished = gateway.stop();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(matches!(other.closed(), Some(1001 | 1012)), "going away");
}

#[test]
fn messages_in_pieces_are_put_together() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = WsClient::open(gateway.addr());
    client.handshake();
    let text = call(50, "echo").to_string();
    let (one, two) = text.as_bytes().split_at(20);
    client.frame(opcode::TEXT, false, one).unwrap();
    client.frame(opcode::PING, true, b"between").unwrap();
    client.frame(opcode::CONTINUATION, true, two).unwrap();
    let pong = client.next_frame().unwrap();
    assert_eq!(pong.opcode, opcode::PONG);
    assert_eq!(client.hear()["id"], 50);
}

#[test]
fn bad_messages_over_a_websocket_cost_one_error_and_one_row() {
    let stub = Stub::legacy(|_| false);
    let gateway = start(&stub);
    let mut client = WsClient::open(gateway.addr());
    client.handshake();
    let bad = [
        ("{broken", -32700),
        ("", -32700),
        ("7", -32600),
        ("[]", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]}"#, -32602),
    ];
    for (text, code) in bad {
        client.frame(opcode::TEXT, true, text.as_bytes()).unwrap();
        let answer = client.hear();
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
    }
    assert_eq!(
        client.call("echo", json!({ "message": "alive" }))["result"]["content"][0]["text"],
        "alive"
    );
    assert_eq!(stub.of_method("tools/call").len(), 1);
    let rows = gateway.finish();
    let refused = rows.iter().filter(|row| row.text("decision") == "error").count();
    assert_eq!(refused, bad.len(), "{rows:#?}");
}
