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
    let report = run_tests(&dir).unwrap();
    let failed: Vec<_> =
        report.cases.iter().filter(|case| case.outcome != TestOutcome::Passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(report.passed() >= 20, "{}", report.passed());
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
    let report = run_tests(dir.path()).unwrap();
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
    let report = run_tests(dir.path()).unwrap();
    let TestOutcome::Error(message) = &report.cases[0].outcome else { panic!("{report:?}") };
    assert!(message.contains("a_test.rego:3:"), "{message}");
}
