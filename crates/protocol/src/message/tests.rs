mod envelope;
mod era;
mod rewrite;

use bytes::Bytes;

use super::*;
use crate::ParseErrorKind::{InvalidParams, InvalidRequest, Syntax};

fn parse(body: impl AsRef<[u8]>) -> Result<Message, ParseError> {
    Message::parse(Bytes::copy_from_slice(body.as_ref()))
}

/// A request with id 7 and these `params`.
fn request(method: &str, params: &str) -> Result<Message, ParseError> {
    parse(format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#))
}

#[test]
fn a_tools_call_has_its_parts() {
    let params = r#"{"name":"read\u005ffile","arguments":{"path":"/a", "n":1.0},"_meta":{"progressToken":"t","x":{}}}"#;
    let message = request("tools/call", params).unwrap();
    assert_eq!((message.kind(), message.method()), (Kind::Request, Some(Method::ToolsCall)));
    assert_eq!(message.method_name(), "tools/call");
    assert_eq!(message.id(), Some("7"));
    assert_eq!(message.request_id(), Some(RequestId::from_token("7")));
    assert_eq!(message.params(), Some(params));
    assert_eq!(message.name().as_deref(), Some("read_file"));
    assert_eq!(message.arguments(), Some(r#"{"path":"/a", "n":1.0}"#));
    assert_eq!(message.progress_token(), Some(r#""t""#));
    assert_eq!((message.uri(), message.result(), message.error()), (None, None, None));
    assert_eq!((message.cancelled_id(), message.protocol_version()), (None, None));
}

#[test]
fn members_are_found_in_any_order_and_unknown_ones_are_kept() {
    let body = r#" { "x":[{}], "params" : { "uri":"file:\/\/a", "y":null } , "method":"resources/read",
        "id" : "a" , "jsonrpc":"2.0" } "#;
    let message = parse(body).unwrap();
    assert_eq!(message.method(), Some(Method::ResourcesRead));
    assert_eq!(message.uri().as_deref(), Some("file://a"));
    assert_eq!(message.id(), Some(r#""a""#));
    assert_eq!(message.bytes(), body.as_bytes());
}

#[test]
fn initialize_tells_who_offers_what() {
    let params = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c"}}"#;
    let message = request("initialize", params).unwrap();
    assert_eq!(message.protocol_version().as_deref(), Some("2025-06-18"));
    assert_eq!(message.client_info(), Some(r#"{"name":"c"}"#));
    let other = request("x/y", params).unwrap();
    assert_eq!((other.protocol_version(), other.client_info()), (None, None));
    assert_eq!(other.method(), Some(Method::Other));
    assert_eq!(other.method_name(), "x/y");
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"x":{},"protocolVersion":"2025-03-26"}}"#;
    assert_eq!(parse(answer).unwrap().protocol_version().as_deref(), Some("2025-03-26"));
}

#[test]
fn notifications_carry_the_ids_they_speak_of() {
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":5,"progress":0.5}}"#;
    let message = parse(progress).unwrap();
    assert_eq!((message.kind(), message.id()), (Kind::Notification, None));
    assert_eq!((message.method(), message.progress_token()), (Some(Method::Progress), Some("5")));
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a","reason":"r"}}"#;
    let message = parse(cancelled).unwrap();
    assert_eq!(message.cancelled_id(), Some(r#""a""#));
    // Elsewhere these members mean nothing.
    let message = request("x", r#"{"progressToken":5,"requestId":"a"}"#).unwrap();
    assert_eq!((message.progress_token(), message.cancelled_id()), (None, None));
}

#[test]
fn responses_have_a_result_or_an_error() {
    let message = parse(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#).unwrap();
    assert_eq!((message.kind(), message.method()), (Kind::Response, None));
    assert_eq!((&*message.method_name(), message.result()), ("", Some(r#"{"content":[]}"#)));
    let error = r#"{"code":-32601,"message":"no","data":null}"#;
    let message = parse(format!(r#"{{"jsonrpc":"2.0","id":"a","error":{error}}}"#)).unwrap();
    assert_eq!((message.kind(), message.id()), (Kind::Error, Some(r#""a""#)));
    assert_eq!((message.error(), message.result()), (Some(error), None));
    for id in [r#""id":null,"#, ""] {
        let message = parse(format!(r#"{{"jsonrpc":"2.0",{id}"error":{error}}}"#)).unwrap();
        assert_eq!((message.kind(), message.id()), (Kind::Error, None));
    }
}

#[test]
fn ids_are_kept_to_the_digit() {
    for id in [
        "0",
        "7",
        "-1",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        r#""""#,
        r#""a b""#,
        r#""\u0061""#,
        r#""9007199254740993""#,
    ] {
        let message = parse(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).unwrap();
        assert_eq!((message.id(), message.kind()), (Some(id), Kind::Request));
        assert_eq!(message.request_id().unwrap().as_raw(), id);
    }
}

#[test]
fn numbers_in_arguments_keep_their_spelling() {
    let arguments = r#"{"a":1e999,"b":100000000000000000000,"c":-0.0,"d":1.10}"#;
    let params = format!(r#"{{"name":"t","arguments":{arguments}}}"#);
    assert_eq!(request("tools/call", &params).unwrap().arguments(), Some(arguments));
}

#[test]
fn depth_counts_the_envelope() {
    let nested = |depth: usize| {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        request("tools/call", &format!(r#"{{"name":"t","arguments":{{"x":{value}}}}}"#))
    };
    assert!(nested(125).is_ok());
    let error = nested(126).unwrap_err();
    assert_eq!((error.kind, error.id), (Syntax, Some(RequestId::from_token("7"))));
}

#[test]
fn plain_names_are_borrowed_from_the_message() {
    let message = request("tools/call", r#"{"name":"t"}"#).unwrap();
    assert!(matches!(message.name(), Some(Cow::Borrowed("t"))));
    assert!(matches!(message.method_name(), Cow::Borrowed("tools/call")));
}
