//! Policies change while they decide: by their files, by SIGHUP, by a request of
//! an operator. What cannot be loaded changes nothing, and every row names the
//! one set that decided.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::gateway::sample;
use crate::harness::wait::now;
use crate::harness::{Client, Config, Gateway, Row, Upstream, free_port, until};

/// Denies the tool `name`.
fn denies(name: &str) -> String {
    format!(
        "package mcp.policy\n\nimport rego.v1\n\nviolations contains {{\"msg\": \"no\", \"rule\": \"no_{name}\"}} if input.tool == \"{name}\"\n"
    )
}

fn config(upstream: &Upstream) -> Config {
    Config::new(upstream.addr).operated().policy(&denies("echo"))
}

#[track_caller]
fn denied(client: &mut Client, tool: &str) -> bool {
    let answer = client.call(tool, json!({}));
    assert!(answer["result"].is_object() || answer["error"]["code"] == -31001, "{answer}");
    answer["error"].is_object()
}

#[track_caller]
fn reloads(gateway: &Gateway, result: &str) -> f64 {
    let labels = [("result", result)];
    sample(&gateway.scrape(), "mcp_proxy_policy_reloads_total", &labels).expect("no such metric")
}

fn acts<'a>(rows: &'a [Row], method: &str) -> Vec<&'a Row> {
    rows.iter().filter(|row| row.text("method") == method).collect()
}

#[test]
fn a_change_of_the_files_is_taken_over_and_can_be_proven() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(config(&upstream));
    let mut client = gateway.client();
    assert!(denied(&mut client, "echo") && !denied(&mut client, "read_file"));
    let old = gateway.revision();
    gateway.config.put("policies/main.rego", &denies("read_file"));
    until("the new set decides", || !denied(&mut client, "echo"));
    assert!(denied(&mut client, "read_file"));
    let new = gateway.revision();
    assert_ne!(old, new);

    let page = gateway.scrape();
    let config = gateway.policy()["config"].as_str().unwrap().to_owned();
    let info = [("revision", &*new), ("config", &*config)];
    assert_eq!(sample(&page, "mcp_proxy_policy_info", &info), Some(1.0), "{page}");
    assert_eq!(sample(&page, "mcp_proxy_policy_info", &[("revision", &old)]), None);
    assert_eq!(reloads(&gateway, "ok"), 1.0);
    let ready = gateway.probe("/ready").text();
    assert!(ready.contains(&new) && ready.contains(&config), "{ready}");
    assert!(gateway.operate(&["config", "show"]).contains(&config));

    let rows = gateway.finish();
    let at = rows.iter().position(|row| row.text("method") == "gateway/policy_reload").unwrap();
    assert_eq!(rows[at].text("decision"), "allow");
    assert!(rows[..at].iter().all(|row| row.text("policy_revision") == old), "{rows:#?}");
    let mut revisions: Vec<&str> = rows.iter().map(|row| row.text("policy_revision")).collect();
    revisions.remove(at);
    revisions.dedup();
    assert_eq!((revisions, rows[at].text("policy_revision")), (vec![&*old, &*new], &*new));
    assert!(rows.iter().all(|row| row.text("config_revision") == config), "{rows:#?}");
}

#[test]
fn without_watching_the_files_only_who_asks_is_served() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(config(&upstream).set("policy.watch_for_changes", false));
    let mut client = gateway.client();
    gateway.config.put("policies/main.rego", &denies("read_file"));
    let began = now();
    while began.elapsed() < Duration::from_secs(2) {
        assert!(denied(&mut client, "echo"), "the files are watched");
    }
    gateway.process.signal(Signal::SIGHUP);
    until("SIGHUP loads", || !denied(&mut client, "echo"));

    gateway.config.put("policies/main.rego", &denies("delete_file"));
    let (status, body) = gateway.reload();
    assert_eq!((status, &body["result"], &body["cause"]), (200, &json!("ok"), &json!("operator")));
    assert!(denied(&mut client, "delete_file") && !denied(&mut client, "read_file"));
    let (status, body) = gateway.reload();
    assert_eq!((status, &body["result"]), (200, &json!("unchanged")));
    assert_eq!(acts(&gateway.finish(), "gateway/policy_reload").len(), 2);
}

#[test]
fn a_set_that_cannot_be_loaded_changes_nothing_and_is_told() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(config(&upstream).set("policy.watch_for_changes", false));
    let mut client = gateway.client();
    let old = gateway.revision();
    for (text, told) in [
        ("package mcp.policy\n\ndeny if {\n", "policies/main.rego:"),
        ("package mcp.policy\n\nimport rego.v1\n\ndeny if input.usr == 1\n", "input.usr"),
        ("package mcp.policy\n\nimport rego.v1\n\ndeny if nonsense(1)\n", "nonsense"),
        ("", "policies"),
        ("\u{0}\u{1}\u{7f}ELF", "policies/main.rego"),
        (&format!("package mcp.policy\n{}", "# x\n".repeat(600_000)), "policies/main.rego"),
    ] {
        gateway.config.put("policies/main.rego", text);
        let (status, body) = gateway.reload();
        assert_eq!((status, &body["result"]), (422, &json!("error")), "{body}");
        assert!(body["error"].as_str().unwrap().contains(told), "{body}");
        assert!(denied(&mut client, "echo"));
        assert_eq!((gateway.revision(), gateway.ready()), (old.clone(), Some(200)));
    }
    std::fs::remove_dir_all(gateway.config.at("policies")).unwrap();
    assert_eq!(gateway.reload().0, 422, "a folder that is gone brings no other policies");
    assert!(denied(&mut client, "echo"));
    assert_eq!(reloads(&gateway, "error"), 7.0);
    let rows = gateway.finish();
    let acts = acts(&rows, "gateway/policy_reload");
    assert_eq!(acts.len(), 7);
    for act in acts {
        assert_eq!(act.text("decision"), "error");
        assert!(!act.text("error").is_empty() && act.text("policy_revision") == old, "{act:?}");
    }
}

#[test]
fn with_a_bad_policy_nothing_listens() {
    let upstream = Upstream::plain();
    let config = config(&upstream).policy("package mcp.policy\n\nimport rego.v1\n\ndeny if x\n");
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], config.port));
    let mut gateway = Gateway::launch(config);
    assert_eq!(gateway.process.wait(), Some(2));
    assert!(gateway.process.stderr().contains("main.rego:5"), "{}", gateway.process.stderr());
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn a_config_map_is_swapped_within_two_seconds() {
    // As Kubernetes does it: files are links into `..data`, which is a link that is renamed over.
    let upstream = Upstream::plain();
    let config = config(&upstream);
    let policies = config.at("policies");
    std::fs::remove_file(policies.join("main.rego")).unwrap();
    let config = config
        .file("policies/..1/main.rego", &denies("echo"))
        .file("policies/..2/main.rego", &denies("read_file"));
    symlink("..1", policies.join("..data")).unwrap();
    symlink("..data/main.rego", policies.join("main.rego")).unwrap();
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    assert!(denied(&mut client, "echo"));
    symlink("..2", policies.join("..next")).unwrap();
    std::fs::rename(policies.join("..next"), policies.join("..data")).unwrap();
    let began = now();
    until("the swap is seen", || !denied(&mut client, "echo"));
    let took = began.elapsed();
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    assert!(denied(&mut client, "read_file"));
}

#[test]
fn in_a_storm_of_reloads_no_call_fails_and_each_row_names_one_set() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(config(&upstream));
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    let mut wanted = BTreeMap::new();
    std::thread::scope(|scope| {
        let callers: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| (0..200).filter(|_| denied(client, "echo")).count()))
            .collect();
        for turn in 0_u32.. {
            let tool = ["echo", "read_file"][turn as usize % 2];
            gateway.config.put("policies/main.rego", &format!("{}# {}\n", denies(tool), turn % 8));
            let (status, body) = gateway.reload();
            assert_eq!(status, 200, "{body}");
            wanted.insert(gateway.revision(), tool);
            if callers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
    });
    wanted.insert(gateway.revision(), "echo");
    let rows = gateway.finish();
    let calls: Vec<&Row> = rows.iter().filter(|row| row.is("tools/call", "echo")).collect();
    assert_eq!(calls.len(), 600);
    for row in &calls {
        // What a set denies, its own revision says: no decision of one set under the name of another.
        if let Some(tool) = wanted.get(row.text("policy_revision")) {
            let expected = if *tool == "echo" { "deny" } else { "allow" };
            assert_eq!(row.text("decision"), expected, "{row:?}");
        }
    }
    let named: BTreeSet<&str> = calls.iter().map(|row| row.text("policy_revision")).collect();
    assert!(named.len() > 2, "{named:?}");
    let loaded: BTreeSet<&str> = acts(&rows, "gateway/policy_reload")
        .into_iter()
        .map(|row| row.text("policy_revision"))
        .collect();
    let first = rows[0].text("policy_revision");
    assert!(named.iter().all(|name| *name == first || loaded.contains(name)), "{named:?}");
}

#[test]
fn a_weaker_set_waits_for_a_person() {
    let upstream = Upstream::plain();
    let config = config(&upstream).set("policy.reload.hold_weaker", true);
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    let old = gateway.revision();
    gateway.config.put("policies/main.rego", &denies("read_file"));
    until("the weaker set is held", || gateway.policy()["held"].is_object());
    let held = gateway.policy()["held"]["revision"].as_str().unwrap().to_owned();
    let weaker = gateway.policy()["held"]["weaker"].to_string();
    assert!(weaker.contains("no_echo"), "{weaker}");
    assert!(denied(&mut client, "echo"));
    assert_eq!((gateway.revision(), gateway.ready()), (old, Some(200)));
    let metric = |gateway: &Gateway| sample(&gateway.scrape(), "mcp_proxy_policy_held", &[]);
    assert_eq!((metric(&gateway), reloads(&gateway, "held")), (Some(1.0), 1.0));

    gateway.operate(&["policy", "approve", held.get(..12).unwrap()]);
    until("what was approved decides", || !denied(&mut client, "echo"));
    assert_eq!((gateway.revision(), metric(&gateway)), (held.clone(), Some(0.0)));
    let rows = gateway.finish();
    let decisions: Vec<(&str, &str)> = acts(&rows, "gateway/policy_reload")
        .into_iter()
        .map(|row| (row.text("decision"), row.text("policy_revision")))
        .collect();
    assert_eq!(decisions, [("deny", &*held), ("allow", &*held)]);
}

/// Denies the tools of its data.
const LISTED: &str = "package mcp.policy\n\nimport rego.v1\n\nviolations contains {\"msg\": \"no\", \"rule\": \"listed\"} if input.tool in data.denied\n";

#[test]
fn what_recorded_calls_would_now_be_allowed_is_found_by_deciding_them_again() {
    // The rule is the same; only its data changed, so that nothing but the replay can tell.
    let upstream = Upstream::plain();
    for (replay, held) in [(1000, true), (0, false)] {
        let config = config(&upstream)
            .set("policy.reload", json!({ "replay": replay, "hold_weaker": true }))
            .policy(LISTED)
            .file("policies/data.json", r#"{"denied": ["echo"]}"#);
        let gateway = Gateway::start(config);
        let mut client = gateway.client();
        assert!(denied(&mut client, "echo"));
        until("the row is written", || gateway.recorded("tools/call") == 1);
        gateway.config.put("policies/data.json", r#"{"denied": []}"#);
        let (status, body) = gateway.reload();
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["result"], if held { "held" } else { "ok" }, "{replay}: {body}");
        assert_eq!(denied(&mut client, "echo"), held);
    }
}

#[test]
fn the_pages_of_operators_are_not_for_web_pages() {
    let upstream = Upstream::plain();
    let port = free_port();
    let admin = json!({ "enabled": true, "address": "127.0.0.1", "port": port });
    let gateway = Gateway::start(Config::new(upstream.addr).set("admin", admin));
    assert_eq!(gateway.probe("/api/v1/policy").status(), 404, "they are on their own port");
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let ask = |headers: &[(&str, &str)]| {
        let mut conn = crate::harness::Conn::open(addr);
        conn.request("POST", "/api/v1/policy/reload", headers, b"{}").status()
    };
    let json = ("Content-Type", "application/json");
    assert_eq!(ask(&[json]), 200);
    assert_eq!(ask(&[json, ("Origin", "http://127.0.0.1")]), 403);
    assert_eq!(ask(&[("Content-Type", "text/plain")]), 415);
    assert_eq!(ask(&[]), 415);
    let refused = Config::new(upstream.addr).operated().set("admin.address", "0.0.0.0");
    let mut refused = Gateway::launch(refused);
    assert_eq!(refused.process.wait(), Some(2));
    assert!(refused.process.stderr().contains("admin.address"), "{}", refused.process.stderr());
}
