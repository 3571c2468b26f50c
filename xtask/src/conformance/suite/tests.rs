use super::{checks, passed};

#[test]
fn the_summary_names_what_passed() {
    let summary = "=== SUMMARY ===\n✓ ping: 1 passed, 0 failed\n✗ tools-list: 0 passed, 1 failed\n✓ tools-call: 2 passed, 0 failed\n✓ skipped: 0 passed, 0 failed\n\nTotal: 3 passed, 1 failed\n";
    let names: Vec<(String, usize)> = passed(summary).into_iter().collect();
    assert_eq!(names, [("ping".to_owned(), 1), ("tools-call".to_owned(), 2)]);
    assert!(passed("").is_empty());
}

#[test]
fn a_client_scenario_counts_its_checks() {
    assert_eq!(checks("Test Results:\nPassed: 5/5, 0 failed, 0 warnings\n"), Some(5));
    assert_eq!(checks("Passed: 0/0, 0 failed, 0 warnings\n"), None);
    assert_eq!(checks(""), None);
}
