use super::{Expect, base64, parse};

#[track_caller]
fn check(text: &str, bytes: Option<&[u8]>) {
    assert_eq!(base64(text).as_deref(), bytes, "{text}");
}

#[test]
fn base64_is_decoded() {
    check("", Some(b""));
    check("WzFd", Some(b"[1]"));
    check("/+8=", Some(&[0xff, 0xef]));
    check("AA==", Some(&[0]));
    check("A*==", None);
}

#[test]
fn rows_are_read() {
    let row = parse(r#"{"bytes_b64":"WzFd","expect":"reject","subkind":"n_x.json"}"#).unwrap();
    assert_eq!((row.name.as_str(), row.bytes.as_slice()), ("n_x.json", &b"[1]"[..]));
    assert_eq!(row.expect, Expect::Reject);
    for bad in [
        r#"{"bytes_b64":"WzFd","expect":"maybe","subkind":"n_x.json"}"#,
        r#"{"expect":"reject","subkind":"n_x.json"}"#,
        r#"{"bytes_b64":"WzFd","expect":"reject"}"#,
        "",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
