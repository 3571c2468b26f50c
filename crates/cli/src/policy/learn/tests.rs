use std::collections::BTreeMap;
use std::sync::Arc;

use ::audit::Capture;
use ::learn::{Account, Denied};
use domain::{AuditEvent, Evidence, SessionId};

use super::*;
use crate::audit::fixture::{Fixture, allowed};

fn args(db: &Path) -> LearnArgs {
    LearnArgs {
        db: Some(db.to_owned()),
        out: None,
        since: None,
        unused: false,
        data: Vec::new(),
        config: None,
        format: Format::Pretty,
    }
}

/// A log of `sessions` sessions, with two calls each.
fn log(sessions: u32) -> Fixture {
    let log = Fixture::keeping(Capture { request_arguments: true, ..Capture::default() });
    let facts: Arc<str> = json!({
        "agent": {"id": "claude"},
        "identity": {"verified": false, "method": "configured", "did": ""},
        "session": {"id": "s"},
        "server": {"name": "files", "transport": "stdio"},
    })
    .to_string()
    .into();
    let call = |number: u32| AuditEvent {
        session_id: Some(SessionId::from(&*format!("s-{}", number / 2))),
        arguments: Some(json!({ "path": "drafts/plan.md" }).to_string().into()),
        evidence: Evidence { facts: Some(Arc::clone(&facts)), ..Evidence::default() },
        ..allowed(number)
    };
    crate::runtime().unwrap().block_on(log.record((0..2 * sessions).map(call)));
    log
}

#[test]
fn a_learned_policy_is_written_with_its_tests() {
    let log = log(10);
    let out = tempfile::tempdir().unwrap();
    for format in [Format::Pretty, Format::Json] {
        let args = LearnArgs { out: Some(out.path().join("learned")), format, ..args(&log.path) };
        assert_eq!(execute(&args).unwrap(), Exit::Done);
    }
    let document = std::fs::read_to_string(out.path().join("learned/learned.yaml")).unwrap();
    assert!(document.contains("read_file"), "{document}");
    let report = policy::run_tests(&out.path().join("learned"), policy::TestOptions::default());
    let report = report.unwrap();
    assert!(report.passed() > 0 && report.failed() == 0, "{report:?}");
}

#[test]
fn what_is_granted_and_unused_is_listed() {
    let log = log(2);
    let policies = tempfile::tempdir().unwrap();
    let policy =
        "package mcp.policy\n\nimport rego.v1\n\ndeny contains \"no\" if input.tool == \"burn\"\n";
    std::fs::write(policies.path().join("a.rego"), policy).unwrap();
    for format in [Format::Pretty, Format::Json] {
        let data = vec![policies.path().to_owned()];
        let args = LearnArgs { unused: true, data, format, ..args(&log.path) };
        assert_eq!(execute(&args).unwrap(), Exit::Done);
    }
    let unused = Unused {
        agent: "claude".to_owned(),
        server: "files".to_owned(),
        tool: "write\u{1b}".to_owned(),
        since: "2026-11-20T10:40:00Z".to_owned(),
        messages: 12,
    };
    let expected = "claude may call write\\u{1b} of files and has not since 2026-11-20T10:40:00Z, in 12 messages\n";
    assert_eq!(line(&unused), expected);
}

#[test]
fn an_empty_log_teaches_nothing() {
    let log = Fixture::new();
    let args = LearnArgs { out: Some(log.path.with_extension("out")), ..args(&log.path) };
    let error = execute(&args).unwrap_err().to_string();
    assert!(error.contains("nothing to learn"), "{error}");
}

fn report() -> Report {
    let denied = Denied {
        rule: "not_learned_argument".to_owned(),
        agent: "claude".to_owned(),
        subject: "read_file".to_owned(),
        count: 3,
        message: "`path` is not below drafts/".to_owned(),
        decision_id: "dec1".to_owned(),
    };
    Report {
        corpus: Account {
            rows: 120,
            messages: 100,
            not_allowed: 5,
            not_recorded: 2,
            sessions: 10,
            trained: 7,
            first: "2026-11-20T10:40:00Z".to_owned(),
            last: "2026-11-20T11:40:00Z".to_owned(),
            revisions: BTreeMap::new(),
        },
        entries: 4,
        for_review: 1,
        crowded: 0,
        training: Trial { messages: 70, ..Trial::default() },
        holdout: Some(Trial {
            messages: 31,
            newly_denied: 3,
            undecidable: 1,
            denied: vec![denied],
        }),
        no_holdout: None,
    }
}

#[test]
fn the_rate_on_the_holdout_is_printed() {
    insta::assert_snapshot!(pretty(&report(), Path::new("learned")));
    assert_eq!(as_json(&report())["holdout"]["newly_denied_rate"], json!(0.1));
    assert_eq!(as_json(&report())["training"]["newly_denied_rate"], json!(0.0));
}

#[test]
fn a_missing_holdout_says_why() {
    let no_holdout = Some("fewer than 4 sessions".to_owned());
    let report = Report { holdout: None, no_holdout, ..report() };
    let text = pretty(&report, Path::new("learned"));
    assert!(text.ends_with("holdout   none: fewer than 4 sessions\n"), "{text}");
    assert_eq!(as_json(&report)["holdout"], Value::Null);
}
