//! The fixed module on a document written by hand: what each rung lets through, and nothing else.

use domain::Stage;
use policy::PolicyEngine;
use serde_json::{Value, json};

use super::engine;
use crate::learn::MODULE;
use crate::pattern::FORMATS;

fn learned() -> PolicyEngine {
    let formats: serde_json::Map<String, Value> =
        FORMATS.iter().map(|(name, pattern)| ((*name).to_owned(), json!(pattern))).collect();
    let members = json!({
        "path": { "rung": "prefix", "format": "path", "prefix": ["", "srv", "files"], "required": true },
        "mode": { "rung": "one_of", "values": ["r", "w", null, false] },
        "url": { "rung": "host_suffix", "scheme": "https:", "host": ["example", "com"] },
        "page": { "rung": "prefix", "format": "url", "prefix": ["https:", "", "example.com", "docs"] },
        "n": { "rung": "range", "min": 1, "max": 9, "whole": true },
        "f": { "rung": "range", "min": -0.5, "max": 0.5, "whole": false },
        "day": { "rung": "format", "format": "date" },
        "text": { "rung": "type", "types": ["null", "string"] },
        "token": { "rung": "any" },
        "o": { "rung": "type", "types": ["object"], "members": {
            "a": { "rung": "const", "values": [1], "required": true },
            "list": { "rung": "type", "types": ["array"], "items": { "rung": "type", "types": ["object"], "members": {
                "x": { "rung": "const", "values": [2], "required": true } } } },
        } },
    });
    let arguments = json!({ "rung": "type", "types": ["object"], "members": members });
    let review = ["too little"];
    let document = json!({ "learned": { "settings": { "review": "allow" }, "formats": formats, "agents": {
        "a": { "s": {
            "tools": {
                "t": { "definitions": { "d1": 1, "d2": 2 }, "arguments": arguments, "review": review },
                "free": { "definitions": {}, "arguments": { "rung": "any" } },
            },
            "resources": { "file": { "uri": { "rung": "prefix", "format": "url", "prefix": ["file:", "", "", "srv"] } } },
            "prompts": { "p": {} },
        } },
    } } });
    engine(&[("learned.rego", MODULE), ("data.json", &document.to_string())])
}

/// The rules that deny a message, each as often as it does.
fn rules(engine: &PolicyEngine, stage: Stage, more: Value) -> Vec<String> {
    let mut message = json!({ "stage": stage.as_str(), "agent": { "id": "a" },
        "server": { "name": "s", "tool": { "digest": "d1" } } });
    for (name, value) in more.as_object().unwrap() {
        message[name] = value.clone();
    }
    let decision = policy::decide_document(engine, stage, &message);
    assert_eq!(decision.error, None, "{message}");
    decision.reasons.iter().filter_map(|reason| reason.rule.clone()).collect()
}

#[track_caller]
fn check_argument(engine: &PolicyEngine, more: Value, denied: usize) {
    let mut arguments = json!({ "path": "/srv/files/a.txt" });
    for (name, value) in more.as_object().unwrap() {
        arguments[name] = value.clone();
    }
    let call = json!({ "method": "tools/call", "tool": "t", "arguments": arguments });
    let found = rules(engine, Stage::Request, call);
    assert_eq!(found, vec!["not_learned_argument"; denied], "{arguments}");
}

#[test]
fn texts() {
    let engine = learned();
    let check = |more, denied| check_argument(&engine, more, denied);
    check(json!({}), 0);
    for path in ["/srv/files", "/srv/files/", "/srv/files/a/b"] {
        check(json!({ "path": path }), 0);
    }
    for path in [
        "/srv/files/../x",
        "/srv/files/..",
        "/srv/files-secret/x",
        "/srv",
        "srv/files/x",
        "/srv/files//x",
        "",
        "/srv/files/%2e%2e/x",
        "/srv/files/a\u{0}",
        "/srv/./files/x",
        "/x/srv/files/a",
    ] {
        check(json!({ "path": path }), 1);
    }
    for path in [json!(1), json!(null), json!(["/srv/files/x"]), json!({ "x": 1 })] {
        let below = usize::from(path.is_array() || path.is_object());
        check(json!({ "path": path }), 1 + below);
    }
    for (mode, denied) in [
        (json!("r"), 0),
        (json!(null), 0),
        (json!(false), 0),
        (json!("x"), 1),
        (json!(true), 1),
        (json!(0), 1),
    ] {
        check(json!({ "mode": mode }), denied);
    }
    for url in ["https://example.com", "https://a.example.com/x", "https://a.b.example.com/"] {
        check(json!({ "url": url }), 0);
    }
    for url in [
        "http://a.example.com/",
        "https://example.com.evil.net/",
        "https://evilexample.com/",
        "https://evil.net/.example.com",
        "https://evil.net?.example.com",
        "https://evil.net#.example.com",
        "https://a.example.com@evil.net/",
        "https://a.example.com:80/",
        "https:///a.example.com",
        "https://EVIL.net\\.example.com",
        "https://com",
    ] {
        check(json!({ "url": url }), 1);
    }
    check(json!({ "page": "https://example.com/docs/x?y=1" }), 0);
    check(json!({ "page": "https://example.com/docs/../x" }), 1);
    check(json!({ "page": "https://example.com/other" }), 1);
}

#[test]
fn numbers_formats_and_types() {
    let engine = learned();
    let check = |more, denied| check_argument(&engine, more, denied);
    for (n, denied) in [
        (json!(1), 0),
        (json!(9), 0),
        (json!(2.0), 0),
        (json!(2.5), 1),
        (json!(0), 1),
        (json!(10), 1),
        (json!("5"), 1),
    ] {
        check(json!({ "n": n }), denied);
    }
    check(json!({ "f": 0.25 }), 0);
    check(json!({ "f": 0.75 }), 1);
    check(json!({ "day": "2026-11-20" }), 0);
    check(json!({ "day": "2026-11-20\n" }), 1);
    check(json!({ "day": 20261120 }), 1);
    check(json!({ "text": "anything" }), 0);
    check(json!({ "text": null }), 0);
    check(json!({ "text": 1 }), 1);
    check(json!({ "token": { "deep": [1, { "er": 2 }] } }), 0);
}

#[test]
fn names_that_are_new_or_missing() {
    let engine = learned();
    let check = |arguments: Value, denied: usize| {
        let call = json!({ "method": "tools/call", "tool": "t", "arguments": arguments });
        let found = rules(&engine, Stage::Request, call);
        assert_eq!(found, vec!["not_learned_argument"; denied], "{arguments}");
    };
    let path = "/srv/files/a";
    for value in
        [json!(false), json!(null), json!(""), json!([]), json!({}), json!({ "x": { "y": 1 } })]
    {
        check(json!({ "path": path, "new": value }), 1);
    }
    check(json!({ "path": path, "o": { "a": 1 } }), 0);
    check(json!({ "path": path, "o": { "a": 1, "new": false } }), 1);
    check(json!({ "path": path, "o": {} }), 1);
    check(json!({ "path": path, "o/a": 1 }), 1);
    check(json!({ "path": path, "o": { "a": 1, "list": [{ "x": 2 }, { "x": 2 }] } }), 0);
    check(json!({ "path": path, "o": { "a": 1, "list": [{ "x": 2 }, { "x": 3 }] } }), 1);
    check(json!({ "path": path, "o": { "a": 1, "list": [{ "x": 2, "y": 3 }] } }), 1);
    check(json!({ "path": path, "o": { "a": 1, "list": [{}] } }), 1);
    check(json!({ "path": path, "o": { "a": 1, "list": { "x": 2 } } }), 2);
    check(json!({}), 1);
    check(json!([]), 1);
    let none = json!({ "method": "tools/call", "tool": "t" });
    assert_eq!(rules(&engine, Stage::Request, none), ["not_learned_argument"]);
}

#[test]
fn tools_definitions_resources_and_prompts() {
    let engine = learned();
    let check = |stage, more: Value, expected: &[&str]| {
        assert_eq!(rules(&engine, stage, more.clone()), expected, "{stage:?} {more}");
    };
    let path = json!({ "path": "/srv/files/a" });
    let call = |tool: &str, digest: Value| {
        json!({ "method": "tools/call", "tool": tool, "arguments": path,
            "server": { "name": "s", "tool": { "digest": digest } } })
    };
    let listed = |tool: &str, digest: &str| json!({ "method": "tools/call", "tool": tool, "server": { "name": "s", "tool": { "digest": digest } } });
    let unlisted = json!({ "method": "tools/call", "tool": "t", "arguments": path, "server": { "name": "s" } });
    check(Stage::Request, call("t", json!("d2")), &[]);
    check(Stage::Request, call("t", json!("d3")), &["tool_definition_changed"]);
    check(Stage::Request, unlisted, &["tool_definition_changed"]);
    check(Stage::Request, call("T", json!("d1")), &["not_learned_tool"]);
    check(Stage::Request, call("free", json!("d9")), &[]);
    check(Stage::List, listed("t", "d1"), &[]);
    check(Stage::List, listed("t", "d3"), &["tool_definition_changed"]);
    check(Stage::List, listed("x", "d1"), &["not_learned_tool"]);
    check(Stage::Response, call("x", json!("d1")), &[]);
    for stage in [Stage::Request, Stage::List] {
        let read = |uri: &str| json!({ "method": "resources/read", "resource": uri });
        check(stage, read("file:///srv/a"), &[]);
        check(stage, read("file:///srv/../etc/passwd"), &["not_learned_resource"]);
        check(stage, read("file:///etc/passwd"), &["not_learned_resource"]);
        check(stage, read("db:x"), &["not_learned_resource"]);
        check(stage, json!({ "method": "prompts/get", "prompt": "p" }), &[]);
        check(stage, json!({ "method": "prompts/get", "prompt": "q" }), &["not_learned_prompt"]);
    }
    let other =
        json!({ "method": "tools/call", "tool": "t", "arguments": path, "agent": { "id": "b" } });
    check(Stage::Request, other, &["not_learned_tool"]);
    let elsewhere = json!({ "method": "tools/call", "tool": "t", "arguments": path, "server": { "name": "z" } });
    check(Stage::Request, elsewhere, &["not_learned_tool"]);
    check(Stage::Request, json!({ "method": "ping" }), &[]);
    check(Stage::ServerRequest, json!({ "method": "sampling/createMessage" }), &[]);
}
