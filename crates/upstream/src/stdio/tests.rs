use super::*;

#[test]
fn a_log_line_does_nothing_to_a_terminal() {
    assert_eq!(printable(b"ready\r\n"), "ready");
    assert_eq!(printable(b"\x1b[2Jx\x07"), "\u{fffd}[2Jx\u{fffd}");
    assert_eq!(printable("a\u{202e}b\u{2028}\u{85}c".as_bytes()), "a\u{fffd}b\u{fffd}\u{fffd}c");
    assert_eq!(printable(b"\xff"), "\u{fffd}");
    assert_eq!(printable("grüße".as_bytes()), "grüße");
}
