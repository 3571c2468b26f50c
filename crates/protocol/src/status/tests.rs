use super::http_status;

#[test]
fn only_what_no_server_looked_at_has_a_status_of_its_own() {
    #[track_caller]
    fn check(code: i64, status: u16) {
        assert_eq!(http_status(code), status, "{code}");
    }
    check(-32601, 404);
    for code in [-32020, -32021, -32022] {
        check(code, 400);
    }
    for code in [-32700, -32600, -32602, -32603, -32019, -32023, -32000, 0, 404, i64::MIN] {
        check(code, 200);
    }
}
