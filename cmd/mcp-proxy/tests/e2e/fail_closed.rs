//! When something is broken the answer is an error, and never a forwarded
//! message that policy did not allow, and never an echo.

use serde_json::{Value, json};

use crate::harness::gateway::{error_of, sample};
use crate::harness::rows::only;
use crate::harness::wait::now;
use crate::harness::{Client, Config, Conn, Gateway, Kind, Upstream, initialize_params, until};

/// An upstream error that says nothing about the inside.
#[track_caller]
fn assert_upstream_failure(answer: &Value, upstream: &Upstream, what: &str) {
    let (code, kind) = error_of(answer);
    assert!(
        matches!((code, kind.as_str()), (-31004, "upstream_error") | (-31005, "upstream_timeout")),
        "{what}: {answer}"
    );
    let text = answer.to_string();
    for secret in [
        "secret stack trace",
        "hello</html>",
        &upstream.addr.port().to_string(),
        "127.0.0.1",
        ".rs:",
    ] {
        assert!(!text.contains(secret), "{what}: the client is told `{secret}`: {text}");
    }
}

#[test]
fn every_way_in_which_a_server_fails_is_one_error_with_the_id() {
    for kind in [
        Kind { stateful: true, ..Kind::default() },
        Kind { stateful: true, sse: true, legacy: None },
    ] {
        let upstream = Upstream::start(kind);
        let gateway = Gateway::start(
            Config::new(upstream.addr)
                .set("upstream.timeout", "1s")
                .set("upstream.retry.enabled", false),
        );
        let ways = [
            "wrong_id",
            "object_id",
            "die",
            "die_mid_answer",
            "die_mid_stream",
            "not_json",
            "html",
            "status_500",
            "redirect",
            "empty",
            "never",
        ];
        let threads: Vec<_> = ways
            .into_iter()
            .map(|way| {
                let mut client = gateway.client();
                std::thread::spawn(move || {
                    (way, client.call(way, json!({ "marker": "do not echo me" })), client)
                })
            })
            .collect();
        for thread in threads {
            let (way, answer, mut client) = thread.join().expect("a client failed");
            assert_upstream_failure(&answer, &upstream, way);
            assert!(!answer.to_string().contains("do not echo me"), "{way}: {answer}");
            assert_eq!(
                client.call_text("echo", json!({ "message": way })),
                way,
                "the session survives"
            );
        }
        let rows = gateway.finish();
        for way in ways {
            let row = only(&rows, "tools/call", way);
            assert!(row.text("error_kind").starts_with("upstream_"), "{way}: {row:?}");
        }
    }
}

#[test]
fn an_old_server_that_answers_wrongly_is_an_error_too() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let config =
        Config::of(json!({ "url": format!("http://{}/sse", upstream.addr), "transport": "sse" }));
    let gateway = Gateway::start(config.set("upstream.timeout", "700ms"));
    let mut client = gateway.legacy_client();
    for way in ["wrong_id", "object_id", "never"] {
        let answer = client.call(way, json!({}));
        assert_eq!(answer["error"]["code"], -31005, "{way}: {answer}");
    }
    assert_eq!(
        client.call("echo", json!({ "message": "alive" }))["result"]["content"][0]["text"],
        "alive"
    );
}

#[test]
fn a_silent_server_is_given_up_in_time_and_told() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("upstream.timeout", "500ms"));
    let mut client = gateway.client();
    let began = now();
    let answer = client.call("hold", json!({}));
    let took = began.elapsed().as_millis();
    assert_eq!(answer["error"]["code"], -31005, "{answer}");
    assert!((450..5_000).contains(&took), "{took} ms");
    let held = upstream.wait_for("the call arrived", |message| message["params"]["name"] == "hold");
    let told = upstream
        .wait_for("the server is told", |message| message["method"] == "notifications/cancelled");
    assert_eq!(told["params"]["requestId"], held["id"]);
    // The late answer belongs to nobody.
    upstream.release();
    let next = client.request_as(
        &answer["id"],
        "tools/call",
        json!({ "name": "echo", "arguments": { "message": "next" } }),
    );
    assert_eq!(next["result"]["content"][0]["text"], "next", "{next}");
}

#[test]
fn a_server_that_is_down_is_an_error_and_not_ready_until_it_is_back() {
    let kinds = [
        Kind { stateful: true, ..Kind::default() },
        Kind { legacy: Some("/sse"), ..Kind::default() },
    ];
    let threads = kinds.map(|kind| std::thread::spawn(move || goes_and_comes(kind)));
    assert_eq!(threads.into_iter().filter_map(|thread| thread.join().err()).count(), 0);
}

/// A server that is down at the start, comes, goes and comes again.
fn goes_and_comes(kind: Kind) {
    let upstream = Upstream::start(kind);
    let addr = upstream.addr;
    drop(upstream);
    let section = match kind.legacy {
        Some(path) => json!({ "url": format!("http://{addr}{path}"), "transport": "sse" }),
        None => json!({ "url": format!("http://{addr}/mcp"), "transport": "http" }),
    };
    let gateway = Gateway::start_unready(Config::of(section).set("upstream.timeout", "2s"));
    until("the health port answers", || gateway.ready().is_some());
    let unready = gateway.probe("/ready");
    assert_eq!(unready.status(), 503, "{}", unready.text());
    assert!(unready.json()["components"].is_object(), "{}", unready.text());
    assert_eq!(gateway.probe("/health").status(), 200, "alive all the same");
    let answer = Client::new(gateway.addr()).request("initialize", initialize_params());
    assert_eq!(error_of(&answer), (-31004, "upstream_error".to_owned()), "{answer}");

    let upstream = Upstream::start_at(addr, kind);
    until("ready once the server is there", || gateway.ready() == Some(200));
    let mut client = gateway.client();
    assert_eq!(client.call_text("echo", json!({ "message": "up" })), "up");
    upstream.stop();
    until("not ready when the server is gone", || gateway.ready() == Some(503));
    let answer = client.call("echo", json!({ "message": "gone" }));
    assert!(answer["error"]["code"].as_i64().is_some_and(|code| code < -31000), "{answer}");
    assert_eq!(sample(&gateway.scrape(), "mcp_proxy_upstream_connected", &[]), Some(0.0));

    drop(upstream);
    let upstream = Upstream::start_at(addr, kind);
    until("ready again", || gateway.ready() == Some(200));
    assert_eq!(gateway.client().call_text("echo", json!({ "message": "again" })), "again");
    assert_eq!(sample(&gateway.scrape(), "mcp_proxy_upstream_connected", &[]), Some(1.0));
    drop(upstream);
}

/// Each policy lets everything but calls through, and fails for calls.
const FAILING: [(&str, &str); 6] = [
    ("two values", "allow if M\n\nallow := x if {\n\tT\n\tsome x in [true, false]\n}\n"),
    ("not a boolean", "allow if M\n\nallow := \"yes\" if T\n"),
    ("undefined", "allow if M\n"),
    (
        "a decision without allow",
        "decision := {\"allow\": true} if M\n\ndecision := {\"violations\": []} if T\n",
    ),
    (
        "an allow that is a string",
        "decision := {\"allow\": true} if M\n\ndecision := {\"allow\": \"true\"} if T\n",
    ),
    (
        "an unknown obligation",
        "decision := {\"allow\": true} if M\n\ndecision := {\"allow\": true, \"obligations\": [{\"kind\": \"launch_rockets\"}]} if T\n",
    ),
];

#[test]
fn a_policy_that_fails_denies() {
    for (name, rules) in FAILING {
        let upstream = Upstream::plain();
        let rules = rules
            .replace("if M", "if input.method != \"tools/call\"")
            .replace("if T", "if input.method == \"tools/call\"");
        let rules = rules.replace("\tT\n", "\tinput.method == \"tools/call\"\n");
        let gateway = Gateway::start(
            Config::new(upstream.addr).policy(&format!("package mcp.policy\n\n{rules}")),
        );
        let answer = gateway.client().call("echo", json!({}));
        let (_, kind) = error_of(&answer);
        let wanted: &[&str] = if name == "undefined" {
            &["policy_denied", "policy_error"]
        } else {
            &["policy_error"]
        };
        assert!(wanted.contains(&kind.as_str()), "{name}: {answer}");
        assert!(upstream.calls().is_empty(), "{name}");
        let rows = gateway.finish();
        let row = only(&rows, "tools/call", "echo");
        assert_ne!(row.text("decision"), "allow", "{name}");
        assert_eq!(
            (row.number("allowed"), row.number("forwarded")),
            (Some(0), Some(0)),
            "{name}: {row:?}"
        );
    }
}

/// Runs for minutes when nobody stops it.
const ENDLESS: &str = r#"package mcp.policy

default allow := true

deny if {
	input.method == "tools/call"
	count([1 | some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i == j + 30000]) > 0
}
"#;

#[test]
fn a_policy_that_takes_too_long_denies_and_others_go_on() {
    let upstream = Upstream::plain();
    let config =
        Config::new(upstream.addr).policy(ENDLESS).set("policy.evaluation.timeout", "50ms");
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    let began = now();
    let answer = client.call("echo", json!({}));
    assert_eq!(error_of(&answer).1, "policy_error", "{answer}");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    assert!(client.request("ping", json!({}))["result"].is_object());
    assert!(upstream.calls().is_empty());
    let rows = gateway.finish();
    assert_eq!(only(&rows, "tools/call", "echo").text("decision"), "error");
}

#[test]
fn in_audit_mode_a_failing_policy_is_recorded_and_does_not_block() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .policy(ENDLESS)
        .set("policy.evaluation.timeout", "50ms")
        .set("policy.mode", "audit");
    let gateway = Gateway::start(config);
    assert_eq!(gateway.client().call_text("echo", json!({ "message": "m" })), "m");
    let rows = gateway.finish();
    let row = only(&rows, "tools/call", "echo");
    assert_eq!((row.text("decision"), row.number("forwarded")), ("error", Some(1)), "{row:?}");
}

#[test]
fn the_client_is_not_shown_the_text_of_a_policy() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(
        Config::new(upstream.addr).policy(ENDLESS).set("policy.evaluation.timeout", "20ms"),
    );
    let text = gateway.client().call("echo", json!({})).to_string();
    for inside in ["numbers.range", ".rego", "main", gateway.config.root().to_str().unwrap()] {
        assert!(!text.contains(inside), "`{inside}` in {text}");
    }
}

#[test]
fn obligations_that_are_not_built_are_never_ignored() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\ndecision := {\"allow\": true, \"obligations\": obligations}\n\nobligations := [{\"kind\": \"redact\", \"path\": \"$.x\", \"with\": \"y\"}] if input.tool == \"echo\"\n\nobligations := [] if not input.tool\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let mut client = gateway.client();
    let answer = client.call("echo", json!({ "message": "m" }));
    let carried_out =
        answer.get("result").is_some() && answer["result"]["content"][0]["text"] != "m";
    assert!(carried_out || answer["error"].is_object(), "{answer}");
}

#[test]
fn an_old_server_cannot_send_messages_elsewhere() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let target = elsewhere.local_addr().unwrap();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    std::thread::spawn(move || {
        // The streams stay open, as an old server's do.
        let mut open = Vec::new();
        for stream in server.incoming().flatten() {
            let mut conn = Conn::over(stream);
            if conn.read_head().is_ok() {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                conn.write(
                    format!("{head}event: endpoint\ndata: http://{target}/message?sessionId=1\n\n")
                        .as_bytes(),
                )
                .unwrap_or_default();
                open.push(conn);
            }
        }
    });
    let config = Config::of(json!({ "url": format!("http://{addr}/sse"), "transport": "sse" }))
        .set("upstream.timeout", "1s");
    let gateway = Gateway::start_unready(config.set("upstream.retry.enabled", false));
    let answer = Client::new(gateway.addr()).request("initialize", initialize_params());
    assert!(answer["error"].is_object(), "{answer}");
    assert!(elsewhere.accept().is_err(), "the gateway connected to where the server pointed");
}

#[test]
fn an_answer_that_policy_denies_is_withheld() {
    let policy = "package mcp.policy\n\ndefault allow := true\n\ndeny contains \"no secrets\" if {\n\tinput.stage == \"response\"\n\tcontains(input.result.content[0].text, \"hunter2\")\n}\n";
    let kinds = [
        (Kind { stateful: true, ..Kind::default() }, "/mcp", "http"),
        (Kind { stateful: true, sse: true, legacy: None }, "/mcp", "http"),
        (Kind { legacy: Some("/sse"), ..Kind::default() }, "/sse", "sse"),
    ];
    for (kind, path, transport) in kinds {
        let upstream = Upstream::start(kind);
        let section =
            json!({ "url": format!("http://{}{path}", upstream.addr), "transport": transport });
        let gateway = Gateway::start(Config::of(section).policy(policy));
        let mut client = gateway.client();
        assert_eq!(client.call_text("echo", json!({ "message": "plain" })), "plain", "{kind:?}");
        let answer = client.call("echo", json!({ "message": "hunter2" }));
        assert!(answer["error"].is_object(), "{kind:?}: {answer}");
        assert!(!answer.to_string().contains("hunter2"), "{kind:?}: {answer}");
        let rows = gateway.finish();
        let calls: Vec<_> = rows.iter().filter(|row| row.is("tools/call", "echo")).collect();
        assert_eq!(calls.len(), 2, "{kind:?}: one row a message: {rows:#?}");
        assert_eq!(
            (calls[1].text("decision"), calls[1].text("stage")),
            ("deny", "response"),
            "{kind:?}"
        );
    }
}
