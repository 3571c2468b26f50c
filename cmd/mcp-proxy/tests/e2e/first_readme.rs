//! The first contract: the configuration, the variables and the policies that
//! the ancestor's README prints must work as printed there. Only the address
//! of the server and the port are replaced.

use serde_json::json;

use crate::harness::gateway::sample;
use crate::harness::{Client, Config, Gateway, Kind, LegacyClient, Upstream, rows, run_in, until};

const YAML: &str = r#"version: "1.0"

server:
  listen:
    address: "0.0.0.0"
    port: 3000
  transport: "sse"

upstream:
  url: "http://your-mcp-server:8080"
  transport: "sse"

policy:
  enabled: true
  mode: "enforce"      # "audit" to log only, "enforce" to block
  policy_dir: "policies"

audit:
  enabled: true
  db_path: "audit.db"
"#;

const FILE_SYSTEM: &str = r#"package mcp.policy

default allow = false

# Allow read operations for agents with read capability
allow {
    input.method == "tools/call"
    startswith(input.tool, "read_")
    has_capability("read:*")
}

# Block write operations to sensitive directories
deny {
    input.method == "tools/call"
    input.tool == "write_file"
    startswith(input.arguments.path, "/etc/")
}

# Helper: check if agent has capability
has_capability(cap) {
    input.agent.capabilities[_] == cap
}
"#;

const RATE_LIMIT: &str = r"package mcp.policy

# Limit to 100 requests per session
deny {
    input.session.request_count > 100
}
";

/// A gateway whose configuration is the printed text, with two substitutions.
fn printed(upstream: &Upstream, policy: &str, env: &[(&str, &str)]) -> Gateway {
    let mut config = Config::new(upstream.addr).policy(policy);
    config.env =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let url = format!("http://{}", upstream.addr);
    let text =
        YAML.replace("http://your-mcp-server:8080", &url).replace("3000", &config.port.to_string());
    let file = config.at("config.yaml");
    std::fs::write(&file, text).unwrap();
    let process = crate::harness::gateway::Process::spawn(
        config.root(),
        &["--config", "config.yaml"],
        &config.env,
    );
    let mut gateway = Gateway { process, config };
    until("the printed configuration starts", || {
        assert!(gateway.process.ended().is_none(), "{}", gateway.process.stderr());
        std::net::TcpStream::connect(gateway.addr()).is_ok()
    });
    gateway
}

#[track_caller]
fn reaches_the_server(origin: &'static str) {
    let upstream = Upstream::start(Kind { legacy: Some(origin), ..Kind::default() });
    let gateway = printed(&upstream, "package mcp.policy\n\ndefault allow = true\n", &[]);
    let mut client = LegacyClient::open(gateway.addr(), "/sse");
    client.handshake();
    for _ in 0..2 {
        assert!(client.request("tools/list", json!({}))["result"]["tools"].is_array());
        let answer = client.call("echo", json!({ "message": "printed" }));
        assert_eq!(answer["result"]["content"][0]["text"], "printed", "{answer}");
    }
    let finished = gateway.stop();
    assert_eq!(finished.code, 0);
    let warned = finished.stderr.contains("`server.security.allowed_hosts`");
    assert!(warned, "it listens to all, and lets nobody in: {}", finished.stderr);
    assert_eq!(rows(&finished.config.at("audit.db")).len(), 6, "audit.db lies where the file says");
}

#[test]
fn the_printed_configuration_reaches_a_server_whose_stream_is_at_its_root() {
    reaches_the_server("/");
}

#[test]
fn the_printed_configuration_reaches_a_server_whose_stream_is_at_sse() {
    reaches_the_server("/sse");
}

#[test]
fn the_printed_configuration_reaches_a_server_whose_stream_is_anywhere() {
    reaches_the_server("*");
}

#[test]
fn the_printed_file_system_policy_works() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let gateway = printed(&upstream, FILE_SYSTEM, &[("MCP_AGENT_CAPABILITIES", "read:*")]);
    let mut client = LegacyClient::open(gateway.addr(), "/sse");
    client.handshake();
    let read = client.call("read_file", json!({ "path": "/tmp/a" }));
    assert_eq!(read["result"]["content"][0]["text"], "ran read_file", "{read}");
    let write = client.call("write_file", json!({ "path": "/etc/passwd" }));
    assert_eq!(write["error"]["code"], -31001, "{write}");
    let other = client.call("write_file", json!({ "path": "/tmp/a" }));
    assert_eq!(other["error"]["code"], -31001, "default allow = false: {other}");
    assert_eq!(upstream.calls(), ["read_file"]);
}

#[test]
fn the_printed_file_system_policy_denies_without_the_capability() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let gateway = printed(&upstream, FILE_SYSTEM, &[("MCP_AGENT_CAPABILITIES", "write:*")]);
    let mut client = LegacyClient::open(gateway.addr(), "/sse");
    client.handshake();
    assert_eq!(client.call("read_file", json!({ "path": "/tmp/a" }))["error"]["code"], -31001);
    assert!(upstream.calls().is_empty());
}

#[test]
fn the_printed_file_system_policy_decides_as_it_reads() {
    let config = Config::new(([127, 0, 0, 1], 1).into()).policy(FILE_SYSTEM);
    let cases = [
        ("read_file", "/tmp/a", json!(["read:*"]), 0),
        ("read_file", "/tmp/a", json!(["write:*"]), 1),
        ("read_file", "/tmp/a", json!([]), 1),
        ("write_file", "/etc/passwd", json!(["read:*"]), 1),
        ("write_file", "/tmp/a", json!(["read:*"]), 1),
    ];
    for (tool, path, capabilities, code) in cases {
        let input = json!({ "stage": "request", "method": "tools/call", "tool": tool,
            "arguments": { "path": path }, "agent": { "id": "a", "capabilities": capabilities } });
        std::fs::write(config.at("input.json"), input.to_string()).unwrap();
        let output = run_in(
            config.root(),
            &["policy", "eval", "-d", "policies", "-i", "input.json", "--format", "json"],
            &[],
        );
        assert_eq!(
            output.code, code,
            "{tool} {path} {capabilities}: {} {}",
            output.stdout, output.stderr
        );
    }
}

#[test]
fn the_printed_rate_limit_works() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let gateway = printed(&upstream, RATE_LIMIT, &[]);
    for _ in 0..2 {
        let mut client = LegacyClient::open(gateway.addr(), "/sse");
        client.handshake();
        let answers: Vec<bool> = (0..110)
            .map(|_| client.call("echo", json!({ "message": "m" })).get("result").is_some())
            .collect();
        let allowed = answers.iter().take_while(|allowed| **allowed).count();
        assert!(
            (98..=99).contains(&allowed),
            "{allowed} calls passed a limit of 100 requests a session"
        );
        assert!(answers[allowed..].iter().all(|allowed| !allowed));
    }
}

#[test]
fn mcp_server_port_and_upstream_url_replace_the_file() {
    let upstream = Upstream::plain();
    let config = Config::of(json!({ "url": "http://127.0.0.1:1/mcp", "transport": "http" }));
    let port = config.port.to_string();
    let url = format!("http://{}/mcp", upstream.addr);
    let config = config
        .set("server.listen.port", 1)
        .env("MCP_SERVER_PORT", &port)
        .env("MCP_UPSTREAM_URL", &url);
    let gateway = Gateway::start(config);
    assert_eq!(gateway.client().call_text("echo", json!({ "message": "m" })), "m");
}

#[test]
fn mcp_policy_mode_and_enabled_replace_the_file() {
    for (name, value, forwarded) in [
        ("MCP_POLICY_MODE", "audit", 1),
        ("MCP_POLICY_MODE", "enforce", 0),
        ("MCP_POLICY_ENABLED", "false", 1),
        ("MCP_POLICY_ENABLED", "true", 0),
    ] {
        let upstream = Upstream::plain();
        let gateway = Gateway::start(Config::new(upstream.addr).env(name, value));
        gateway.client().call("delete_file", json!({}));
        assert_eq!(upstream.calls().len(), forwarded, "{name}={value}");
    }
}

#[test]
fn mcp_audit_enabled_replaces_the_file() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).env("MCP_AUDIT_ENABLED", "false"));
    gateway.client().call("echo", json!({}));
    let finished = gateway.stop();
    assert_eq!(finished.code, 0);
    assert!(!finished.config.db().exists(), "a log was written though it is off");
}

#[test]
fn mcp_logging_level_replaces_the_file() {
    let upstream = Upstream::plain();
    let mut sizes = Vec::new();
    for level in ["error", "info", "debug"] {
        let gateway = Gateway::start(Config::new(upstream.addr).env("MCP_LOGGING_LEVEL", level));
        let mut client = gateway.client();
        client.call("echo", json!({}));
        // What becomes of the session at the server is told at `debug`.
        client.delete();
        sizes.push(gateway.stop().stderr.len());
    }
    assert!(
        sizes[0] <= sizes[1] && sizes[1] < sizes[2],
        "bytes logged at error, info, debug: {sizes:?}"
    );
}

#[test]
fn mcp_metrics_and_health_enabled_open_the_printed_paths() {
    let upstream = Upstream::plain();
    let config =
        Config::new(upstream.addr).set("metrics.enabled", false).set("health.enabled", false);
    let gateway = Gateway::start_unready(config);
    for port in [gateway.config.metrics, gateway.config.health] {
        assert!(
            std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
            "{port} is open though it is off"
        );
    }
    drop(gateway);
    let config =
        Config::new(upstream.addr).set("metrics.enabled", false).set("health.enabled", false);
    let gateway =
        Gateway::start(config.env("MCP_METRICS_ENABLED", "true").env("MCP_HEALTH_ENABLED", "true"));
    gateway.client().call("echo", json!({}));
    assert_eq!(gateway.probe("/health").status(), 200);
    let ready = gateway.probe("/ready");
    assert_eq!(ready.status(), 200);
    let body = ready.json();
    for member in ["status", "timestamp", "version", "components"] {
        assert!(!body[member].is_null(), "{member}: {body}");
    }
    let components = body["components"].as_object().unwrap();
    assert!(components.len() >= 3, "policies, audit log and upstream are named: {body}");
    for (name, component) in components {
        assert!(
            component["status"].is_string() && !component["latency"].is_null(),
            "{name}: {body}"
        );
    }
    let page = gateway.scrape();
    for (name, labels) in [
        ("mcp_proxy_requests_total", &[("method", "tools/call")][..]),
        ("mcp_proxy_request_duration_seconds_count", &[("method", "tools/call")]),
        ("mcp_proxy_policy_decisions_total", &[("decision", "allow")]),
        ("mcp_proxy_active_sessions", &[]),
    ] {
        assert!(
            sample(&page, name, labels).is_some_and(|value| value >= 1.0),
            "{name} {labels:?} in {page}"
        );
    }
}

#[test]
fn the_defaults_are_the_printed_ones() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.yaml"), "upstream: {url: \"http://127.0.0.1:1\"}\n").unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    let output = run_in(dir.path(), &["config", "show", "--config", "c.yaml"], &[]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    for line in
        ["port: 3000", "mode: enforce", "enabled: true", "level: info", "port: 9090", "port: 8080"]
    {
        assert!(output.stdout.contains(line), "{line} is not in {}", output.stdout);
    }
}

#[test]
fn the_first_aliases_of_the_environment_still_work() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr);
    let (port, db) = (config.port.to_string(), config.at("other.db"));
    let rules = config.at("other-policies");
    let config = config
        .file("other-policies/p.rego", "package mcp.policy\n\ndefault allow = false\n\nallow { input.method != \"tools/call\" }\n")
        .unset("server.listen")
        .set("server.transport", "http")
        .env("MCP_SERVER_PORT", &port)
        .env("MCP_SERVER_ADDRESS", "127.0.0.1")
        .env("MCP_SERVER_TRANSPORT", "all")
        .env("MCP_POLICY_RULES_DIR", rules.to_str().unwrap())
        .env("MCP_AUDIT_DB_PATH", db.to_str().unwrap())
        .env("MCP_AGENT_ID", "from-env")
        .env("MCP_AGENT_NAME", "From Env")
        .env("MCP_AGENT_CAPABILITIES", "read:*, write:*")
        .env("MCP_LOGGING_FORMAT", "json");
    let gateway = Gateway::start(config);
    let mut client: Client = gateway.client();
    assert_eq!(client.call("echo", json!({}))["error"]["code"], -31001);
    drop(gateway.legacy_client());
    let finished = gateway.stop();
    let rows = rows(&db);
    let call = rows.iter().find(|row| row.is("tools/call", "echo")).unwrap();
    assert_eq!((call.text("agent_id"), call.text("agent_name")), ("from-env", "From Env"));
    let granted = call.0["capabilities"].to_string();
    assert!(
        granted.contains("read:*") && granted.contains("write:*") && !granted.contains(" write"),
        "{granted}"
    );
    let first =
        finished.stderr.lines().find(|line| line.starts_with('{')).expect("no JSON in the log");
    serde_json::from_str::<serde_json::Value>(first).unwrap();
}
