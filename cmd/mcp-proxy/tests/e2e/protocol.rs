//! JSON-RPC as it comes in: what is refused, with which code, and what is kept.

use serde_json::{Value, json};

use crate::harness::gateway::error_of;
use crate::harness::{Config, Gateway, Kind, Upstream};

/// A call of `echo` whose id is written as given.
fn call_with_id(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"m"}}}}}}"#
    )
}

#[test]
fn ids_are_kept_to_the_digit_or_refused() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    for id in [
        "9007199254740993",
        "-9007199254740993",
        "0",
        "\"a\"",
        "\"\"",
        "\"9007199254740993\"",
        "\"\u{e9}\\n\"",
        "9223372036854775807",
    ] {
        let answer = client.post_raw(call_with_id(id).as_bytes());
        let text = answer.text();
        assert!(answer.json()["result"].is_object(), "{id}: {text}");
        let kept: Value = serde_json::from_str(id).unwrap();
        assert_eq!(answer.json()["id"], kept, "{id}: {text}");
        if !id.starts_with('"') {
            assert!(text.contains(&format!("\"id\":{id}")), "{id}: {text}");
        }
    }
    let before = upstream.calls().len();
    for id in ["null", "{}", "{\"a\":1}", "[]", "[1]", "true", "false"] {
        let answer = client.post_raw(call_with_id(id).as_bytes());
        let body = answer.json();
        assert_eq!(body["error"]["code"], -32600, "{id}: {body}");
        assert_eq!(body.get("id"), Some(&Value::Null), "{id}: {body}");
    }
    assert_eq!(upstream.calls().len(), before, "a request with a bad id was forwarded");
    let denied = client.post_raw(
        br#"{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"delete_file"}}"#,
    );
    assert!(
        denied.text().contains("\"id\":9007199254740993"),
        "an error answer keeps the id: {}",
        denied.text()
    );
    assert_eq!(client.call_text("echo", json!({ "message": "alive" })), "alive");
}

/// Name, text, and the codes that are right.
type Malformed<'a> = (&'a str, &'a [u8], &'a [i64]);

const MALFORMED: &[Malformed<'_>] = &[
        ("not JSON", b"hello", &[-32700]),
        ("nothing", b"", &[-32700, -32600]),
        ("half", br#"{"jsonrpc":"2.0","id":1,"method":"ping""#, &[-32700]),
        ("two", br#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}"#, &[-32700]),
        ("trailing comma", br#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, &[-32700]),
        ("comment", br#"{"jsonrpc":"2.0","id":1,"method":"ping"/*x*/}"#, &[-32700]),
        ("byte order mark", b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", &[-32700]),
        ("invalid UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"message\":\"\xff\"}}}", &[-32700, -32600]),
        ("overlong UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"\xc0\xaf\"}}", &[-32700, -32600]),
        ("UTF-16", b"\xff\xfe{\0}\0", &[-32700]),
        ("lone surrogate", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"\ud800"}}}"#, &[-32700, -32600]),
        ("duplicate method", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"delete_file"}}"#, &[-32600, -32700]),
        ("duplicate id", br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, &[-32600, -32700]),
        ("duplicate name", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"delete_file"}}"#, &[-32600, -32700]),
        ("duplicate name, escaped", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"delete_file"}}"#, &[-32600, -32700]),
        ("duplicate argument", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"path":"/tmp","path":"/etc"}}}"#, &[-32600, -32700]),
        ("case variant Method", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"name":"delete_file"}}"#, &[-32600]),
        ("case variant Name", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"delete_file"}}"#, &[-32600]),
        ("case variant Params", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"PARAMS":{"name":"delete_file"}}"#, &[-32600]),
        ("no jsonrpc", br#"{"id":1,"method":"ping"}"#, &[-32600]),
        ("jsonrpc 1.0", br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, &[-32600]),
        ("jsonrpc a number", br#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, &[-32600]),
        ("a string", br#""ping""#, &[-32600]),
        ("a number", b"1", &[-32600]),
        ("null", b"null", &[-32600]),
        ("method a number", br#"{"jsonrpc":"2.0","id":1,"method":5}"#, &[-32600]),
        ("result and error", br#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"m"}}"#, &[-32600]),
        ("method and result", br#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, &[-32600]),
        ("params a string", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"x"}"#, &[-32602, -32600]),
        ("no tool name", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#, &[-32602]),
        ("tool name a number", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}"#, &[-32602]),
        ("no uri", br#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{}}"#, &[-32602]),
        ("an empty batch", b"[]", &[-32600]),
        ("a batch", br#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#, &[-32600]),
    ];

/// Each text is refused, nothing of it is forwarded, and it leaves one row.
#[test]
fn malformed_messages_are_refused_before_anything_else() {
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{}1{}}}}}"#,
        r#"{"a":"#.repeat(50_000),
        "}".repeat(50_000)
    );
    let arrays = "[".repeat(100_000);
    let long = call_with_id(&format!("\"{}\"", "i".repeat(1_000_000)));
    let mut cases = MALFORMED.to_vec();
    cases.extend_from_slice(&[
        ("deep objects", deep.as_bytes(), &[-32700, -32600]),
        ("deep arrays", arrays.as_bytes(), &[-32700, -32600]),
        ("id of a megabyte", long.as_bytes(), &[-32600]),
    ]);
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    upstream.wait_for("the handshake is over", |message| {
        message["method"] == "notifications/initialized"
    });
    let before = upstream.messages().len();
    let mut failures = Vec::new();
    for (name, body, codes) in &cases {
        let answer = client.post_raw(body);
        let found: Value =
            serde_json::from_slice(&answer.body).unwrap_or_else(|_| json!(answer.text()));
        if !codes.contains(&found["error"]["code"].as_i64().unwrap_or_default()) {
            failures.push(format!("{name}: wanted {codes:?}, got {} {found}", answer.status()));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(
        upstream.messages().len(),
        before,
        "forwarded: {:?}",
        &upstream.messages()[before..]
    );
    assert_eq!(client.call_text("echo", json!({ "message": "alive" })), "alive");
    let rows = gateway.finish();
    assert_eq!(rows.len(), 3 + cases.len(), "each refused message leaves one row: {rows:#?}");
}

#[test]
fn nesting_up_to_a_sane_depth_reaches_policy_and_server() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    for depth in [1, 32, 50] {
        let nested = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"m","x":{nested}}}}}}}"#
        );
        let answer = client.post_raw(body.as_bytes()).json();
        assert!(answer["result"].is_object(), "depth {depth}: {answer}");
    }
    // Between what everybody accepts and what is refused outright, parser and policy agree:
    // the message is forwarded after a decision, or refused as malformed.
    for depth in 60..140 {
        let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"delete_file","arguments":{{"path":{nested}}}}}}}"#
        );
        let answer = client.post_raw(body.as_bytes()).json();
        let (code, kind) = error_of(&answer);
        assert!(
            code == -31001 && kind == "policy_denied" || code == -32600 || code == -32700,
            "depth {depth}: {answer}"
        );
    }
    assert!(!upstream.calls().contains(&"delete_file".to_owned()));
}

#[test]
fn look_alikes_of_a_method_are_never_taken_for_it() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    for method in [
        "tools/call ",
        " tools/call",
        "Tools/Call",
        "tools/call\u{0}",
        "tools/call\n",
        "tools\u{2215}call",
        "tool\u{17f}/call",
    ] {
        let answer = client.request(method, json!({ "name": "delete_file", "arguments": {} }));
        assert!(answer["error"].is_object(), "{method:?}: {answer}");
    }
    assert!(upstream.calls().is_empty(), "{:?}", upstream.calls());
    let long = client.request(&"m".repeat(65_536), json!({}));
    assert!(long["error"].is_object());
}

#[test]
fn a_notification_gets_no_answer_even_when_it_is_denied_or_wrong() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\ndefault allow := true\n\ndeny if input.method == \"notifications/progress\"\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let mut client = gateway.client();
    for method in ["notifications/progress", "notifications/cancelled", "notifications/unheard-of"]
    {
        let answer =
            client.notify(method, json!({ "progressToken": 1, "progress": 1, "requestId": 77 }));
        assert_eq!((answer.status(), answer.body.len()), (202, 0), "{method}: {}", answer.text());
    }
    assert!(upstream.of_method("notifications/progress").is_empty());
}

#[test]
fn a_notification_is_accepted_at_once_while_the_server_is_silent() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("upstream.timeout", "15s"));
    let mut client = gateway.client();
    upstream.mute(true);
    let began = crate::harness::wait::now();
    for _ in 0..3 {
        assert_eq!(client.notify("notifications/roots/list_changed", json!({})).status(), 202);
    }
    let took = began.elapsed();
    assert!(took.as_secs() < 3, "three notifications took {took:?}");
    upstream.wait_for("the notification is forwarded", |message| {
        message["method"] == "notifications/roots/list_changed"
    });
}

#[test]
fn answers_of_a_hundred_clients_with_the_same_ids_are_never_crossed() {
    for kind in [Kind { stateful: true, ..Kind::default() }, Kind { sse: true, ..Kind::default() }]
    {
        let upstream = Upstream::start(kind);
        let gateway = Gateway::start(Config::new(upstream.addr));
        let threads: Vec<_> = (0..100)
            .map(|number| {
                let mut client = gateway.client();
                std::thread::spawn(move || {
                    for id in 0..8 {
                        let said = format!("client {number} call {id}");
                        let answer = client.request_as(
                            &json!(id),
                            "tools/call",
                            json!({ "name": "echo", "arguments": { "message": said } }),
                        );
                        assert_eq!(
                            answer["result"]["content"][0]["text"],
                            said.as_str(),
                            "{answer}"
                        );
                    }
                })
            })
            .collect();
        let failed = threads.into_iter().filter_map(|thread| thread.join().err()).count();
        assert_eq!(failed, 0, "{kind:?}");
        let rows = gateway.finish();
        assert_eq!(
            rows.iter().filter(|row| row.text("method") == "tools/call").count(),
            800,
            "{kind:?}"
        );
    }
}

#[test]
fn clients_of_the_old_transport_share_a_server_without_crossing() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let config =
        Config::of(json!({ "url": format!("http://{}/sse", upstream.addr), "transport": "sse" }));
    let gateway = Gateway::start(config);
    let threads: Vec<_> = (0..20)
        .map(|number| {
            let mut client = gateway.legacy_client();
            std::thread::spawn(move || {
                for call in 0..10 {
                    let said = format!("client {number} call {call}");
                    let answer = client.call("echo", json!({ "message": said }));
                    assert_eq!(answer["result"]["content"][0]["text"], said.as_str(), "{answer}");
                }
            })
        })
        .collect();
    assert_eq!(threads.into_iter().filter_map(|thread| thread.join().err()).count(), 0);
}

#[test]
fn an_answer_of_the_client_to_nothing_is_not_passed_on() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    let before = upstream.messages().len();
    let stray = client.post(&json!({ "jsonrpc": "2.0", "id": 1, "result": { "stray": true } }));
    assert!(matches!(stray.status(), 202 | 400), "{} {}", stray.status(), stray.text());
    assert_eq!(client.call_text("echo", json!({ "message": "m" })), "m");
    let later = &upstream.messages()[before..];
    assert!(later.iter().all(|message| message.get("result").is_none()), "{later:?}");
}
