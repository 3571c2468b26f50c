//! Keys whose effect no other module shows: each is set, and what changes is seen from outside.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::gateway::sample;
use crate::harness::http::Head;
use crate::harness::python::number;
use crate::harness::rows::only;
use crate::harness::wait::now;
use crate::harness::{
    Client, Config, Conn, Gateway, Kind, Upstream, free_port, initialize_params, run_in, until,
};

#[test]
fn another_version_of_the_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("c.yaml"),
        "version: \"2.0\"\nupstream:\n  url: http://127.0.0.1:1\n",
    )
    .unwrap();
    let output = run_in(dir.path(), &["config", "validate", "--config", "c.yaml"], &[]);
    assert_eq!(output.code, 2);
    assert!(
        output.stderr.contains("version") && output.stderr.contains("2.0"),
        "{}",
        output.stderr
    );
}

/// Asks for a large answer, reads none of it for a while, then the rest.
fn read_late(write_timeout: &str) -> bool {
    const BYTES: u64 = 30_000_000;
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .set("server.write_timeout", write_timeout)
        .set("upstream.max_message_bytes", 64_000_000)
        .set("server.graceful_shutdown", "100ms");
    let gateway = Gateway::start(config);
    let client = gateway.client();
    let session = client.session.clone().unwrap();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "large", "arguments": { "bytes": BYTES } } });
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Mcp-Session-Id", session.as_str()),
    ];
    let mut conn = Conn::open(gateway.addr());
    conn.send("POST", "/mcp", &headers, body.to_string().as_bytes()).unwrap();
    let head: Head = conn.read_head().unwrap();
    assert_eq!(head.status(), 200);
    let began = now();
    until("the reader has been slow for long enough", || {
        began.elapsed() > Duration::from_millis(1_500)
    });
    let mut whole = Vec::new();
    conn.read_to_end(&mut whole).is_ok_and(|read| read > usize::try_from(BYTES).unwrap())
}

#[test]
fn a_client_that_does_not_read_is_cut_off_by_write_timeout() {
    assert!(!read_late("300ms"), "the connection was kept");
    assert!(read_late("20s"), "the connection was cut");
}

#[test]
fn queue_size_bounds_what_waits_for_a_client_without_a_stream() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("session.queue_size", 2));
    let client = gateway.client();
    until("the gateway listens to the server", || upstream.open_streams() >= 1);
    let notification = |n: u32| json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": n } });
    (0..10).for_each(|n| upstream.push(&notification(n)));
    let db = gateway.config.db();
    until("all ten were handled", || {
        db.exists()
            && number(&db, "SELECT count(*) FROM audit_log WHERE method = 'notifications/message'")
                == 10
    });
    let mut stream = client.listen();
    upstream.push(&notification(99));
    let mut seen: Vec<Value> = Vec::new();
    while seen.last() != Some(&json!(99)) {
        seen.push(stream.next_message()["params"]["data"].clone());
    }
    assert!(seen.len() <= 3, "{seen:?}");
}

#[test]
fn the_name_of_the_server_is_in_rows_metrics_and_input() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\ndefault allow := true\n\ndeny contains input.server.name if input.tool == \"delete_file\"\n";
    let gateway =
        Gateway::start(Config::new(upstream.addr).policy(policy).set("upstream.name", "files"));
    let mut client = gateway.client();
    client.call("echo", json!({}));
    assert_eq!(client.call("delete_file", json!({}))["error"]["data"]["reasons"], json!(["files"]));
    assert_eq!(
        sample(&gateway.scrape(), "mcp_proxy_upstream_connected", &[("server", "files")]),
        Some(1.0)
    );
    assert_eq!(only(&gateway.finish(), "tools/call", "echo").text("server"), "files");
}

/// How many connections ten calls in a row open.
fn connections(pool: &str, value: impl Into<Value>, pause: Duration) -> u64 {
    let upstream = Upstream::start(Kind::default());
    let gateway = Gateway::start(
        Config::new(upstream.addr).set(&format!("upstream.connection_pool.{pool}"), value),
    );
    let mut client = gateway.client();
    upstream.wait_for("the handshake is over", |message| {
        message["method"] == "notifications/initialized"
    });
    client.call("echo", json!({}));
    let before = upstream.connections();
    for _ in 0..10 {
        let began = now();
        until("the pause is over", || began.elapsed() >= pause);
        client.call("echo", json!({}));
    }
    upstream.connections() - before
}

#[test]
fn idle_connections_are_kept_as_configured() {
    assert!(connections("max_idle", 8, Duration::ZERO) <= 1);
    assert!(connections("max_idle", 0, Duration::ZERO) >= 10);
    assert!(connections("idle_timeout", "10s", Duration::from_millis(60)) <= 1);
    assert!(connections("idle_timeout", "20ms", Duration::from_millis(60)) >= 9);
}

#[test]
fn max_open_makes_calls_wait_for_their_turn() {
    let upstream = Upstream::plain();
    let gateway =
        Gateway::start(Config::new(upstream.addr).set("upstream.connection_pool.max_open", 1));
    let (mut first, mut second) = (gateway.client(), gateway.client());
    let hold = |id: i32| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "hold" } });
    first.send(&hold(1));
    until("the first call arrives", || upstream.calls().len() == 1);
    second.send(&hold(2));
    until("the second call is in the gateway", || {
        sample(&gateway.scrape(), "mcp_proxy_requests_in_flight", &[]) == Some(2.0)
    });
    assert_eq!(upstream.calls().len(), 1);
    upstream.release();
    first.answer_to(&json!(1));
    until("the second call follows", || upstream.calls().len() == 2);
    upstream.release();
    second.answer_to(&json!(2));
}

/// How long it takes until a client hears that nobody is there.
fn time_to_fail(retry: Value) -> u128 {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let gateway = Gateway::start_unready(Config::new(nobody).set("upstream.retry", retry));
    let mut client = Client::new(gateway.addr());
    let began = now();
    let answer = client.request("initialize", initialize_params());
    assert_eq!(answer["error"]["code"], -31004, "{answer}");
    began.elapsed().as_millis()
}

#[test]
fn connecting_is_tried_again_as_configured() {
    let retry = |enabled: bool, attempts: u32, initial: &str, most: &str, backoff: &str| json!({ "enabled": enabled, "max_attempts": attempts, "initial_delay": initial, "max_delay": most, "backoff": backoff });
    let cases = [
        ("enabled", retry(false, 4, "500ms", "5s", "constant"), 0..350),
        ("max_attempts", retry(true, 1, "500ms", "5s", "constant"), 0..350),
        ("initial_delay", retry(true, 2, "500ms", "5s", "constant"), 240..1_200),
        ("exponential", retry(true, 5, "100ms", "5s", "exponential"), 700..3_000),
        ("constant", retry(true, 5, "100ms", "5s", "constant"), 150..690),
        ("max_delay", retry(true, 5, "100ms", "100ms", "exponential"), 150..690),
    ];
    for (name, settings, wanted) in cases {
        let took = time_to_fail(settings);
        assert!(wanted.contains(&took), "{name}: {took} ms, wanted {wanted:?}");
    }
}

#[test]
fn an_answer_over_max_message_bytes_is_refused() {
    for kind in [
        Kind { stateful: true, ..Kind::default() },
        Kind { stateful: true, sse: true, legacy: None },
    ] {
        let upstream = Upstream::start(kind);
        let gateway =
            Gateway::start(Config::new(upstream.addr).set("upstream.max_message_bytes", 50_000));
        let mut client = gateway.client();
        assert_eq!(client.call_text("large", json!({ "bytes": 40_000 })).len(), 40_000);
        let answer = client.call("large", json!({ "bytes": 60_000 }));
        assert_eq!(answer["error"]["code"], -31004, "{answer}");
        assert_eq!(client.call_text("echo", json!({ "message": "alive" })), "alive");
    }
}

#[test]
fn the_transport_of_the_server_is_found_out_or_insisted_on() {
    let http = Upstream::plain();
    let old = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    for (url, transport, works) in [
        (format!("http://{}/mcp", http.addr), "auto", true),
        (format!("http://{}", http.addr), "auto", true),
        (format!("http://{}/sse", old.addr), "auto", true),
        (format!("http://{}", old.addr), "auto", true),
        (format!("http://{}/mcp", http.addr), "http", true),
        (format!("http://{}/mcp", http.addr), "sse", false),
        (format!("http://{}/sse", old.addr), "http", false),
        (format!("http://{}/sse", old.addr), "sse", true),
    ] {
        let config = Config::of(json!({ "url": url, "transport": transport }))
            .set("upstream.retry.enabled", false);
        let gateway = Gateway::start_unready(config.set("upstream.timeout", "3s"));
        let answer = Client::new(gateway.addr()).request("initialize", initialize_params());
        assert_eq!(answer["result"].is_object(), works, "{url} as {transport}: {answer}");
    }
}

#[test]
fn a_data_file_is_what_rules_read() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\ndefault allow := true\n\ndeny if input.tool in data.forbidden\n\ndeny if input.tool in data.also\n";
    for (name, text) in
        [("more.json", r#"{"forbidden": ["echo"]}"#), ("more.yaml", "forbidden:\n  - echo\n")]
    {
        let config = Config::new(upstream.addr)
            .policy(policy)
            .file(name, text)
            .file("policies/data.json", r#"{"also": ["hold"]}"#);
        let path = config.at(name);
        let gateway = Gateway::start(config.set("policy.data_file", path.to_str().unwrap()));
        let mut client = gateway.client();
        assert_eq!(client.call("echo", json!({}))["error"]["code"], -31001, "{name}");
        assert_eq!(client.call("hold", json!({}))["error"]["code"], -31001, "{name}");
        assert!(client.call("read_file", json!({}))["result"].is_object(), "{name}");
    }
}

#[test]
fn an_empty_policy_folder_name_means_the_shipped_policies() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("policy.policy_dir", ""));
    let mut client = gateway.client();
    assert!(client.call("read_file", json!({ "path": "a" }))["result"].is_object());
    assert_eq!(client.call("write_file", json!({ "path": "a" }))["error"]["code"], -31001);
}

/// Hits and misses of the cache after eight pairs of calls.
fn cache(settings: Value, pause: Duration) -> (f64, f64) {
    let upstream = Upstream::plain();
    let policy =
        "package mcp.policy\n\ndefault allow := true\n\ndeny if input.tool == \"delete_file\"\n";
    let gateway =
        Gateway::start(Config::new(upstream.addr).policy(policy).set("policy.cache", settings));
    let mut client = gateway.client();
    for _ in 0..8 {
        client.call("delete_file", json!({}));
        client.call("echo", json!({}));
        let began = now();
        until("the pause is over", || began.elapsed() >= pause);
    }
    let page = gateway.scrape();
    let value = |name: &str| sample(&page, name, &[]).unwrap_or(0.0);
    (value("mcp_proxy_policy_cache_hits_total"), value("mcp_proxy_policy_cache_misses_total"))
}

#[test]
fn the_cache_is_used_bounded_and_forgets_as_configured() {
    let (hits, _) = cache(json!({ "enabled": true }), Duration::ZERO);
    assert!(hits >= 10.0, "{hits} hits");
    let (hits, _) = cache(json!({ "enabled": false }), Duration::ZERO);
    assert!(hits == 0.0, "{hits} hits though it is off");
    let (hits, misses) = cache(json!({ "enabled": true, "max_entries": 1 }), Duration::ZERO);
    assert!(misses >= 10.0, "{hits} hits and {misses} misses with room for one decision");
    let (hits, misses) =
        cache(json!({ "enabled": true, "ttl": "20ms" }), Duration::from_millis(40));
    assert!(misses >= 14.0, "{hits} hits and {misses} misses though all decisions were old");
}

#[test]
fn one_in_verify_every_reused_decisions_is_made_again() {
    for (every, checked) in [(1, 9.0), (3, 3.0), (0, 0.0)] {
        let upstream = Upstream::plain();
        let gateway =
            Gateway::start(Config::new(upstream.addr).set("policy.cache.verify_every", every));
        // One connection is served by one thread, which has one cache.
        let mut client = gateway.client();
        for _ in 0..10 {
            client.call("echo", json!({}));
        }
        let labels = [("result", "same")];
        let found =
            sample(&gateway.scrape(), "mcp_proxy_policy_cache_verifications_total", &labels);
        assert_eq!(found, Some(checked), "verify_every: {every}");
    }
}

/// Whether a call with a large argument passes a policy that looks for it in a long list.
#[track_caller]
fn passes_limit(key: &str, limit: u64) -> bool {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\nimport rego.v1\n\ndeny if {\n\tmessage := input.arguments.message\n\tdata.numbers[_] == message\n}\n";
    let data = json!({ "numbers": (0..5_000).collect::<Vec<_>>() }).to_string();
    let config = Config::new(upstream.addr)
        .policy(policy)
        .file("policies/data.json", &data)
        .set(&format!("policy.evaluation.{key}"), limit);
    let answer =
        Gateway::start(config).client().call("echo", json!({ "message": "x".repeat(10_000) }));
    assert!(
        answer["result"].is_object() || answer["error"]["data"]["kind"] == "policy_error",
        "{answer}"
    );
    answer["result"].is_object()
}

#[test]
fn an_evaluation_over_its_limits_is_a_denial() {
    for (key, little, enough) in
        [("max_instructions", 1_000, 50_000_000), ("max_input", 5_000, 20_000)]
    {
        assert!(!passes_limit(key, little) && passes_limit(key, enough), "{key}");
    }
}

#[test]
fn strict_builtin_errors_turns_a_failing_builtin_into_a_denial() {
    for (strict, allowed) in [(false, true), (true, false)] {
        let upstream = Upstream::plain();
        let policy =
            "package mcp.policy\n\ndefault allow := true\n\ndeny if 10 / input.arguments.n > 1\n";
        let config = Config::new(upstream.addr)
            .policy(policy)
            .set("policy.evaluation.strict_builtin_errors", strict);
        let answer = Gateway::start(config).client().call("echo", json!({ "n": 0 }));
        assert_eq!(answer["result"].is_object(), allowed, "strict {strict}: {answer}");
    }
}

#[test]
fn a_log_that_takes_nothing_holds_messages_back_and_then_refuses_them() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .set("audit.buffer_size", 4)
        .set("audit.max_wait", "200ms")
        .set("audit.flush_interval", "10ms");
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    let db = gateway.config.db();
    until("the handshake is written", || {
        db.exists() && number(&db, "SELECT count(*) FROM audit_log") == 2
    });
    // Another process holds the database until its standard input ends.
    let script = "import sqlite3,sys\nb=sqlite3.connect(sys.argv[1],isolation_level=None)\nb.execute('BEGIN EXCLUSIVE')\nprint('held',flush=True)\nsys.stdin.read()\nb.execute('ROLLBACK')\nb.close()";
    let mut holder = Command::new("python3")
        .args(["-c", script])
        .arg(&db)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut answers = Vec::new();
    until("a call is refused", || {
        answers.push(client.call("echo", json!({ "message": "m" })));
        answers.last().unwrap()["error"]["code"] == -31008
    });
    let forwarded = upstream.calls().len();
    assert_eq!(forwarded, answers.len() - 1, "a refused call was forwarded");
    until("not ready while the log takes nothing", || gateway.ready() == Some(503));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    until("ready again", || gateway.ready() == Some(200));
    assert_eq!(client.call_text("echo", json!({ "message": "again" })), "again");
    let rows = gateway.finish();
    let sent = rows
        .iter()
        .filter(|row| row.is("tools/call", "echo") && row.number("forwarded") == Some(1))
        .count();
    assert_eq!(sent, forwarded + 1, "{rows:#?}");
}

#[test]
fn max_bytes_cuts_what_is_captured() {
    for (bytes, cut) in [(64, true), (4096, false)] {
        let upstream = Upstream::plain();
        let capture =
            json!({ "request_arguments": true, "response_summary": true, "max_bytes": bytes });
        let gateway = Gateway::start(Config::new(upstream.addr).set("audit.capture", capture));
        gateway.client().call("echo", json!({ "message": format!("{}END", "m".repeat(200)) }));
        let row = only(&gateway.finish(), "tools/call", "echo").clone();
        assert_eq!(row.0["arguments"].to_string().contains("END"), !cut, "{row:?}");
        assert!(!cut || row.0["response_summary"].to_string().len() < 200, "{row:?}");
    }
}

#[test]
fn metrics_and_probes_listen_where_they_are_told() {
    for (section, path) in [("metrics", "/metrics"), ("health", "/health")] {
        let upstream = Upstream::plain();
        let config = Config::new(upstream.addr).set(&format!("{section}.address"), "127.0.0.3");
        let port = if section == "metrics" { config.metrics } else { config.health };
        let gateway = Gateway::start_unready(config);
        let at = SocketAddr::from(([127, 0, 0, 3], port));
        until("it listens there", || std::net::TcpStream::connect(at).is_ok());
        assert_eq!(Conn::open(at).request("GET", path, &[], b"").status(), 200);
        assert!(
            std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
            "{section} listens on 127.0.0.1 too"
        );
        drop(gateway);
    }
}

#[test]
fn metrics_and_probes_may_share_a_port() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr);
    let port = config.health;
    let gateway = Gateway::start(config.set("metrics.port", port));
    assert_eq!(gateway.probe("/metrics").status(), 200);
    assert_eq!(gateway.probe("/health").status(), 200);
}

/// What lies beside the log after a start with a full file and two older ones.
fn rotated(max_size: u32, max_backups: u32, age_of_newest: &str) -> Vec<String> {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .file("gateway.log", &"x".repeat(2_000_000))
        .file("gateway.log.1", "one")
        .file("gateway.log.2", "two");
    let touched =
        Command::new("touch").args(["-d", age_of_newest]).arg(config.at("gateway.log.1")).status();
    assert!(touched.unwrap().success());
    let path = config.at("gateway.log");
    let file = json!({ "path": path.to_str().unwrap(), "max_size": max_size, "max_backups": max_backups, "max_age": 30 });
    let logging = json!({ "level": "debug", "output": "file", "file": file });
    let gateway = Gateway::start(config.set("logging", logging));
    gateway.client().call("echo", json!({}));
    let finished = gateway.stop();
    let names = ["gateway.log", "gateway.log.1", "gateway.log.2", "gateway.log.3"];
    let begins = |name: &str| {
        std::fs::read_to_string(finished.config.at(name))
            .map_or_else(|_| "-".to_owned(), |text| text.chars().take(3).collect())
    };
    names.map(begins).to_vec()
}

#[test]
fn the_log_file_is_rotated_and_old_ones_are_removed() {
    for (key, size, backups, age, wanted) in [
        ("max_size", 100, 5, "now", ["xxx", "one", "two", "-"]),
        ("max_size", 1, 5, "now", ["{\"t", "xxx", "one", "two"]),
        ("max_backups", 1, 2, "now", ["{\"t", "xxx", "one", "-"]),
        ("max_backups", 1, 0, "now", ["{\"t", "-", "-", "-"]),
    ] {
        assert_eq!(rotated(size, backups, age), wanted, "{key}: {size} MB, {backups} older files");
    }
    let kept = rotated(1, 5, "40 days ago");
    assert!(!kept.contains(&"one".to_owned()), "max_age: {kept:?}");
}

/// A variable for every key, set to the default: nothing may be refused or unknown.
#[test]
fn every_key_has_its_variable() {
    let config = Config::new(([127, 0, 0, 1], 1).into());
    let shown = run_in(config.root(), &["config", "schema"], &[]);
    let schema: Value = serde_json::from_str(&shown.stdout).unwrap();
    let mut env = Vec::new();
    variables(&schema, &schema["properties"], "MCP", &Value::Null, &mut env);
    assert!(env.len() > 50, "{env:?}");
    config.write();
    let output = run_in(config.root(), &["config", "validate", "--config", "proxy.yaml"], &env);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(!output.stderr.contains("MCP_"), "{}", output.stderr);
}

/// Names and default values of the scalars below `members`.
fn variables(
    root: &Value,
    members: &Value,
    path: &str,
    defaults: &Value,
    found: &mut Vec<(String, String)>,
) {
    for (name, member) in members.as_object().unwrap() {
        let place = format!("{path}_{}", name.to_uppercase());
        let default = if defaults[name].is_null() { &member["default"] } else { &defaults[name] };
        let target = member["$ref"].as_str().or_else(|| member["allOf"][0]["$ref"].as_str());
        let node =
            target.map_or(member, |name| root.pointer(name.trim_start_matches('#')).unwrap());
        if node["properties"].is_object() {
            variables(root, &node["properties"], &place, default, found);
        } else if let Some(text) = default.as_str().filter(|text| !text.is_empty()) {
            found.push((place, text.to_owned()));
        } else if default.is_number() || default.is_boolean() {
            found.push((place, default.to_string()));
        }
    }
}
