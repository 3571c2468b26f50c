//! A whole gateway over real files and ports.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use audit::{Filter, Reader, Row};
use domain::Mode;
use settings::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{STRICT, STRICTER};
use crate::{ControlFolder, Process, Running, start};

/// The digest of the configuration.
const CONFIG: &str = "0011223344556677";
/// Longest wait for what happens by itself.
const LATEST: Duration = Duration::from_secs(10);

/// A gateway whose files are all in `dir`.
fn settings(dir: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.server.listen.port = 0;
    for (enabled, port) in [
        (&mut settings.metrics.enabled, &mut settings.metrics.port),
        (&mut settings.health.enabled, &mut settings.health.port),
        (&mut settings.admin.enabled, &mut settings.admin.port),
    ] {
        (*enabled, *port) = (true, 0);
    }
    // There is no such server, and nobody gets that far.
    settings.upstream.command = vec!["no-such-server".to_owned()];
    settings.audit.db_path = dir.join("audit.db");
    settings.policy.policy_dir = Some(dir.join("policies"));
    settings
}

fn policies(dir: &Path, text: &str) {
    fs::create_dir_all(dir.join("policies")).unwrap();
    fs::write(dir.join("policies/a.rego"), text).unwrap();
}

async fn run(settings: &Settings) -> Running {
    let process = Process {
        environment: BTreeMap::new(),
        lost_log_lines: Box::new(|| 0),
        config_digest: CONFIG.to_owned(),
    };
    start(settings.clone(), process).await.unwrap()
}

/// One exchange: the status and the body.
async fn ask(address: Option<SocketAddr>, request: &str, body: &str) -> (u16, String) {
    ask_with(address, request, "", body).await
}

/// One exchange with more headers.
async fn ask_with(
    address: Option<SocketAddr>,
    request: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address.unwrap()).await.unwrap();
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

/// Calls a tool as a client without a session does.
async fn call(running: &Running, tool: &str) -> String {
    let headers = format!(
        "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: {tool}\r\n"
    );
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}},
        "_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    ask_with(running.addresses().data, "POST /mcp", &headers, &body).await.1
}

/// Waits until the metrics say `line`.
async fn until(running: &Running, line: &str) {
    let wait = async {
        while !ask(running.addresses().metrics, "GET /metrics", "").await.1.contains(line) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LATEST, wait).await.expect(line);
}

/// Stops, and reads the rows of the gateway's own acts.
async fn rows_of(running: Running, dir: &Path) -> Vec<Row> {
    assert_eq!(running.stop(std::future::pending()).await.lost_rows, 0);
    let mut rows = Reader::open(&dir.join("audit.db")).unwrap().query(&Filter::default()).unwrap();
    rows.sort_by_key(|row| row.id);
    rows.into_iter().filter(|row| row.method.starts_with("gateway/")).collect()
}

#[tokio::test]
async fn what_is_in_force_shows_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    policies(dir.path(), STRICT);
    let running = run(&settings(dir.path())).await;
    let addresses = running.addresses().clone();
    let revision = running.revision().unwrap();
    let info =
        format!("mcp_proxy_policy_info{{config=\"0011223344556677\",revision=\"{revision}\"}} 1");
    until(&running, &info).await;
    let (_, ready) = ask(addresses.health, "GET /ready", "").await;
    let note = format!("revision {revision}, configuration {CONFIG}");
    assert!(ready.contains(&note), "{ready}");
    let (status, shown) = ask(addresses.admin, "GET /api/v1/policy", "").await;
    assert_eq!(status, 200);
    assert!(shown.contains(&*revision) && shown.contains("a.rego"), "{shown}");

    policies(dir.path(), STRICTER);
    running.reload();
    until(&running, "mcp_proxy_policy_reloads_total{result=\"ok\"} 1").await;
    assert_ne!(running.revision().unwrap(), revision);
    policies(dir.path(), "nonsense");
    let (status, told) = ask(addresses.admin, "POST /api/v1/policy/reload", "{}").await;
    assert_eq!(status, 422);
    assert!(told.contains("a.rego:1"), "{told}");
    let rows = rows_of(running, dir.path()).await;
    let decisions: Vec<_> = rows.iter().map(|row| row.decision.as_str()).collect();
    assert_eq!(decisions, ["allow", "error"]);
}

#[tokio::test]
async fn a_lockdown_holds_from_the_start_in_audit_mode_too() {
    let dir = tempfile::tempdir().unwrap();
    policies(dir.path(), STRICT);
    let mut settings = settings(dir.path());
    settings.policy.mode = Mode::Audit;
    // One that could be started.
    settings.upstream.command = vec!["/bin/sh".to_owned()];
    let folder = ControlFolder::of(&settings);
    folder.set_lockdown(true).unwrap();
    let running = run(&settings).await;
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
    let (_, answer) = ask(running.addresses().data, "POST /mcp", initialize).await;
    assert!(answer.contains("-32001") || answer.contains("-31001"), "{answer}");
    assert!(answer.contains("locked the gateway down"), "{answer}");
    let (status, ready) = ask(running.addresses().health, "GET /ready", "").await;
    assert_eq!(status, 200, "{ready}");
    assert!(ready.contains("locked down"), "{ready}");
    folder.set_lockdown(false).unwrap();
    until(&running, "mcp_proxy_lockdown 0").await;
    let rows = rows_of(running, dir.path()).await;
    let methods: Vec<_> = rows.iter().map(|row| row.method.as_str()).collect();
    assert_eq!(methods, ["gateway/lockdown", "gateway/lockdown"]);
}

#[tokio::test]
async fn what_was_denied_lately_and_would_pass_now_waits_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let by_data = r#"package mcp.policy
violations contains {"msg": "blocked", "rule": "blocklist"} if input.tool in data.blocked
"#;
    policies(dir.path(), by_data);
    let block = |tools: &str| {
        fs::write(dir.path().join("policies/data.yaml"), format!("blocked: {tools}")).unwrap();
    };
    block("[write, delete]");
    let mut settings = settings(dir.path());
    settings.policy.reload.hold_weaker = true;
    let running = run(&settings).await;
    for tool in ["write", "delete", "delete"] {
        let answer = call(&running, tool).await;
        assert!(answer.contains("-31001") && answer.contains("blocked"), "{answer}");
    }
    until(&running, "mcp_proxy_audit_records_written_total 3").await;
    block("[delete]");
    running.reload();
    until(&running, "mcp_proxy_policy_held 1").await;
    let (_, shown) = ask(running.addresses().admin, "GET /api/v1/policy", "").await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let weaker = shown["held"]["weaker"][0].as_str().unwrap();
    let expected = "now allowed: 1 × tools/call `write` of agent `anonymous`, which `blocklist` denied (decision ";
    assert!(weaker.starts_with(expected), "{weaker}");
    let basis = "recorded decisions made again: 3; undecidable for lack of evidence: 0";
    assert_eq!(shown["held"]["basis"], basis);
    assert!(call(&running, "write").await.contains("blocked"), "the set before decides");
    let revision = shown["held"]["revision"].as_str().unwrap();
    ControlFolder::of(&settings).approve(revision).unwrap();
    until(&running, "mcp_proxy_policy_held 0").await;
    assert_eq!(running.revision().as_deref(), Some(revision));
    assert!(!call(&running, "write").await.contains("blocked"));

    // What an approved set lets pass is not held against the next one.
    block("[delete, copy]");
    running.reload();
    until(&running, "mcp_proxy_policy_reloads_total{result=\"ok\"} 2").await;
    let rows = rows_of(running, dir.path()).await;
    let decisions: Vec<_> = rows.iter().map(|row| row.decision.as_str()).collect();
    assert_eq!(decisions, ["deny", "allow", "allow"]);
}

/// Row 52 of the security plan: each row names one revision, and its decision is that of this revision.
#[tokio::test]
async fn a_storm_of_reloads_mixes_no_rows() {
    const RELOADS: usize = 10;
    let denied_by = |rule: &str| {
        format!(
            "package mcp.policy\nviolations contains {{\"msg\": \"{rule}\", \"rule\": \"{rule}\"}} if input.tool"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    policies(dir.path(), &denied_by("even"));
    let settings = settings(dir.path());
    let running = run(&settings).await;
    let even = running.revision().unwrap();
    let storm = async {
        for number in 1..=RELOADS {
            policies(dir.path(), &denied_by(if number % 2 == 0 { "even" } else { "odd" }));
            running.reload();
            let done = format!("mcp_proxy_policy_reloads_total{{result=\"ok\"}} {number}\n");
            until(&running, &done).await;
        }
    };
    let calls = async {
        loop {
            let answer = call(&running, "read").await;
            assert!(answer.contains("-31001"), "{answer}");
        }
    };
    tokio::select! {
        () = storm => {}
        () = calls => {}
    }
    assert_eq!(running.stop(std::future::pending()).await.lost_rows, 0);
    let log = Reader::open(&dir.path().join("audit.db")).unwrap();
    let rows = log.query(&Filter { limit: u32::MAX, ..Filter::default() }).unwrap();
    for row in &rows {
        assert_eq!(row.config_revision.as_deref(), Some(CONFIG), "{row:?}");
    }
    let calls: Vec<_> = rows.iter().filter(|row| row.tool.as_deref() == Some("read")).collect();
    let is_even = |row: &Row| row.policy_revision.as_deref() == Some(&*even);
    for row in &calls {
        let rule = if is_even(row) { "even" } else { "odd" };
        assert_eq!(row.matched_rule.as_deref(), Some(rule), "{row:?}");
    }
    let of_even = calls.iter().filter(|row| is_even(row)).count();
    assert!(of_even > 0 && of_even < calls.len(), "{of_even} of {}", calls.len());
}
