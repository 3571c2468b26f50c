use std::fs;

use super::*;

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let args = |db: &str, policies: &str| ReplayArgs {
        db: Some(dir.path().join(db)),
        policies: dir.path().join(policies),
        data: None,
        recorded: Vec::new(),
        since: None,
        session: None,
        counters: Counters::Recorded,
        fail_on: FailOn::Any,
        config: None,
        format: Format::Pretty,
    };
    let error = |args: &ReplayArgs| execute(args).unwrap_err().to_string();
    assert!(error(&args("missing.db", "policies")).contains("missing.db"));
    fs::write(dir.path().join("notes.db"), "no database").unwrap();
    assert!(error(&args("notes.db", "policies")).contains("notes.db"));
}

#[test]
fn the_exit_code_follows_what_is_asked() {
    let mut report = Report::default();
    let table = |report: &Report| {
        [FailOn::Any, FailOn::NewlyAllowed, FailOn::NewlyDenied].map(|on| fails(report, on))
    };
    assert_eq!(table(&report), [false; 3]);
    report.classes.reason_changed = 1;
    assert_eq!(table(&report), [true, false, false]);
    report.classes.newly_allowed = 1;
    assert_eq!(table(&report), [true, true, false]);
    report.classes = replay::Classes { newly_denied: 1, ..Default::default() };
    assert_eq!(table(&report), [true, false, true]);
    report.classes = replay::Classes { undecidable: 1, ..Default::default() };
    assert_eq!(table(&report), [true; 3]);
}
