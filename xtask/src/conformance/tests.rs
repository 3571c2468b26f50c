use super::passed;

#[test]
fn the_summary_names_what_passed() {
    let summary = "=== SUMMARY ===\n✓ ping: 1 passed, 0 failed\n✗ tools-list: 0 passed, 1 failed\n✓ tools-call: 2 passed, 0 failed\n\nTotal: 3 passed, 1 failed\n";
    let names: Vec<String> = passed(summary).into_iter().collect();
    assert_eq!(names, ["ping", "tools-call"]);
    assert!(passed("").is_empty());
}
