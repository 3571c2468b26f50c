use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{Decision, ErrorKind, Mode, Reason, Revision, RuleMode, Stage, Transport, Verdict};
use protocol::Method;

use super::{LATENCY, Metrics};
use crate::{Error, Reading, VERSION};

const MS: Duration = Duration::from_millis(1);

/// Runs `action` and expects the sample `line` (name and labels) to go from `before` to `after`.
#[track_caller]
fn check(line: &str, before: &str, after: &str, action: impl FnOnce(&Metrics)) {
    let metrics = Metrics::new("files").unwrap();
    assert_eq!(sample(&metrics, line).as_deref(), Some(before), "before");
    action(&metrics);
    assert_eq!(sample(&metrics, line).as_deref(), Some(after), "after");
}

fn sample(metrics: &Metrics, line: &str) -> Option<String> {
    let text = metrics.render();
    let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '))?;
    Some(value.to_owned())
}

fn decision(verdict: Verdict, error: Option<&str>, cached: bool) -> Decision {
    Decision {
        verdict,
        reasons: Arc::new([]),
        matched_rule: None,
        rules: None,
        obligations: Arc::new([]),
        error: error.map(Into::into),
        revision: Revision("r1".into()),
        cached,
        elapsed: MS,
    }
}

#[test]
fn messages_are_counted_by_method_and_end() {
    let done = |kind| move |it: &Metrics| it.request_done(Method::ToolsCall, kind, MS);
    let total = "mcp_proxy_requests_total{method=\"tools/call\",status=";
    check(&format!("{total}\"ok\"}}"), "0", "1", done(None));
    check(&format!("{total}\"denied\"}}"), "0", "1", done(Some(ErrorKind::PolicyDenied)));
    check(&format!("{total}\"denied\"}}"), "0", "1", done(Some(ErrorKind::RateLimited)));
    check(&format!("{total}\"denied\"}}"), "0", "1", done(Some(ErrorKind::ApprovalRequired)));
    check(&format!("{total}\"error\"}}"), "0", "1", done(Some(ErrorKind::PolicyError)));
    check(&format!("{total}\"error\"}}"), "0", "1", done(Some(ErrorKind::UpstreamTimeout)));
    let duration = "mcp_proxy_request_duration_seconds";
    check(&format!("{duration}_count{{method=\"tools/call\"}}"), "0", "1", done(None));
    check(&format!("{duration}_sum{{method=\"tools/call\"}}"), "0", "0.001", done(None));
    let fast = |it: &Metrics| it.request_done(Method::Ping, None, Duration::from_nanos(900));
    check(&format!("{duration}_bucket{{method=\"ping\",le=\"0.000001\"}}"), "0", "1", fast);
}

#[test]
fn every_method_has_its_own_series() {
    let metrics = Metrics::new("files").unwrap();
    for (at, method) in Method::ALL.iter().enumerate() {
        assert_eq!(*method as usize, at);
        metrics.request_done(*method, None, MS);
        let line = format!("mcp_proxy_requests_total{{method=\"{method}\",status=\"ok\"}}");
        assert_eq!(sample(&metrics, &line).as_deref(), Some("1"), "{method}");
    }
}

#[test]
fn messages_in_flight_go_up_and_down() {
    let line = "mcp_proxy_requests_in_flight";
    check(line, "0", "2", |it| {
        it.request_started();
        it.request_started();
    });
    check(line, "0", "0", |it| {
        it.request_started();
        it.request_done(Method::Other, None, MS);
    });
}

#[test]
fn decisions_are_counted_by_outcome_mode_and_stage() {
    let line = |outcome, mode: Mode, stage: Stage| {
        format!(
            "mcp_proxy_policy_decisions_total{{decision=\"{outcome}\",mode=\"{}\",stage=\"{}\"}}",
            mode.as_str(),
            stage.as_str()
        )
    };
    for mode in [Mode::Audit, Mode::Enforce] {
        for stage in Stage::ALL {
            let allowed = decision(Verdict::Allow, None, false);
            check(&line("allow", mode, stage), "0", "1", |it| it.decided(&allowed, mode, stage));
            let denied = decision(Verdict::Deny, None, false);
            check(&line("deny", mode, stage), "0", "1", |it| it.decided(&denied, mode, stage));
            let watched = Reason { mode: RuleMode::Observe, ..Reason::from("no") };
            let watched = Decision { reasons: [watched].into(), ..allowed.clone() };
            let count = |it: &Metrics| it.decided(&watched, mode, stage);
            check(&line("would_deny", mode, stage), "0", "1", count);
            let failed = decision(Verdict::Deny, Some("timer"), false);
            check(&line("error", mode, stage), "0", "1", |it| it.decided(&failed, mode, stage));
        }
    }
}

#[test]
fn decisions_move_the_cache_and_the_time() {
    let decided = |cached| {
        move |it: &Metrics| {
            it.decided(&decision(Verdict::Allow, None, cached), Mode::Enforce, Stage::Request);
        }
    };
    check("mcp_proxy_policy_cache_hits_total", "0", "1", decided(true));
    check("mcp_proxy_policy_cache_hits_total", "0", "0", decided(false));
    check("mcp_proxy_policy_cache_misses_total", "0", "1", decided(false));
    check("mcp_proxy_policy_cache_misses_total", "0", "0", decided(true));
    check("mcp_proxy_policy_evaluation_seconds_sum", "0", "0.001", decided(true));
}

#[test]
fn sessions_are_counted_and_timed() {
    for transport in Transport::ALL {
        let line = format!("mcp_proxy_sessions_total{{transport=\"{}\"}}", transport.as_str());
        check(&line, "0", "1", |it| it.session_opened(transport));
    }
    let minute = Duration::from_secs(60);
    check("mcp_proxy_session_duration_seconds_sum", "0", "60", |it| it.session_closed(minute));
}

#[test]
fn calls_of_the_server_are_counted_and_timed() {
    let done = |kind| move |it: &Metrics| it.upstream_done(kind, MS);
    let line = |status| {
        format!("mcp_proxy_upstream_requests_total{{server=\"files\",status=\"{status}\"}}")
    };
    check(&line("ok"), "0", "1", done(None));
    check(&line("error"), "0", "1", done(Some(ErrorKind::UpstreamError)));
    check(&line("timeout"), "0", "1", done(Some(ErrorKind::UpstreamTimeout)));
    let duration = "mcp_proxy_upstream_request_duration_seconds_sum{server=\"files\"}";
    check(duration, "0", "0.001", done(None));
}

#[test]
fn readings_are_asked_at_each_scrape() {
    for (reading, line) in [
        (Reading::ActiveSessions, "mcp_proxy_active_sessions"),
        (Reading::UpstreamConnected, "mcp_proxy_upstream_connected{server=\"files\"}"),
        (
            Reading::UpstreamProtocolErrors,
            "mcp_proxy_upstream_protocol_errors_total{server=\"files\"}",
        ),
        (Reading::AuditRecordsWritten, "mcp_proxy_audit_records_written_total"),
        (Reading::AuditRecordsDropped, "mcp_proxy_audit_records_dropped_total"),
        (Reading::AuditBufferSize, "mcp_proxy_audit_buffer_size"),
        (Reading::AuditFlushes, "mcp_proxy_audit_flushes_total"),
        (Reading::LogLinesDropped, "mcp_proxy_log_lines_dropped_total"),
        (Reading::PolicyTimeouts, "mcp_proxy_policy_timeouts_total"),
        (
            Reading::PolicyCacheConfirmed,
            "mcp_proxy_policy_cache_verifications_total{result=\"same\"}",
        ),
        (
            Reading::PolicyCacheRefuted,
            "mcp_proxy_policy_cache_verifications_total{result=\"different\"}",
        ),
    ] {
        let metrics = Metrics::new("files").unwrap();
        let value = Arc::new(AtomicU64::new(3));
        let source = Arc::clone(&value);
        metrics.read(reading, move || source.load(Ordering::Relaxed)).unwrap();
        assert_eq!(sample(&metrics, line).as_deref(), Some("3"), "{line}");
        value.store(4, Ordering::Relaxed);
        assert_eq!(sample(&metrics, line).as_deref(), Some("4"), "{line}");
    }
}

#[test]
fn a_reading_has_one_source() {
    let metrics = Metrics::new("files").unwrap();
    metrics.read(Reading::ActiveSessions, || 1).unwrap();
    let again = metrics.read(Reading::ActiveSessions, || 2);
    assert!(matches!(again, Err(Error::Metrics(_))), "{again:?}");
}

#[test]
fn the_version_is_told() {
    let line = format!("mcp_proxy_build_info{{version=\"{VERSION}\"}}");
    check(&line, "1", "1", |_| ());
}

#[test]
fn two_gateways_in_one_process_do_not_share_metrics() {
    let (first, second) = (Metrics::new("files").unwrap(), Metrics::new("files").unwrap());
    first.request_started();
    assert_eq!(sample(&second, "mcp_proxy_requests_in_flight").as_deref(), Some("0"));
}

#[test]
fn every_metric_says_what_it_is_and_stays_in_its_namespace() {
    let metrics = Metrics::new("a \"quoted\"\nname").unwrap();
    for reading in Reading::ALL {
        metrics.read(reading, || 0).unwrap();
    }
    let text = metrics.render();
    for line in text.lines() {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        assert!(name.starts_with("mcp_proxy_"), "{line}");
    }
    assert_eq!(text.matches("# HELP").count(), text.matches("# TYPE").count());
    assert!(text.contains(r#"server="a \"quoted\"\nname""#));
}

#[test]
fn buckets_reach_from_a_microsecond_to_ten_seconds() {
    assert_eq!((LATENCY[0], LATENCY[LATENCY.len() - 1]), (1e-6, 10.0));
    assert!(LATENCY.is_sorted());
}
