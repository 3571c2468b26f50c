use super::passed;

#[test]
fn passed_tests_are_summed() {
    let said = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\nrunning 0 tests\ntest result: ok. 0 passed; 0 failed\ntest result: ok. 3 passed; 0 failed\n";
    assert_eq!(passed(said), 5);
    assert_eq!(passed("test result: FAILED. 4 passed; 1 failed\n"), 0);
    assert_eq!(passed(""), 0);
}
