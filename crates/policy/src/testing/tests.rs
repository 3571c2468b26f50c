use rego::FileCoverage;

use super::*;

fn write(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[test]
fn shipped_policies_pass_their_tests() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let report = run_tests(&dir, TestOptions { coverage: true, ..TestOptions::default() }).unwrap();
    let failed: Vec<_> =
        report.cases.iter().filter(|case| case.outcome != TestOutcome::Passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(report.passed() >= 20, "{}", report.passed());
    let coverage = report.coverage.unwrap();
    let missed: Vec<_> =
        coverage.files.iter().filter(|file| !file.not_covered.is_empty()).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(coverage.files.iter().all(|file| !file.covered.is_empty()), "{coverage:?}");
}

#[test]
fn every_outcome_is_told_apart() {
    let dir = write(&[
        ("p.rego", "package mcp.policy\ndeny if input.tool == data.bad"),
        ("d.yaml", "bad: rm"),
        (
            "p_test.rego",
            r#"package mcp.policy_test
import data.mcp.policy
test_pass if policy.deny with input as {"tool": "rm"}
test_undefined if policy.deny with input as {"tool": "ls"}
test_false := false
test_error if to_number("x")
test_twice if true
test_twice if false
todo_test_later if false
test_print if print("hello")
not_a_test if false
"#,
        ),
    ]);
    let report = run_tests(dir.path(), TestOptions::default()).unwrap();
    let seen: Vec<(&str, u32, &TestOutcome)> =
        report.cases.iter().map(|case| (case.name.as_str(), case.line, &case.outcome)).collect();
    let twice =
        TestOutcome::Error("a test of this name is on line 7; give each its own name".to_owned());
    let expected = [
        ("test_pass", 3, &TestOutcome::Passed),
        ("test_undefined", 4, &TestOutcome::Failed),
        ("test_false", 5, &TestOutcome::Failed),
        ("test_error", 6, &TestOutcome::Failed),
        ("test_twice", 7, &TestOutcome::Passed),
        ("test_twice", 8, &twice),
        ("todo_test_later", 9, &TestOutcome::Skipped),
        ("test_print", 10, &TestOutcome::Passed),
    ];
    assert_eq!(seen, expected);
    assert_eq!((report.passed(), report.failed(), report.skipped()), (3, 4, 1));
    assert!(report.cases[7].output[0].contains("hello"), "{:?}", report.cases[7].output);
    assert!(report.cases[0].file.ends_with("p_test.rego"));
    assert_eq!(report.cases[0].package, "data.mcp.policy_test");
}

#[test]
fn a_test_that_cannot_be_evaluated_is_an_error_with_its_place() {
    let dir = write(&[("a_test.rego", "package mcp.a_test\ntest_one if {\n  some x in 5\n}")]);
    let report = run_tests(dir.path(), TestOptions::default()).unwrap();
    let TestOutcome::Error(message) = &report.cases[0].outcome else { panic!("{report:?}") };
    assert!(message.contains("a_test.rego:3:"), "{message}");
}

/// The covered and the missed lines of `p.rego`, when `tests` run.
#[track_caller]
fn check_coverage(rules: &str, tests: &str, covered: &[u32], missed: &[u32]) {
    let policy = format!("package mcp.policy\n{rules}\n");
    let tests = format!("package mcp.policy_test\nimport data.mcp.policy\n{tests}\n");
    let dir = write(&[("p.rego", &policy), ("p_test.rego", &tests)]);
    let options = TestOptions { coverage: true, ..TestOptions::default() };
    let report = run_tests(dir.path(), options).unwrap();
    assert_eq!(report.failed(), 0, "{report:#?}");
    let coverage = report.coverage.unwrap();
    let [file] = coverage.files.as_slice() else { panic!("{coverage:?}") };
    assert!(file.file.ends_with("p.rego"), "{file:?}");
    assert_eq!(file.covered.iter().copied().collect::<Vec<_>>(), covered, "{rules}");
    assert_eq!(file.not_covered.iter().copied().collect::<Vec<_>>(), missed, "{rules}");
}

#[test]
fn coverage_names_the_lines_that_tests_reached() {
    let rules = "deny contains msg if {\n  input.tool == \"rm\"\n  msg := \"no\"\n}\n\n\
                 deny contains \"old\" if {\n  input.method == \"x\"\n  input.agent.id == \"a\"\n}";
    check_coverage(
        rules,
        "test_a if policy.deny == {\"no\"} with input as {\"tool\": \"rm\", \"method\": \"y\"}",
        &[2, 3, 4, 8],
        &[7, 9],
    );
    check_coverage(
        rules,
        "test_a if policy.deny == {\"no\"} with input as {\"tool\": \"rm\", \"method\": \"y\"}\n\
         test_b if policy.deny with input as {\"method\": \"x\", \"agent\": {\"id\": \"a\"}}",
        &[2, 3, 4, 7, 8, 9],
        &[],
    );
    check_coverage(rules, "test_nothing if true", &[], &[2, 3, 4, 7, 8, 9]);
    check_coverage(
        "level := \"high\" if {\n  input.tool == \"rm\"\n} else := \"low\" if {\n  input.tool\n}\ndeny if level == \"high\"",
        "test_low if not policy.deny with input as {\"tool\": \"ls\"}",
        &[3, 5, 7],
        &[2],
    );
    check_coverage(
        "deny if {\n  some x in input.agent.roles\n  every y in [1, 2] {\n    y > 1\n  }\n  x == 1\n}",
        "test_a if not policy.deny with input as {\"agent\": {\"roles\": [\"a\"]}}",
        &[3, 4, 5],
        &[7],
    );
}

#[test]
fn coverage_in_percent_counts_lines_of_all_files() {
    let dir = write(&[
        ("a.rego", "package mcp.policy\ndeny if input.tool == \"a\""),
        (
            "b.rego",
            "package mcp.policy\nallow if {\n  input.tool == \"a\"\n  input.method\n  input.stage\n}",
        ),
        (
            "a_test.rego",
            "package t\ntest_a if data.mcp.policy.deny with input as {\"tool\": \"a\"}",
        ),
    ]);
    let options = TestOptions { coverage: true, ..TestOptions::default() };
    let coverage = run_tests(dir.path(), options).unwrap().coverage.unwrap();
    let percents: Vec<f64> = coverage.files.iter().map(FileCoverage::percent).collect();
    assert_eq!((percents, coverage.percent()), (vec![100.0, 0.0], 25.0));
    let nothing = write(&[("a_test.rego", "package t\ntest_a if true")]);
    let coverage = run_tests(nothing.path(), options).unwrap().coverage.unwrap();
    assert_eq!(coverage.percent(), 100.0);
}

#[test]
fn tests_can_be_chosen_and_measured() {
    let dir = write(&[(
        "a_test.rego",
        "package t\ntest_a if true\ntest_b if count([1]) == 1\ntest_c if false",
    )]);
    let only = |name: &str| name != "data.t.test_a";
    let options = TestOptions { run: Some(&only), bench: true, coverage: false };
    let report = run_tests(dir.path(), options).unwrap();
    let names: Vec<&str> = report.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["test_b", "test_c"]);
    let bench = report.cases[0].bench.unwrap();
    assert!(bench.runs > 1 && bench.nanos_per_run > 0, "{bench:?}");
    assert_eq!(report.cases[1].bench, None);
    assert_eq!(report.coverage, None);
}
