use super::bare_host;

#[track_caller]
fn check(host: &str, bare: &str) {
    assert_eq!(bare_host(host), bare);
}

#[test]
fn only_a_pair_of_brackets_goes() {
    check("[::1]", "::1");
    check("::1", "::1");
    check("localhost", "localhost");
    check("[::1", "[::1");
    check("::1]", "::1]");
    check("", "");
}
