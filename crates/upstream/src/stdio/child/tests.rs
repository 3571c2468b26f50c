use super::*;

#[test]
fn a_message_is_one_line() {
    assert_eq!(framed(b"{\r\n \"a\": 1\n}"), b"{   \"a\": 1 }\n".to_vec());
}

#[test]
fn a_log_line_does_nothing_to_a_terminal() {
    assert_eq!(printable(b"ready\r\n"), "ready");
    assert_eq!(printable(b"\x1b[2Jx\x07"), "\u{fffd}[2Jx\u{fffd}");
    assert_eq!(printable("a\u{202e}b\u{2028}\u{85}c".as_bytes()), "a\u{fffd}b\u{fffd}\u{fffd}c");
    assert_eq!(printable(b"\xff"), "\u{fffd}");
    assert_eq!(printable("grüße".as_bytes()), "grüße");
}
