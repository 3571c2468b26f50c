use domain::Stage;
use proptest::prelude::*;

use super::*;
use crate::fixture::Ask;

fn value(fields: Fields, ask: &Ask) -> String {
    InputBuilder::new().value(fields, &ask.input()).unwrap().to_string()
}

fn fields(paths: &[&str]) -> Fields {
    paths.iter().fold(Fields::NONE, |fields, path| {
        fields | Fields::at(&path.split('.').map(str::to_owned).collect::<Vec<_>>())
    })
}

#[test]
fn the_whole_input_has_both_shapes() {
    let mut ask = Ask::call("echo").arguments(r#"{"text":"hi"}"#);
    ask.params = Some(r#"{"name":"echo","arguments":{"text":"hi"}}"#.to_owned());
    ask.result = Some(r#"{"content":[]}"#.to_owned());
    ask.description = Some("Says it again".to_owned());
    ask.stage = Stage::Response;
    let whole = InputBuilder::new().value(Fields::ALL, &ask.input()).unwrap();
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
            "protocol_version": "2025-11-25", "client": {"name": "test client", "version": "1.0"}
        },
        "server": {
            "name": "demo", "transport": "http", "url": "http://127.0.0.1:1/mcp",
            "tool": {"description": "Says it again"}
        },
        "context": {
            "timestamp": "2023-11-14T22:13:20Z", "source_ip": "127.0.0.1", "environment": "", "transport": "http"
        },
        "findings": [], "result": {"content": []},
    });
    assert_eq!(whole, Value::from(expected));
}

#[test]
fn only_fields_that_are_read_are_there() {
    let ask = Ask::call("echo").arguments("not json");
    assert_eq!(
        value(fields(&["tool", "session.request_count"]), &ask),
        r#"{"session":{"request_count":1},"tool":"echo"}"#
    );
    assert_eq!(value(fields(&["nothing", "prompt", "result"]), &ask), "{}");
}

#[test]
fn an_agent_is_told_by_what_it_says() {
    let mut builder = InputBuilder::new();
    let mut key = |ask: &Ask| {
        let mut key = Vec::new();
        builder.key(fields(&["agent.id"]), &ask.input(), &mut key);
        key
    };
    let asks: Vec<Ask> =
        (0..100).map(|n| Ask::call("a").capabilities(&[&format!("c{n}")])).collect();
    let keys: Vec<Vec<u8>> = asks.iter().map(&mut key).collect();
    for (place, one) in keys.iter().enumerate() {
        assert_eq!(keys.iter().position(|other| other == one), Some(place));
        assert_eq!(key(&asks[place]), *one);
    }
}

fn texts() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-c\u{0}\u{1}]{0,3}")
}

proptest! {
    /// Whatever is read: if the keys are equal, so are the values.
    #[test]
    fn equal_keys_mean_equal_values(
        bits in any::<u64>(),
        texts in prop::collection::vec((texts(), texts(), texts(), 0..2_u64), 2),
    ) {
        let chosen = Field::ALL.iter().enumerate().fold(Fields::NONE, |all, (place, (field, _))| {
            if bits >> place & 1 == 1 { all | Fields::of(*field) } else { all }
        });
        let asks: Vec<Ask> = texts.into_iter().map(|(tool, resource, prompt, count)| {
            Ask { tool, resource, prompt, ..Ask::method("m").count(count) }
        }).collect();
        let mut builder = InputBuilder::new();
        let mut made = asks.iter().map(|ask| {
            let mut key = Vec::new();
            builder.key(chosen, &ask.input(), &mut key);
            (key, builder.value(chosen, &ask.input()).unwrap())
        });
        let (first, second) = (made.next().unwrap(), made.next().unwrap());
        prop_assert_eq!(first.0 == second.0, first.1 == second.1);
    }
}
