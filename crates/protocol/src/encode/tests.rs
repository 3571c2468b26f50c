use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn quoted(value: &str) -> String {
    let mut out = String::new();
    string(&mut out, value);
    out
}

#[test]
fn strings_escape_what_json_and_terminals_take_for_control() {
    #[track_caller]
    fn check(value: &str, want: &str) {
        assert_eq!(quoted(value), want);
    }
    check("", r#""""#);
    check("a\"b\\c/", r#""a\"b\\c/""#);
    check("\n\r\t\u{8}\u{c}\0", r#""\n\r\t\u0008\u000c\u0000""#);
    check("\u{1b}[31m\u{7f}\u{9b}", r#""\u001b[31m\u007f\u009b""#);
    check("\u{2028}\u{2029}", r#""\u2028\u2029""#);
    check("Zoë 😀", r#""Zoë 😀""#);
}

#[test]
fn replies_are_the_json_they_should_be() {
    #[track_caller]
    fn check(bytes: &[u8], want: Value) {
        assert_eq!(serde_json::from_slice::<Value>(bytes).unwrap(), want);
    }
    check(
        &error_reply(Some(r#""a""#), -32600, "no `method`\n", Some(r#"{"kind":"x"}"#)),
        json!({"jsonrpc": "2.0", "id": "a",
            "error": {"code": -32600, "message": "no `method`\n", "data": {"kind": "x"}}}),
    );
    check(
        &error_reply(None, -32700, "bad", None),
        json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "bad"}}),
    );
    check(&result_reply("7", "{}"), json!({"jsonrpc": "2.0", "id": 7, "result": {}}));
    check(&request("1", "ping", None), json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    check(
        &notification("notifications/cancelled", Some(r#"{"requestId":3}"#)),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}}),
    );
}

#[test]
fn what_is_encoded_parses_strictly() {
    for bytes in [
        error_reply(Some("1"), -31001, "denied", Some("[]")),
        error_reply(None, -32700, "bad", None),
        result_reply("1", "{}"),
        request("1", "tools/list", Some("{}")),
        notification("notifications/initialized", None),
    ] {
        assert!(crate::Message::parse(bytes.clone()).is_ok(), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn strings_read_back_as_they_were(value in any::<String>()) {
        prop_assert_eq!(serde_json::from_str::<String>(&quoted(&value)).unwrap(), value);
    }
}
