use domain::{Stage, ToolView};
use proptest::prelude::*;

use super::*;
use crate::tests::fixture::Ask;

fn projection(paths: &[&str]) -> Projection {
    Projection::new(&paths.iter().copied().collect())
}

#[track_caller]
fn check(paths: &[&str], ask: &Ask, expected: &str) {
    let value = projection(paths).value(&ask.input()).unwrap();
    assert_eq!(value.to_string(), expected, "{paths:?}");
}

fn key(projection: &mut Projection, ask: &Ask) -> Vec<u8> {
    let mut key = Key::default();
    projection.key(&ask.input(), &mut key).unwrap();
    key.bytes().unwrap().to_vec()
}

/// A message with something in every field.
fn full() -> Ask {
    let mut ask = Ask::call("echo").arguments(r#"{"text":"hi"}"#);
    ask.params = Some(r#"{"name":"echo","arguments":{"text":"hi"}}"#.to_owned());
    ask.result = Some(r#"{"content":[]}"#.to_owned());
    ask.stage = Stage::Response;
    ask.server_tool = Some(ToolView {
        description: Some("Says it again".into()),
        annotations: Some(r#"{"readOnlyHint":true}"#.into()),
        digest: "abc".into(),
        changed: true,
    });
    ask.headers = vec![("x-team".into(), "blue".into())];
    let mut state =
        domain::SessionState { cumulative_reads: 3, bytes_out: 9, ..Default::default() };
    state.tools_used.insert("echo".into(), 2);
    state.taints.insert("pii".into());
    ask.state = Arc::new(state);
    ask
}

#[test]
fn the_whole_input_has_both_shapes() {
    let whole = Projection::new(&ReadSet::everything()).value(&full().input()).unwrap();
    let expected: serde_json::Value = serde_json::json!({
        "stage": "response", "method": "tools/call", "tool": "echo", "arguments": {"text": "hi"},
        "request": {
            "id": 1, "method": "tools/call", "tool": "echo", "arguments": {"text": "hi"},
            "params": {"name": "echo", "arguments": {"text": "hi"}}, "size": 123
        },
        "agent": {
            "id": "anonymous", "name": "", "capabilities": ["read:*"], "model": "", "publisher": "",
            "tags": [], "roles": []
        },
        "identity": {"verified": false, "method": "configured", "did": ""},
        "session": {
            "id": "s-1", "request_count": 1, "started_at": "2023-11-14T22:12:20Z",
            "protocol_version": "2025-11-25", "client": {"name": "test client", "version": "1.0"},
            "cumulative_reads": 3, "cumulative_writes": 0, "tools_used": {"echo": 2},
            "taints": ["pii"], "bytes_out": 9
        },
        "server": {
            "name": "demo", "transport": "http", "url": "http://127.0.0.1:1/mcp",
            "tool": {
                "description": "Says it again", "annotations": {"readOnlyHint": true},
                "digest": "abc", "changed": true
            }
        },
        "context": {
            "timestamp": "2023-11-14T22:13:20Z", "source_ip": "127.0.0.1", "environment": "",
            "transport": "http", "headers": {"x-team": "blue"}
        },
        "findings": [], "result": {"content": []},
    });
    assert_eq!(whole, Value::from(expected));
}

/// Every field of the table can be read alone, and then nothing else is there.
#[test]
fn a_field_is_at_its_path() {
    let mut ask = full();
    (ask.resource, ask.prompt) = (Some("file:///a".to_owned()), Some("greet".to_owned()));
    for (_, path) in Field::ALL {
        let mut value = projection(&[&path.join(".")]).value(&ask.input()).unwrap();
        for part in *path {
            let Value::Object(members) = &value else { panic!("{path:?}: {value}") };
            assert_eq!(members.len(), 1, "{path:?}");
            value = members.get(&Value::from(*part)).unwrap().clone();
        }
    }
}

#[test]
fn only_what_is_read_is_there() {
    let ask = Ask::call("echo").arguments("not json");
    check(
        &["tool", "session.request_count"],
        &ask,
        r#"{"session":{"request_count":1},"tool":"echo"}"#,
    );
    check(&["nothing", "prompt", "result"], &ask, "{}");
    check(&["server.tool", "identity.verified"], &ask, r#"{"identity":{"verified":false}}"#);
}

#[test]
fn of_open_fields_only_the_members_that_are_read_are_there() {
    let ask = full().arguments(
        r#" {"path":"/etc","n":null,"deep":{"a":1,"b":{"c":[2]}},"list":[{"a":1}],"\u0061":5}"#,
    );
    let paths = [
        "arguments.path",
        "arguments.deep.b.c",
        "arguments.list.a",
        "arguments.none",
        "arguments.a",
    ];
    check(&paths, &ask, r#"{"arguments":{"a":5,"deep":{"b":{"c":[2]}},"path":"/etc"}}"#);
    check(&["request.arguments.n"], &ask, r#"{"request":{"arguments":{"n":null}}}"#);
    check(&["arguments.path.deeper"], &ask, "{}");
    check(&["session.tools_used.echo"], &ask, r#"{"session":{"tools_used":{"echo":2}}}"#);
    check(&["context.headers.x-team"], &ask, r#"{"context":{"headers":{"x-team":"blue"}}}"#);
    check(&["context.headers.x-none", "session.tools_used.rm"], &ask, "{}");
    check(&["arguments.path"], &full().arguments(r#""text""#), "{}");
}

/// What no rule reads is not in the key; absent, null and the text `null` are three things.
#[test]
fn a_key_tells_what_is_read_and_nothing_else() {
    let mut read = projection(&["arguments.path", "arguments.deep.a"]);
    let mut of = |arguments: &str| key(&mut read, &Ask::call("echo").arguments(arguments));
    assert_eq!(of(r#"{"path":"/a","text":"x"}"#), of(r#"{"other":{"path":2},"path":"/a"}"#));
    let different = [
        of("{}"),
        of(r#"{"path":null}"#),
        of(r#"{"path":"null"}"#),
        of(r#"{"deep":{"a":null}}"#),
        of(r#"{"path":null,"deep":{"a":null}}"#),
    ];
    for (place, one) in different.iter().enumerate() {
        assert_eq!(different.iter().position(|other| other == one), Some(place));
    }
}

#[test]
fn what_is_too_long_has_no_key() {
    let mut key = Key::default();
    let long = Ask::call("echo").arguments(&format!(r#"{{"path":"{}"}}"#, "x".repeat(5000)));
    projection(&["arguments.path"]).key(&long.input(), &mut key).unwrap();
    assert_eq!(key.bytes(), None);
    projection(&["arguments.mode"]).key(&long.input(), &mut key).unwrap();
    assert!(key.bytes().is_some());
    let many: Vec<String> = (0..1000).map(|n| format!("capability-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let capable = Ask::call("echo").capabilities(&many);
    let mut read = projection(&["agent.capabilities", "tool"]);
    for _ in 0..2 {
        read.key(&capable.input(), &mut key).unwrap();
        assert_eq!(key.bytes(), None);
    }
}

#[test]
fn json_that_cannot_be_read_is_an_error_where_it_is_read() {
    let ask = Ask::call("echo").arguments(r#"{"path":"/a","path":"/b"}"#);
    let error = projection(&["arguments.path"]).value(&ask.input()).unwrap_err();
    assert!(error.contains("`input.arguments`") && error.contains("path"), "{error}");
}

#[test]
fn an_agent_is_told_by_what_it_says() {
    let mut read = projection(&["agent.capabilities"]);
    let asks: Vec<Ask> =
        (0..100).map(|n| Ask::call("a").capabilities(&[&format!("c{n}")])).collect();
    let keys: Vec<Vec<u8>> = asks.iter().map(|ask| key(&mut read, ask)).collect();
    for (place, one) in keys.iter().enumerate() {
        assert_eq!(keys.iter().position(|other| other == one), Some(place));
        assert_eq!(key(&mut read, &asks[place]), *one);
    }
}

const PATHS: [&str; 14] = [
    "stage",
    "tool",
    "resource",
    "arguments",
    "arguments.a",
    "arguments.a.b",
    "arguments.b",
    "request.arguments.a",
    "session.request_count",
    "session.tools_used.a",
    "session.taints",
    "agent.id",
    "agent",
    "context.headers.a",
];

fn texts() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-c\u{0}\u{1}]{0,3}")
}

fn arguments() -> impl Strategy<Value = Option<String>> {
    let scalar =
        prop_oneof![Just("null".to_owned()), Just("1".to_owned()), Just(r#""a""#.to_owned())];
    let json = scalar.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!(r#""{key}":{value}"#)).collect();
            format!("{{{}}}", members.join(","))
        })
    });
    proptest::option::of(json)
}

fn asks() -> impl Strategy<Value = Ask> {
    (texts(), texts(), arguments(), 0..2_u64, texts(), texts()).prop_map(
        |(tool, resource, arguments, count, taint, header)| {
            let mut state = domain::SessionState::default();
            state.taints.extend(taint.iter().map(|taint| Arc::from(taint.as_str())));
            state.tools_used.extend(taint.map(|tool| (Arc::from(tool), count)));
            Ask {
                tool,
                resource,
                arguments,
                state: Arc::new(state),
                headers: header.into_iter().map(|value| ("a".into(), value.into())).collect(),
                ..Ask::method("m").count(count)
            }
        },
    )
}

proptest! {
    /// Whatever is read: equal keys mean equal values, and different values different keys.
    #[test]
    fn equal_keys_mean_equal_values(
        read in prop::sample::subsequence(&PATHS[..], 0..PATHS.len()),
        asks in (asks(), asks()),
    ) {
        let mut read = projection(&read);
        let keys = (key(&mut read, &asks.0), key(&mut read, &asks.1));
        let values = (read.value(&asks.0.input()).unwrap(), read.value(&asks.1.input()).unwrap());
        prop_assert!(keys.0 != keys.1 || values.0 == values.1);
        prop_assert!(values.0 == values.1 || keys.0 != keys.1);
    }

    /// A message and the document of it are cut alike.
    #[test]
    fn a_document_is_cut_as_the_message_is(
        read in prop::sample::subsequence(&PATHS[..], 0..PATHS.len()),
        ask in asks(),
    ) {
        let whole = Projection::new(&ReadSet::everything()).value(&ask.input()).unwrap();
        let whole: serde_json::Value = serde_json::from_str(&whole.to_json_str().unwrap()).unwrap();
        let mut read = projection(&read);
        prop_assert_eq!(read.document(&whole), read.value(&ask.input()).unwrap());
    }
}
