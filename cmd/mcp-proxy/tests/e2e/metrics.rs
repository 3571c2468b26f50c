//! Every metric moves, and no label is a client's to invent.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::harness::gateway::sample;
use crate::harness::{Client, Config, Gateway, Upstream, until};

/// A sample that must be larger after the traffic of the test than before it.
const GROWS: &[(&str, &[(&str, &str)])] = &[
    ("mcp_proxy_requests_total", &[("method", "tools/call")]),
    ("mcp_proxy_requests_total", &[("method", "tools/list")]),
    ("mcp_proxy_requests_total", &[("method", "other")]),
    ("mcp_proxy_request_duration_seconds_count", &[("method", "tools/call")]),
    ("mcp_proxy_request_duration_seconds_sum", &[("method", "tools/call")]),
    (
        "mcp_proxy_policy_decisions_total",
        &[("decision", "allow"), ("mode", "enforce"), ("stage", "request")],
    ),
    (
        "mcp_proxy_policy_decisions_total",
        &[("decision", "deny"), ("mode", "enforce"), ("stage", "request")],
    ),
    ("mcp_proxy_policy_decisions_total", &[("decision", "error")]),
    ("mcp_proxy_policy_decisions_total", &[("stage", "list")]),
    ("mcp_proxy_policy_evaluation_seconds_count", &[]),
    ("mcp_proxy_policy_evaluation_seconds_sum", &[]),
    ("mcp_proxy_sessions_total", &[]),
    ("mcp_proxy_session_duration_seconds_count", &[]),
    ("mcp_proxy_policy_cache_hits_total", &[]),
    ("mcp_proxy_policy_cache_misses_total", &[]),
    ("mcp_proxy_upstream_requests_total", &[]),
    ("mcp_proxy_upstream_request_duration_seconds_count", &[]),
    ("mcp_proxy_upstream_request_duration_seconds_sum", &[]),
    ("mcp_proxy_upstream_protocol_errors_total", &[]),
    ("mcp_proxy_audit_records_written_total", &[]),
    ("mcp_proxy_audit_flushes_total", &[]),
];

/// Metrics that are there, at the value that is right for a quiet gateway.
const RESTS: &[(&str, f64)] = &[
    ("mcp_proxy_build_info", 1.0),
    ("mcp_proxy_upstream_connected", 1.0),
    ("mcp_proxy_requests_in_flight", 0.0),
    ("mcp_proxy_audit_records_dropped_total", 0.0),
    ("mcp_proxy_audit_buffer_size", 0.0),
    ("mcp_proxy_active_sessions", 0.0),
    ("mcp_proxy_upstream_children", 0.0),
    ("mcp_proxy_log_lines_dropped_total", 0.0),
    ("mcp_proxy_policy_info", 1.0),
    ("mcp_proxy_policy_held", 0.0),
    ("mcp_proxy_lockdown", 0.0),
];

/// What policy asks for, and what becomes of policies: samples that the traffic of their own test moves.
const ACTS: &[(&str, &[(&str, &str)])] = &[
    ("mcp_proxy_policy_decisions_total", &[("decision", "would_deny"), ("mode", "enforce")]),
    ("mcp_proxy_policy_cache_verifications_total", &[("result", "same")]),
    ("mcp_proxy_policy_timeouts_total", &[]),
    ("mcp_proxy_policy_reloads_total", &[("result", "ok")]),
    ("mcp_proxy_policy_reloads_total", &[("result", "unchanged")]),
    ("mcp_proxy_policy_reloads_total", &[("result", "held")]),
    ("mcp_proxy_policy_reloads_total", &[("result", "error")]),
    ("mcp_proxy_policy_held", &[]),
    ("mcp_proxy_lockdown", &[]),
    ("mcp_proxy_alerts_total", &[("severity", "high")]),
    ("mcp_proxy_alerts_total", &[("severity", "other")]),
    ("mcp_proxy_rate_limited_total", &[]),
    ("mcp_proxy_approvals_total", &[("result", "pending")]),
    ("mcp_proxy_approvals_total", &[("result", "granted")]),
    ("mcp_proxy_approvals_total", &[("result", "denied")]),
];

const POLICY: &str = r#"package mcp.policy

default allow := true

deny if input.tool == "delete_file"

allow := "broken" if input.tool == "broken"
"#;

/// All of the samples are larger on the second page than on the first.
#[track_caller]
fn moved(samples: &[(&str, &[(&str, &str)])], before: &str, after: &str) {
    let still: Vec<String> = samples
        .iter()
        .filter(|(name, labels)| {
            let value = |page: &str| sample(page, name, labels).unwrap_or(0.0);
            value(after) <= value(before)
        })
        .map(|(name, labels)| format!("{name} {labels:?}"))
        .collect();
    assert!(still.is_empty(), "did not move: {still:#?}\n{after}");
}

#[test]
fn every_metric_moves() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).policy(POLICY));
    let before = gateway.scrape();
    let mut client = gateway.client();
    for _ in 0..3 {
        client.request("tools/list", json!({}));
        client.call("echo", json!({ "message": "m" }));
        client.call("delete_file", json!({}));
        client.call("broken", json!({}));
        client.request("vendor/unheard-of", json!({}));
    }
    client.call("wrong_id", json!({}));
    assert_eq!(sample(&gateway.scrape(), "mcp_proxy_active_sessions", &[]), Some(1.0));
    client.delete();
    drop(gateway.legacy_client());
    until("the sessions are gone", || {
        sample(&gateway.scrape(), "mcp_proxy_active_sessions", &[]) == Some(0.0)
    });
    let calls = 3.0;
    until("the rows are written", || {
        sample(&gateway.scrape(), "mcp_proxy_audit_records_written_total", &[])
            .is_some_and(|rows| rows >= calls * 5.0 + 5.0)
    });
    let after = gateway.scrape();
    moved(GROWS, &before, &after);
    let wrong: Vec<String> = RESTS
        .iter()
        .filter(|(name, wanted)| sample(&after, name, &[]) != Some(*wanted))
        .map(|(name, wanted)| {
            format!("{name}: wanted {wanted}, is {:?}", sample(&after, name, &[]))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{after}");
    assert_eq!(
        sample(&after, "mcp_proxy_requests_total", &[("method", "tools/call")]),
        Some(10.0),
        "exact: {after}"
    );
    let rows = gateway.finish();
    let written = sample(&after, "mcp_proxy_audit_records_written_total", &[]).unwrap();
    assert!(
        (written - rows.len() as f64).abs() < f64::EPSILON,
        "{written} written, {} rows",
        rows.len()
    );
}

const ASKS: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "watched", "rule": "watched"} if input.tool == "read_file"

obligations contains {"action": "alert", "channel": "log", "severity": "high"} if input.tool == "read_file"

obligations contains {"action": "alert", "channel": "log", "severity": "dire"} if input.tool == "read_file"

obligations contains {"action": "rate_limit", "key": "agent", "per": "1h", "limit": 1} if {
	input.stage == "request"
	input.tool == "write_file"
}

obligations contains {"action": "require_approval"} if {
	input.stage == "request"
	input.tool == "delete_file"
}

deny if {
	input.tool == "slow"
	some a in data.many
	some b in data.many
	a + b == input.arguments.n
}
"#;

#[test]
fn what_policy_asks_for_and_what_becomes_of_it_is_counted() {
    let upstream = Upstream::plain();
    let many = json!({ "many": (0..20_000).collect::<Vec<_>>() }).to_string();
    let config = Config::new(upstream.addr)
        .operated()
        .policy(ASKS)
        .file("policies/data.json", &many)
        .set("policy.rules", json!({ "watched": "observe" }))
        .set("policy.cache.verify_every", 1)
        .set("policy.evaluation.timeout", "300ms")
        .set("policy.watch_for_changes", false)
        .set("policy.reload", json!({ "replay": 0, "hold_weaker": true }));
    let gateway = Gateway::start(config);
    let before = gateway.scrape();
    let mut client = gateway.client();
    client.call("slow", json!({ "n": -1 }));
    for tool in ["read_file", "write_file", "echo", "echo"] {
        client.call(tool, json!({}));
        client.call(tool, json!({}));
    }
    for (path, answer) in [("a", "grant"), ("b", "deny")] {
        let asked = client.call("delete_file", json!({ "path": path }));
        let question = asked["error"]["data"]["approval"].as_str().unwrap();
        gateway.operate(&["approvals", answer, question]);
        client.call("delete_file", json!({ "path": path }));
    }
    assert_eq!(gateway.reload().1["result"], "unchanged");
    gateway.config.put(
        "policies/more.rego",
        "package mcp.policy\n\nimport rego.v1\n\ndeny if input.tool == \"hold\"\n",
    );
    assert_eq!(gateway.reload().1["result"], "ok");
    gateway.config.put("policies/more.rego", "package mcp.policy\n\ndeny if {\n");
    assert_eq!(gateway.reload().1["result"], "error");
    gateway.config.put("policies/more.rego", "package mcp.policy\n");
    assert_eq!(gateway.reload().1["result"], "held");
    gateway.operate(&["lockdown", "on"]);
    until("everything is locked down", || {
        sample(&gateway.scrape(), "mcp_proxy_lockdown", &[]) == Some(1.0)
    });
    moved(ACTS, &before, &gateway.scrape());
}

/// A metric as one line: its name, its type and its labels in order.
fn entry(name: &str, kind: &str, labels: BTreeSet<&str>) -> String {
    format!("{name} {kind} {labels:?}")
}

/// The labels that samples of a metric have on a metrics page.
fn labels<'a>(page: &'a str, name: &str) -> BTreeSet<&'a str> {
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (suffix, labels) = rest.split_once('}')?.0.split_once('{')?;
        ["", "_bucket", "_sum", "_count"].contains(&suffix).then_some(labels)
    });
    let names = samples.flat_map(|labels| labels.split("\","));
    names.filter_map(|label| Some(label.split_once('=')?.0)).filter(|name| *name != "le").collect()
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let page = gateway.scrape();
    let served: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| entry(name, kind, labels(&page, name)))
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with("| `mcp_proxy_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, name, kind, labels, meaning, _] = cells[..] else {
                panic!("not four cells: {line}")
            };
            assert!(!meaning.is_empty(), "{line}");
            let labels = labels.split(',').map(|it| it.trim().trim_matches('`'));
            entry(name.trim_matches('`'), kind, labels.filter(|it| !it.is_empty()).collect())
        })
        .collect();
    assert!(!served.is_empty(), "{page}");
    assert_eq!(documented, served);
    let driven: BTreeSet<&str> = [GROWS, ACTS]
        .concat()
        .iter()
        .map(|(name, _)| name.trim_end_matches("_count").trim_end_matches("_sum"))
        .chain(RESTS.iter().map(|(name, _)| *name))
        .collect();
    let left: Vec<&String> =
        served.iter().filter(|line| !driven.contains(line.split(' ').next().unwrap())).collect();
    assert!(left.is_empty(), "no test looks at {left:?}");
}

#[test]
fn a_call_in_flight_is_counted_while_it_is() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    client.send(
        &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "hold" } }),
    );
    until("one in flight", || {
        sample(&gateway.scrape(), "mcp_proxy_requests_in_flight", &[]) == Some(1.0)
    });
    upstream.release();
    client.answer_to(&json!(1));
    until("none in flight", || {
        sample(&gateway.scrape(), "mcp_proxy_requests_in_flight", &[]) == Some(0.0)
    });
}

#[test]
fn statuses_tell_success_denial_and_failure_apart() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("upstream.retry.enabled", false));
    let mut client = gateway.client();
    let statuses = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| {
            line.starts_with("mcp_proxy_requests_total{") && line.contains("tools/call")
        });
        lines
            .map(|line| {
                line.split("status=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
            })
            .collect()
    };
    for tool in ["echo", "delete_file", "status_500"] {
        client.call(tool, json!({}));
    }
    let mut found = statuses(&gateway.scrape());
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn labels_stay_bounded_whatever_clients_send() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    let series = || gateway.scrape().lines().filter(|line| !line.starts_with('#')).count();
    client.request("vendor/first", json!({}));
    client.call("tool_first", json!({}));
    let before = series();
    for number in 0..1_000 {
        client.request(&format!("vendor/method-{number}"), json!({}));
        if number % 10 == 0 {
            client.call(&format!("tool_{number}"), json!({}));
            let mut stranger = Client::new(gateway.addr());
            stranger.session = Some(format!("stranger-{number}"));
            stranger.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }));
        }
    }
    let page = gateway.scrape();
    assert!(series() <= before + 10, "{before} series before, {} after", series());
    assert!(
        !page.contains("method-7") && !page.contains("tool_10") && !page.contains("stranger"),
        "{page}"
    );
}

#[test]
fn buckets_reach_down_to_a_microsecond() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    gateway.client().call("echo", json!({}));
    let page = gateway.scrape();
    for name in ["mcp_proxy_request_duration_seconds", "mcp_proxy_policy_evaluation_seconds"] {
        let smallest = page
            .lines()
            .filter(|line| line.starts_with(&format!("{name}_bucket")))
            .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next()?.parse::<f64>().ok())
            .fold(f64::INFINITY, f64::min);
        assert!(smallest <= 0.000_001, "{name}: {smallest}");
    }
    for line in page.lines().filter(|line| line.starts_with("mcp_proxy_")) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(
            page.contains(&format!("# HELP {family} "))
                || page.contains(&format!("# HELP {name} ")),
            "{name} has no help"
        );
    }
}

#[test]
fn the_path_of_the_metrics_and_of_the_probes_can_be_set() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .set("metrics.path", "/numbers")
        .set("health.liveness_path", "/livez")
        .set("health.readiness_path", "/readyz");
    let gateway = Gateway::start_unready(config);
    until("the probes answer", || {
        std::net::TcpStream::connect(("127.0.0.1", gateway.config.health)).is_ok()
    });
    until("ready under its own path", || gateway.probe("/readyz").status() == 200);
    assert_eq!(gateway.probe("/livez").status(), 200);
    assert_eq!(gateway.probe("/ready").status(), 404);
    assert_eq!(gateway.probe("/health").status(), 404);
    let at = |path: &str| {
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], gateway.config.metrics));
        crate::harness::Conn::open(addr).request("GET", path, &[], b"").status()
    };
    assert_eq!((at("/numbers"), at("/metrics")), (200, 404));
}
