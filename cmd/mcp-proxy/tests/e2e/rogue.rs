//! Servers that break the rules: what a client sees of it, and what it never sees.

use crate::harness::gateway::{error_of, sample};
use crate::harness::stub::{Exchange, tools};
use crate::harness::wait::now;
use crate::harness::{Config, Gate, Gateway, Modern, Stub, until};
use crate::hostile::{NO_DELETE, echoes, start};
use crate::restarts::resident;
use serde_json::{Value, json};

#[test]
fn a_result_without_a_type_is_complete_and_an_unknown_type_is_no_result() {
    let stub = Stub::modern(|exchange| {
        match exchange.tool() {
            "untyped" => {
                exchange.result(json!({ "content": [{ "type": "text", "text": "fine" }] }))
            }
            "odd" => exchange.result(json!({ "resultType": "surprise", "content": [] })),
            _ => return false,
        }
        true
    });
    let gateway = start(&stub);
    let mut client = Modern::new(gateway.addr());
    let answer = client.call("untyped", json!({}));
    assert_eq!(answer["result"]["content"][0]["text"], "fine", "{answer}");
    let mut legacy = gateway.client();
    assert_eq!(legacy.call_text("untyped", json!({})), "fine");
    let answer = legacy.call("odd", json!({}));
    assert!(answer["error"].is_object(), "a legacy client cannot know it: {answer}");
}

/// What a server sends, given the id of the request and the right answer.
type Written = fn(&Value, &Value) -> String;

/// A server that answers `tools/list` with any bytes.
fn odd_list(bytes: Written) -> Stub {
    Stub::legacy(move |exchange| {
        if exchange.method() == "tools/list" {
            let list = json!({ "jsonrpc": "2.0", "id": exchange.message["id"], "result": tools(&["echo", "delete_file"]) });
            let text = bytes(&exchange.message["id"], &list);
            exchange.chunk(&text);
            exchange.cut();
        }
        exchange.method() == "tools/list"
    })
}

#[test]
fn a_denied_tool_never_leaves_whatever_else_is_in_the_stream() {
    let streams: [(&str, Written); 8] = [
        ("garbage first", |_, list| format!("data: {{broken\n\ndata: {list}\n\n")),
        ("a notification first", |_, list| {
            format!(
                "data: {}\n\ndata: {list}\n\n",
                json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "x" } })
            )
        }),
        ("bytes that are no text", |_, list| format!("data: \u{fffd}\0\n\ndata: {list}\n\n")),
        ("an unknown field", |_, list| format!("nonsense\nfoo: bar\ndata: {list}\n\n")),
        ("a foreign id first", |_, list| {
            let mut other = list.clone();
            other["id"] = json!("foreign");
            format!("data: {other}\n\ndata: {list}\n\n")
        }),
        ("twice", |_, list| format!("data: {list}\n\ndata: {list}\n\n")),
        ("a batch", |_, list| format!("data: {}\n\n", json!([list]))),
        ("a wrong id", |id, list| {
            list.to_string().replace(&format!("\"id\":{id}"), "\"id\":\"other\"")
        }),
    ];
    for (name, bytes) in streams {
        let stub = odd_list(bytes);
        let gateway = Gateway::start(
            Config::new(stub.addr).policy(NO_DELETE).set("upstream.timeout", "1500ms"),
        );
        let mut client = gateway.client();
        let answer = client.request("tools/list", json!({}));
        let all = format!("{answer} {:?}", client.seen);
        assert!(!all.contains("delete_file"), "{name}: {all}");
        assert!(
            answer["result"]["tools"].is_array()
                || answer["error"]["data"]["kind"] == "upstream_error",
            "{name}: {answer}"
        );
        echoes(&mut client);
        let mut modern = Modern::new(gateway.addr());
        let answer = modern.request("tools/list", json!({}));
        assert!(!format!("{answer} {:?}", modern.seen).contains("delete_file"), "{name}: {answer}");
    }
}

#[test]
fn text_that_looks_like_an_event_stays_text() {
    let text = "line\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\nid: 5\r\revent: endpoint\u{2028}\u{85}";
    let stub = Stub::legacy(move |exchange| {
        if exchange.tool() == "inject" {
            exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": text } }));
            exchange.text(text);
        }
        exchange.tool() == "inject"
    });
    let gateway = start(&stub);
    let mut client = gateway.client();
    assert_eq!(client.call_text("inject", json!({})), text);
    assert_eq!(client.seen.len(), 1, "{:?}", client.seen);
    assert_eq!(client.seen[0]["params"]["data"], text);
    let mut old = gateway.legacy_client();
    let answer = old.call("inject", json!({}));
    assert_eq!(answer["result"]["content"][0]["text"], text);
}

#[test]
fn endless_and_empty_streams_are_bounded() {
    let stub = Stub::legacy(|exchange| {
        match exchange.tool() {
            "endless" => {
                exchange.chunk("data: \"");
                let piece = "x".repeat(256 * 1024);
                for _ in 0..256 {
                    exchange.chunk(&piece);
                    if !exchange.alive() {
                        break;
                    }
                }
            }
            "comments" => {
                let piece = ":\n\n".repeat(20_000);
                for _ in 0..50 {
                    exchange.chunk(&piece);
                }
                exchange.text("after a million comments");
            }
            _ => return false,
        }
        true
    });
    let gateway = start(&stub);
    let before = resident(&gateway);
    let mut client = gateway.client();
    let answer = client.call("endless", json!({}));
    assert_eq!(answer["error"]["data"]["kind"], "upstream_error", "{answer}");
    let after = resident(&gateway);
    assert!(after < before + 40 * 1024, "{before} KiB before, {after} after 64 MiB");
    assert_eq!(client.call_text("comments", json!({})), "after a million comments");
    echoes(&mut client);
}

#[test]
fn answers_that_fit_nothing_go_to_nobody() {
    let stub = Stub::legacy(|exchange| {
        match exchange.tool() {
            "doubled" => {
                let answer = json!({ "jsonrpc": "2.0", "id": exchange.message["id"], "result": { "content": [{ "type": "text", "text": "one" }] } });
                exchange.event(&answer);
                exchange.event(&answer);
                exchange.chunk("");
            }
            "foreign" => {
                exchange.event(
                    &json!({ "jsonrpc": "2.0", "id": 424_242, "result": { "content": [] } }),
                );
                exchange.text("own");
            }
            _ => return false,
        }
        true
    });
    let gateway = start(&stub);
    let (mut ann, eve) = (gateway.client(), gateway.client());
    let mut listening = eve.listen();
    assert_eq!(ann.call_text("doubled", json!({})), "one");
    assert_eq!(ann.call_text("foreign", json!({})), "own");
    assert_eq!(ann.seen, Vec::<Value>::new());
    until("the gateway listens", || stub.streams() == 2);
    stub.push(&json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [] } }));
    stub.push(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
    assert_eq!(listening.next_message()["method"], "notifications/tools/list_changed");
    until("they were counted", || {
        sample(&gateway.scrape(), "mcp_proxy_upstream_protocol_errors_total", &[])
            .is_some_and(|count| count >= 3.0)
    });
}

#[test]
fn a_server_that_dies_in_the_middle_costs_one_error_at_once() {
    for modern in [false, true] {
        let behaviour = |exchange: &mut Exchange<'_>| {
            match exchange.tool() {
                "cut" => exchange.cut(),
                "half" => {
                    exchange.chunk("data: {\"jsonrpc\":");
                    exchange.cut();
                }
                "noted" => {
                    exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": 1 } }));
                    exchange.cut();
                }
                _ => return false,
            }
            true
        };
        let stub = if modern { Stub::modern(behaviour) } else { Stub::legacy(behaviour) };
        let gateway = start(&stub);
        let mut legacy = gateway.client();
        let mut new = Modern::new(gateway.addr());
        for tool in ["cut", "half", "noted"] {
            let started = now();
            let answer = legacy.call(tool, json!({}));
            assert_eq!(
                error_of(&answer),
                (-31004, "upstream_error".to_owned()),
                "{modern} {tool}: {answer}"
            );
            let answer = new.call(tool, json!({}));
            assert_eq!(
                error_of(&answer),
                (-31004, "upstream_error".to_owned()),
                "{modern} {tool}: {answer}"
            );
            assert!(
                started.elapsed().as_millis() < 2_000,
                "{modern} {tool}: {:?}",
                started.elapsed()
            );
        }
        assert_eq!(stub.of_method("tools/call").len(), 6, "{modern}: nothing was sent twice");
        echoes(&mut legacy);
        assert_eq!(
            new.call("echo", json!({ "message": "alive" }))["result"]["content"][0]["text"],
            "alive"
        );
    }
}

#[test]
fn a_server_that_never_answers_times_out_and_is_told() {
    for modern in [false, true] {
        let gone = Gate::default();
        let left = gone.clone();
        let behaviour = move |exchange: &mut Exchange<'_>| {
            if exchange.tool() == "never" {
                if exchange.hung_up() {
                    left.open();
                }
                return true;
            }
            false
        };
        let stub = if modern { Stub::modern(behaviour) } else { Stub::legacy(behaviour) };
        let gateway = Gateway::start(Config::new(stub.addr).set("upstream.timeout", "400ms"));
        let mut client = gateway.client();
        let started = now();
        let answer = client.call("never", json!({}));
        assert_eq!(error_of(&answer), (-31005, "upstream_timeout".to_owned()), "{modern} {answer}");
        let waited = started.elapsed().as_millis();
        assert!((380..900).contains(&waited), "{modern}: {waited} ms");
        if modern {
            gone.wait();
        } else {
            let call = stub.of_method("tools/call").remove(0);
            let cancelled = stub.wait_for("the server is told", |message| {
                message["method"] == "notifications/cancelled"
            });
            assert_eq!(cancelled["params"]["requestId"], call["id"], "{cancelled}");
        }
        echoes(&mut client);
    }
}

#[test]
fn an_answer_that_comes_too_late_reaches_nobody() {
    let gate = Gate::default();
    let stub = Stub::legacy({
        let gate = gate.clone();
        move |exchange| {
            if exchange.tool() == "late" {
                gate.wait();
                exchange.text("too late");
            }
            exchange.tool() == "late"
        }
    });
    // Over HTTP+SSE all answers come on one stream, where a late one could be taken for the next.
    let inner = Gateway::start(Config::new(stub.addr));
    let url = format!("http://{}/sse", inner.addr());
    let upstream = json!({ "url": url, "transport": "sse" });
    for config in [Config::of(upstream), Config::new(stub.addr)] {
        let gateway = Gateway::start(config.set("upstream.timeout", "300ms"));
        let mut client = gateway.client();
        let id = json!("again");
        let late = client.request_as(&id, "tools/call", json!({ "name": "late", "arguments": {} }));
        assert_eq!(error_of(&late).0, -31005, "{late}");
        gate.open();
        for _ in 0..20 {
            let answer = client.request_as(
                &id,
                "tools/call",
                json!({ "name": "echo", "arguments": { "message": "own" } }),
            );
            assert_eq!(answer["result"]["content"][0]["text"], "own", "{answer}");
        }
    }
}

#[test]
fn redirects_are_not_followed_and_failures_do_not_show_the_server() {
    let other = Stub::legacy(|_| false);
    let place = format!("Location: http://{}/mcp\r\n", other.addr);
    let stub = Stub::legacy(move |exchange| {
        match exchange.tool() {
            "redirect" => exchange.status("307 Temporary Redirect", &place, ""),
            "moved" => exchange.status("301 Moved Permanently", &place, ""),
            "fails" => exchange.status(
                "500 Internal Server Error",
                "",
                "secret stack trace at /srv/app.py",
            ),
            "html" => {
                exchange.status("200 OK", "Content-Type: text/html\r\n", "<html>secret</html>")
            }
            "gateway" => exchange.status(
                "502 Bad Gateway",
                "Content-Type: text/html\r\n",
                "<html>secret</html>",
            ),
            _ => return false,
        }
        true
    });
    let gateway = start(&stub);
    let mut client = gateway.client();
    let mut modern = Modern::new(gateway.addr());
    for tool in ["redirect", "moved", "fails", "html", "gateway"] {
        for answer in [client.call(tool, json!({})), modern.call(tool, json!({}))] {
            assert_eq!(
                error_of(&answer),
                (-31004, "upstream_error".to_owned()),
                "{tool}: {answer}"
            );
            let text = answer.to_string();
            assert!(
                !text.contains("secret") && !text.contains("127.0.0.1") && !text.contains("/srv"),
                "{tool}: {text}"
            );
        }
    }
    assert!(other.received().is_empty());
    echoes(&mut client);
}
