//! A replay for people.

use std::fmt::Write as _;

use replay::{Change, Classes, Report};

use crate::output::{self, visible};

/// The report, the weightiest differences first.
pub(super) fn of(report: &Report) -> String {
    let mut text = String::new();
    let evidence = &report.evidence;
    let left_out = &report.left_out;
    let skipped = left_out.undecided + left_out.gateway + left_out.companions + left_out.unreadable;
    // Writing into a string cannot fail.
    writeln!(text, "rows       {}, {skipped} of them without a decision to repeat", report.rows)
        .ok();
    writeln!(
        text,
        "evidence   {} reproduced, {} mismatched, {} undecidable, {} of policies that are not at hand",
        evidence.reproduced, evidence.mismatched, evidence.undecidable, evidence.unverified
    )
    .ok();
    for it in &evidence.mismatches {
        let said = |allow| if allow { "allowed" } else { "denied" };
        let (then, now) = (said(it.recorded.allow), said(it.now.allow));
        writeln!(text, "  {} was {then}, and the same policies say {now}", it.decision_id).ok();
    }
    if report.stopped {
        return text;
    }
    writeln!(
        text,
        "candidate  revision {}",
        report.candidate.get(..12).unwrap_or(&report.candidate)
    )
    .ok();
    counts(&mut text, "", &report.classes);
    if report.post_divergence.total() > 0 {
        counts(&mut text, "after a first difference in their session: ", &report.post_divergence);
    }
    if report.answers_unseen > 0 {
        writeln!(
            text,
            "answers    {} were not recorded, though the candidate looks at answers: compared as if they passed",
            report.answers_unseen
        )
        .ok();
    }
    for it in &report.changes {
        writeln!(text, "\n{}", change(it)).ok();
        writeln!(text, "  first {}, last {}", it.first_seen, it.last_seen).ok();
        writeln!(text, "  example {}", it.example.decision_id).ok();
        if let Ok(input) = output::json_line(&it.example.input) {
            writeln!(text, "  input {input}").ok();
        }
        if let Some(because) = it.example.now.as_ref().and_then(|now| now.reasons.first()) {
            writeln!(text, "  now: {}", visible(&because.message)).ok();
        }
    }
    text
}

fn counts(text: &mut String, of: &str, classes: &Classes) {
    writeln!(
        text,
        "decisions  {of}{} same, {} newly denied, {} newly allowed, {} undecidable, {} for other reasons, {} with other \
         obligations, {} with another error",
        classes.same,
        classes.newly_denied,
        classes.newly_allowed,
        classes.undecidable,
        classes.reason_changed,
        classes.obligations_changed,
        classes.error_changed
    )
    .ok();
}

/// One kind of difference in a line.
pub(super) fn change(it: &Change) -> String {
    let what = it.tool.as_deref().unwrap_or_default();
    let rule = it.rule.as_deref().map(|rule| format!(", {}", visible(rule))).unwrap_or_default();
    let after = match it.post_divergence {
        0 => String::new(),
        after => format!(" ({after} after a first difference in their session)"),
    };
    let subject = format!("{} {}", visible(&it.method), visible(what));
    format!(
        "{} {} x: {} by {}{rule}{after}",
        it.class.as_str().replace('_', " "),
        it.count,
        subject.trim_end(),
        visible(&it.agent)
    )
}
