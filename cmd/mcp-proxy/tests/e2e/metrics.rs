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
];

const POLICY: &str = r#"package mcp.policy

default allow := true

deny if input.tool == "delete_file"

allow := "broken" if input.tool == "broken"
"#;

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
    assert_eq!(sample(&gateway.scrape(), "mcp_proxy_active_sessions", &[]), Some(1.0));
    client.delete();
    drop(gateway.legacy_client());
    until("the sessions are gone", || {
        sample(&gateway.scrape(), "mcp_proxy_active_sessions", &[]) == Some(0.0)
    });
    let calls = 3.0;
    until("the rows are written", || {
        sample(&gateway.scrape(), "mcp_proxy_audit_records_written_total", &[])
            .is_some_and(|rows| rows >= calls * 5.0 + 4.0)
    });
    let after = gateway.scrape();
    let still: Vec<String> = GROWS
        .iter()
        .filter(|(name, labels)| {
            let value = |page: &str| sample(page, name, labels).unwrap_or(0.0);
            value(&after) <= value(&before)
        })
        .map(|(name, labels)| format!("{name} {labels:?}"))
        .collect();
    assert!(still.is_empty(), "did not move: {still:#?}\n{after}");
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
        Some(9.0),
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
