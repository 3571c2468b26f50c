use super::{Acts, ApprovalAnswer, Reload, SEVERITIES};
use crate::Metrics;

/// Runs `act` and expects the sample `line` (name and labels) to go from `before` to `after`; `-` stands for "not there".
#[track_caller]
fn check(line: &str, before: &str, after: &str, act: impl FnOnce(&Acts)) {
    let metrics = Metrics::new("files").unwrap();
    let sample = || {
        let text = metrics.render();
        let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
        value.unwrap_or("-").to_owned()
    };
    assert_eq!(sample(), before, "before: {line}");
    act(metrics.acts());
    assert_eq!(sample(), after, "after: {line}");
}

#[test]
fn alerts_are_counted_by_severities_that_are_known_beforehand() {
    let line = |severity| format!("mcp_proxy_alerts_total{{severity=\"{severity}\"}}");
    for severity in SEVERITIES {
        check(&line(severity), "0", "1", |it| it.alerted(severity));
    }
    check(&line("other"), "0", "1", |it| it.alerted("made up by a client"));
    check(&line("made up by a client"), "-", "-", |it| it.alerted("made up by a client"));
}

#[test]
fn limits_and_approvals_are_counted() {
    check("mcp_proxy_rate_limited_total", "0", "1", Acts::rate_limited);
    for answer in ApprovalAnswer::ALL {
        let line = format!("mcp_proxy_approvals_total{{result=\"{}\"}}", answer.as_str());
        check(&line, "0", "1", |it| it.asked_for_approval(answer));
    }
}

#[test]
fn reloads_are_counted_by_what_became_of_them() {
    for outcome in Reload::ALL {
        let line = format!("mcp_proxy_policy_reloads_total{{result=\"{}\"}}", outcome.as_str());
        check(&line, "0", "1", |it| it.reloaded(outcome));
    }
}

#[test]
fn a_held_policy_and_a_lockdown_are_told_while_they_last() {
    check("mcp_proxy_policy_held", "0", "1", |it| it.set_held(true));
    check("mcp_proxy_lockdown", "0", "1", |it| it.set_locked_down(true));
    check("mcp_proxy_lockdown", "0", "0", |it| {
        it.set_locked_down(true);
        it.set_locked_down(false);
    });
}

#[test]
fn one_policy_decides_at_a_time() {
    let line = |revision| format!("mcp_proxy_policy_info{{config=\"c1\",revision=\"{revision}\"}}");
    check(&line("r1"), "-", "1", |it| it.set_serving("r1", "c1"));
    check(&line("r1"), "-", "-", |it| {
        it.set_serving("r1", "c1");
        it.set_serving("r2", "c1");
    });
    check(&line("r2"), "-", "1", |it| {
        it.set_serving("r1", "c1");
        it.set_serving("r2", "c1");
        it.set_serving("r2", "c1");
    });
}
