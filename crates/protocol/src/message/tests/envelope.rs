//! What is refused, as what, under which id.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::ParseErrorKind;

#[track_caller]
fn check(body: &str, kind: ParseErrorKind, id: Option<&str>, want: &str) {
    let error = parse(body).expect_err(body);
    assert_eq!(error.kind, kind, "{body}: {error}");
    assert_eq!(error.id.as_ref().map(RequestId::as_raw), id, "{body}: {error}");
    assert!(error.to_string().contains(want), "{body}: {error}");
}

#[test]
fn bodies_that_are_not_one_object() {
    check("", Syntax, None, "the text ends where a value should be at byte 0");
    check("{", Syntax, None, "the text ends");
    check("abc", Syntax, None, "found `a`");
    check("[1,", Syntax, None, "the text ends");
    check("\u{feff}{}", Syntax, None, "found `\\u{feff}`");
    for body in ["1", "\"x\"", "null", " true "] {
        check(body, InvalidRequest, None, "message is not an object at byte");
    }
    for body in ["[]", "[1]", r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#] {
        check(body, InvalidRequest, None, "batches belong to sessions of 2025-03-26");
    }
    check(&"[".repeat(100_000), Syntax, None, "nested deeper than 128");
    check(&r#"{"":["#.repeat(50_000), Syntax, None, "nested deeper than 128");
}

#[test]
fn bytes_that_are_not_utf_8() {
    #[track_caller]
    fn check(bytes: &[u8], offset: usize) {
        let error = parse(bytes).unwrap_err();
        assert_eq!(error.to_string(), format!("body is not UTF-8 at byte {offset}"));
        assert_eq!((error.kind, error.id), (Syntax, None));
    }
    check(b"\xff\xfe{\0}\0", 0);
    check(b"{\"a\":\"\x81\"}", 6);
    check(b"{\"a\":\"\xc0\xaf\"}", 6);
    check(b"{\"a\":\"\xed\xa0\x80\"}", 6);
    check(b"{\"a\":\"\xe0\xff\"}", 6);
    check(b"{\"a\":\"\xf4\x90\x80\x80\"}", 6);
    check(b"{\"a\":\"\xfc\x83\xbf\xbf\xbf\xbf\"}", 6);
}

#[test]
fn the_version_of_json_rpc() {
    check(r#"{"id":1,"method":"x"}"#, InvalidRequest, Some("1"), "`jsonrpc` is missing");
    for version in ["2.0", "2", "\"1.0\"", "\"2.0 \"", "\"\"", "null", "[\"2.0\"]"] {
        let body = format!(r#"{{"jsonrpc":{version},"id":1,"method":"x"}}"#);
        check(&body, InvalidRequest, Some("1"), "`jsonrpc` must be \"2.0\" at byte 11");
    }
}

#[test]
fn ids_of_other_types() {
    let too_long = format!("\"{}\"", "x".repeat(257));
    for id in [
        "1.5",
        "1.0",
        "1e2",
        "1e400",
        "-0",
        "18446744073709551616",
        "-9223372036854775809",
        "{}",
        "[]",
        "[1]",
        "true",
        &too_long,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#);
        check(&body, InvalidRequest, None, "`id` must be a string");
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":1,"message":""}}}}"#);
        check(&body, InvalidRequest, None, "`id` must be a string");
    }
    check(r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, InvalidRequest, None, "request is null");
    let longest = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"x"}}"#, "x".repeat(256));
    assert!(parse(longest).is_ok());
}

#[test]
fn method_names() {
    let too_long = format!("\"{}\"", "x".repeat(257));
    for method in [
        "\"\"",
        "1",
        "null",
        "[\"ping\"]",
        "\"tools/call \"",
        "\"tools\\u0000\"",
        "\"a\\nb\"",
        "\"tооls\"",
        "\"a b\"",
        "\"a%2fb\"",
        &too_long,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method}}}"#);
        check(&body, InvalidRequest, Some("1"), "`method` must be");
    }
    let escaped = parse(r#"{"jsonrpc":"2.0","id":1,"method":"tools\/list"}"#).unwrap();
    assert_eq!(
        (escaped.method(), &*escaped.method_name()),
        (Some(Method::ToolsList), "tools/list")
    );
    let longest = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "x".repeat(256));
    assert!(parse(longest).is_ok());
}

#[test]
fn shapes_that_are_none_or_two_of_the_four() {
    let error = r#""error":{"code":1,"message":""}"#;
    let wrap = |members: &str| format!(r#"{{"jsonrpc":"2.0",{members}}}"#);
    check(&wrap(r#""id":1"#), InvalidRequest, Some("1"), "none of `method`");
    check(&wrap(r#""params":{}"#), InvalidRequest, None, "none of `method`");
    check(&wrap(r#""id":1,"method":"x","result":1"#), InvalidRequest, Some("1"), "together");
    check(&wrap(&format!(r#""id":1,"method":"x",{error}"#)), InvalidRequest, Some("1"), "together");
    check(&wrap(&format!(r#""id":1,"result":1,{error}"#)), InvalidRequest, Some("1"), "both");
    check(&wrap(r#""result":1"#), InvalidRequest, None, "response has no `id`");
    check(&wrap(r#""id":null,"result":1"#), InvalidRequest, None, "response has no `id`");
    for error in [
        "null",
        "\"x\"",
        "[]",
        "{}",
        r#"{"code":1}"#,
        r#"{"message":""}"#,
        r#"{"code":"1","message":""}"#,
        r#"{"code":1.5,"message":""}"#,
        r#"{"code":1,"message":null}"#,
    ] {
        let body = wrap(&format!(r#""id":1,"error":{error}"#));
        check(&body, InvalidRequest, Some("1"), "`error` must be an object");
    }
}

#[test]
fn duplicate_keys_at_any_depth() {
    let wrap = |members: &str| format!(r#"{{"jsonrpc":"2.0","id":1,{members}}}"#);
    for body in [
        wrap(r#""method":"a","method":"b""#),
        wrap(r#""method":"a","meth\u006fd":"b""#),
        wrap(r#""method":"a","params":{},"params":{}"#),
        wrap(r#""method":"tools/call","params":{"name":"a","name":"b"}"#),
        wrap(r#""method":"tools/call","params":{"name":"a","n\u0061me":"b"}"#),
        wrap(r#""method":"tools/call","params":{"name":"a","arguments":{"x":{"y":1,"y":2}}}"#),
        wrap(r#""method":"a","params":{"_meta":{"a":1,"a":2}}"#),
        wrap(r#""method":"a","x":[{"a":1,"a":2}]"#),
        wrap(r#""result":{"a":{"b":1,"b":2}}"#),
        wrap(r#""result":{"tools":1,"tools":2}"#),
        wrap(r#""error":{"code":1,"message":"","code":2}"#),
    ] {
        check(&body, InvalidRequest, Some("1"), "duplicate key `");
    }
    // Which of two ids would be answered?
    check(
        r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"x"}"#,
        InvalidRequest,
        None,
        "duplicate key `id`",
    );
}

#[test]
fn methods_that_differ_from_known_ones_only_in_case() {
    for method in ["Tools/Call", "tools/calL", "PING", "Notifications/Initialized"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#);
        check(&body, InvalidRequest, Some("1"), "only in case at byte 33");
    }
}

#[test]
fn keys_that_differ_from_protocol_keys_only_in_case() {
    for key in ["ID", "Method", "PARAMS", "JsonRpc", "param\u{17f}", "\\u0049d", "Result", "eRROR"]
    {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","{key}":1}}"#);
        check(&body, InvalidRequest, Some("1"), "only in case at byte 37");
    }
    for key in [
        "Name",
        "URI",
        "Arguments",
        "_META",
        "argument\u{17f}",
        "ta\u{17f}\u{212a}",
        "progresstoken",
        "RequestId",
        "Cursor",
        "protocolversion",
        "InputResponses",
        "requeststate",
        "TaskId",
        "n\\u0041me",
    ] {
        let body = format!(r#"{{"id":1,"params":{{"{key}":1}},"jsonrpc":"2.0","method":"x"}}"#);
        check(&body, InvalidRequest, Some("1"), "only in case at byte 18");
    }
    let meta = r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"ProgressToken":1}}}"#;
    check(meta, InvalidRequest, Some("1"), "`ProgressToken` differs from `progressToken`");
    for key in ["io.modelcontextprotocol/ProtocolVersion", "IO.modelcontextprotocol/logLevel"] {
        let meta = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{{"{key}":1}}}}}}"#
        );
        check(&meta, InvalidRequest, Some("1"), "differs from `io.modelcontextprotocol/");
    }
    for key in ["ResultType", "inputrequests", "REQUESTSTATE"] {
        let result = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"{key}":1}}}}"#);
        check(&result, InvalidRequest, Some("1"), "only in case");
    }
    // What is decided one by one of what a message carries.
    let listen = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"ResourceSubscriptions":["file:///secret"]}}}"#;
    check(listen, InvalidRequest, Some("1"), "differs from `resourceSubscriptions`");
    for question in [
        r#"{"method":"roots/list","Method":"sampling/createMessage"}"#,
        r#"{"method":"elicitation/create","Params":{}}"#,
        r#"{"method":"elicitation/create","params":{"message":"","Message":""}}"#,
    ] {
        let result = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"inputRequests":{{"a":{question}}}}}}}"#
        );
        check(&result, InvalidRequest, Some("1"), "only in case");
    }
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","Code":2}}"#;
    check(error, InvalidRequest, Some("1"), "`Code` differs from `code`");
    // Elsewhere, case is the user's own affair.
    let free = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"Name":1,"NAME":2},"_meta":{"Name":1}}}"#;
    assert!(parse(free).is_ok());
}

#[test]
fn params_that_do_not_fit() {
    #[track_caller]
    fn refused(method: &str, params: &str, want: &str) {
        let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params},"id":"a"}}"#);
        check(&body, InvalidParams, Some("\"a\""), want);
    }
    for params in ["[]", "[1]", "\"x\"", "null", "1", "true"] {
        refused("x", params, "`params` must be an object at byte");
    }
    for method in ["tools/call", "prompts/get"] {
        for params in ["{}", r#"{"name":1}"#, r#"{"name":""}"#, r#"{"name":null}"#] {
            refused(method, params, "`params.name` must be a string that is not empty");
        }
        for arguments in ["null", "[]", "\"{}\"", "1"] {
            let params = format!(r#"{{"name":"t","arguments":{arguments}}}"#);
            refused(method, &params, "`params.arguments` must be an object at byte");
        }
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        check(&body, InvalidParams, Some("1"), "`params.name`");
        assert!(request(method, r#"{"name":"t"}"#).is_ok());
    }
    for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
        for params in ["{}", r#"{"uri":1}"#, r#"{"uri":""}"#, r#"{"name":"x"}"#] {
            refused(method, params, "`params.uri` must be a string that is not empty");
        }
        assert!(request(method, r#"{"uri":"u"}"#).is_ok());
    }
    for method in ["tasks/get", "tasks/result", "tasks/cancel", "tasks/update"] {
        for params in ["{}", r#"{"taskId":1}"#, r#"{"taskId":""}"#] {
            refused(method, params, "`params.taskId` must be a string that is not empty");
        }
    }
    for filter in ["[]", "null", "true"] {
        let params = format!(r#"{{"notifications":{filter}}}"#);
        refused("subscriptions/listen", &params, "`params.notifications` must be an object");
    }
    for token in ["{}", "[1]", "null", "1.5", "true"] {
        let meta = format!(r#"{{"_meta":{{"progressToken":{token}}}}}"#);
        refused("x", &meta, "`params._meta.progressToken` must be");
        let progress = format!(r#"{{"progressToken":{token}}}"#);
        refused("notifications/progress", &progress, "`params.progressToken` must be");
        let cancelled = format!(r#"{{"requestId":{token}}}"#);
        refused("notifications/cancelled", &cancelled, "`params.requestId` must be");
    }
    for meta in ["null", "[]", "1"] {
        refused("x", &format!(r#"{{"_meta":{meta}}}"#), "`params._meta` must be an object");
    }
    // What these members are elsewhere is the method's own affair.
    assert!(request("x", r#"{"name":{},"uri":1,"arguments":[],"requestId":{}}"#).is_ok());
}

#[test]
fn the_id_is_found_behind_the_fault() {
    let behind = r#"{"params":{"Name":1},"method":"tools/call","jsonrpc":"1.0","id":5}"#;
    check(behind, InvalidRequest, Some("5"), "`Name`");
    check(r#"{"id":5,"jsonrpc":"2.0","method":"x",}"#, Syntax, Some("5"), "found `}`");
    check(r#"{"jsonrpc":"2.0","method":"x",,"id":5}"#, Syntax, None, "found `,`");
    check(r#"{"id":5,"params":{"a":1,"a":2}"#, Syntax, Some("5"), "the text ends");
    check(r#"{"id":5,"jsonrpc":"2.0","method":"x"} {}"#, Syntax, Some("5"), "text after the end");
}

#[test]
fn user_input_in_errors_is_clipped() {
    let key = "k".repeat(1000);
    let error = request("x", &format!(r#"{{"{key}":1,"{key}":2}}"#)).unwrap_err();
    assert_eq!(error.to_string().matches('k').count(), 64 + "key".matches('k').count());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let json = serde_json::from_slice::<Value>(&bytes).is_ok();
        if let Err(error) = parse(&bytes) {
            prop_assert_eq!(error.kind == Syntax, !json);
        }
    }

    #[test]
    fn pieces_of_messages_never_panic_and_what_is_accepted_is_consistent(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"jsonrpc\":\"2.0\"", "\"id\":1", "\"method\":\"tools/call\"",
            "\"params\":{\"name\":\"t\"}", "\"result\":{}", "\"error\":{\"code\":1,\"message\":\"\"}", "\"x\":[]",
            "\"id\":null", "\"ID\":2", " ", "\"", "\\", "1",
        ]), 0..12),
        object in any::<bool>(),
    ) {
        let body = if object { format!("{{{}}}", pieces.join(",")) } else { pieces.concat() };
        if let Ok(message) = parse(&body) {
            let value: Value = serde_json::from_str(&body).unwrap();
            let raw = |text: Option<&str>| text.map(|text| serde_json::from_str::<Value>(text).unwrap());
            for (part, member) in [
                (message.id(), "id"),
                (message.params(), "params"),
                (message.result(), "result"),
                (message.error(), "error"),
            ] {
                let member = value.get(member).filter(|value| !value.is_null()).cloned();
                prop_assert_eq!(raw(part), member);
            }
        }
    }

    #[test]
    fn parts_mean_what_a_tree_says(
        name in "\\PC{1,12}",
        uri in any::<String>(),
        key in any::<String>(),
        number in any::<i64>(),
        ascii in any::<bool>(),
    ) {
        let quote = |text: &str| if ascii { escape_all(text) } else { serde_json::to_string(text).unwrap() };
        let arguments = format!(r#"{{{}:[{number}, {}]}}"#, quote(&key), quote(&uri));
        let params = format!(r#"{{"name":{},"uri":{},"arguments":{arguments}}}"#, quote(&name), quote(&uri));
        let message = request("tools/call", &params).unwrap();
        prop_assert_eq!(message.name().unwrap(), name);
        prop_assert_eq!(message.uri().unwrap(), uri);
        prop_assert_eq!(message.arguments().unwrap(), arguments);
    }
}

/// A JSON string in which every character is `\uXXXX`.
fn escape_all(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}
