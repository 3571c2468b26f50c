use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

const POLICY: &str = r#"
package mcp.policy

deny contains "no" if input.tool == "burn"
"#;

const TESTS: &str = r#"
package mcp.policy_test

import data.mcp.policy

test_burning_is_denied if policy.deny == {"no"} with input as {"tool": "burn"}

test_reading_is_denied if {
	print("deny is", policy.deny)
	policy.deny == {"no"} with input as {"tool": "read"}
}

todo_test_later if false
"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn args(dir: &Path, run: Option<&str>) -> TestArgs {
    let run = run.map(|run| Regex::new(run).unwrap());
    TestArgs {
        dir: dir.to_owned(),
        run,
        verbose: false,
        coverage: false,
        threshold: None,
        bench: false,
        watch: false,
        format: Format::Pretty,
    }
}

#[track_caller]
fn check_exit(run: Option<&str>, exit: Exit) {
    let folder = folder(&[("policy.rego", POLICY), ("policy_test.rego", TESTS)]);
    assert_eq!(execute(&args(folder.path(), run)).unwrap(), exit);
}

#[test]
fn a_failing_test_or_none_is_a_no() {
    check_exit(None, Exit::No);
    check_exit(Some("burning"), Exit::Done);
    check_exit(Some(r"^data\.mcp\.policy_test\.test_b"), Exit::Done);
    check_exit(Some("reading|burning"), Exit::No);
    check_exit(Some("later"), Exit::Done);
    check_exit(Some("nothing of that name"), Exit::No);
}

#[test]
fn a_folder_without_tests_is_a_no() {
    let folder = folder(&[("policy.rego", POLICY)]);
    assert_eq!(execute(&args(folder.path(), None)).unwrap(), Exit::No);
}

#[test]
fn a_folder_that_cannot_be_loaded_is_no_answer() {
    let folder = folder(&[("policy.rego", "package mcp.policy\n\ndeny contains")]);
    let error = execute(&args(folder.path(), None)).unwrap_err().to_string();
    assert!(error.contains("policy.rego:3:"), "{error}");
    let missing = folder.path().join("missing");
    let error = execute(&args(&missing, None)).unwrap_err().to_string();
    assert!(error.contains(missing.to_str().unwrap()), "{error}");
}

#[test]
fn the_examples_of_the_readme_pass() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/drafts");
    let report = policy::run_tests(&dir, TestOptions::default()).unwrap();
    assert_eq!(pretty(&report, false), "3 tests, 3 passed, 0 failed\n");
}

fn case(name: &str, outcome: TestOutcome) -> TestCase {
    TestCase {
        package: "data.mcp.policy_test".to_owned(),
        name: name.to_owned(),
        file: "policies/a_test.rego".to_owned(),
        line: 12,
        outcome,
        elapsed: Duration::from_micros(1234),
        output: vec!["policies/a_test.rego:13: \u{1b}[2Jprinted".to_owned()],
        bench: None,
    }
}

fn report() -> TestReport {
    let error = "a_test.rego:12: division by zero".to_owned();
    let cases = vec![
        case("test_passed", TestOutcome::Passed),
        case("test_failed", TestOutcome::Failed),
        case("test_error", TestOutcome::Error(error)),
        case("todo_test_later", TestOutcome::Skipped),
    ];
    TestReport { cases, coverage: None }
}

#[test]
fn what_did_not_pass_is_listed_with_its_place() {
    insta::assert_snapshot!(pretty(&report(), false));
}

#[test]
fn all_are_listed_when_asked_for() {
    insta::assert_snapshot!(pretty(&report(), true));
}

#[test]
fn programs_get_all_tests() {
    insta::assert_snapshot!(output::json(&as_json(&report())).unwrap());
}

#[test]
fn one_test_is_no_tests() {
    let report =
        TestReport { cases: vec![case("test_passed", TestOutcome::Passed)], coverage: None };
    assert_eq!(pretty(&report, false), "1 test, 1 passed, 0 failed\n");
}

#[test]
fn a_threshold_is_a_no_when_lines_are_missed() {
    let folder = folder(&[
        ("policy.rego", POLICY),
        ("policy_test.rego", "package t\n\ntest_nothing if true\n"),
    ]);
    let threshold =
        |threshold| TestArgs { threshold: Some(threshold), ..args(folder.path(), None) };
    assert_eq!(execute(&threshold(100.0)).unwrap(), Exit::No);
    assert_eq!(execute(&threshold(0.0)).unwrap(), Exit::Done);
    std::fs::write(
        folder.path().join("policy_test.rego"),
        "package t\n\ntest_it if data.mcp.policy.deny with input as {\"tool\": \"burn\"}\n",
    )
    .unwrap();
    assert_eq!(execute(&threshold(100.0)).unwrap(), Exit::Done);
    assert_eq!(lines(&BTreeSet::from([1, 3, 4, 5, 9])), "1, 3-5, 9");
}

#[test]
fn a_change_of_a_file_is_seen() {
    let folder = folder(&[("policy.rego", POLICY)]);
    let before = watch::look(folder.path()).unwrap();
    assert_eq!(watch::look(folder.path()).unwrap(), before);
    std::fs::write(folder.path().join("policy.rego"), "package other\n").unwrap();
    assert_ne!(watch::look(folder.path()).unwrap(), before);
    watch::look(&folder.path().join("gone")).unwrap_err();
}
