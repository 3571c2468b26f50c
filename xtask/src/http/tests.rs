use serde_json::json;

use super::parse;

#[track_caller]
fn check(answer: &str, status: u16, message: serde_json::Value) {
    let reply = parse(answer.as_bytes()).unwrap();
    assert_eq!(reply.status, status);
    assert_eq!(reply.message().unwrap(), message);
}

#[test]
fn answers_are_read() {
    check("HTTP/1.1 400 Bad\r\ncontent-length: 7\r\n\r\n{\"a\":1}", 400, json!({"a": 1}));
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
        200,
        json!({"a": 1}),
    );
    check(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\"a\":0}\n\nid: 1\ndata: {\"a\":1}\n\n",
        200,
        json!({"a": 1}),
    );
}

#[test]
fn a_closed_connection_is_an_error() {
    for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 x\r\n\r\n"] {
        assert!(parse(answer.as_bytes()).is_err(), "{answer:?}");
    }
    let cut = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{";
    assert!(parse(cut.as_bytes()).is_err());
}
