use proptest::prelude::*;

use super::*;

#[test]
fn plain_values_stay_plain() {
    for text in [
        "us-west1",
        "",
        "42",
        "a b",
        "=?base64?",
        "?=",
        "=?Base64?eA==?=",
        "x=?base64?eA==?=",
        "~!\"%",
    ] {
        assert!(matches!(encode(text), Cow::Borrowed(same) if same == text), "{text}");
        assert_eq!(decode(text).as_deref(), Ok(text));
    }
}

#[test]
fn values_that_a_header_cannot_carry_are_encoded() {
    #[track_caller]
    fn check(text: &str, value: &str) {
        assert_eq!(encode(text), value);
        assert_eq!(decode(value).as_deref(), Ok(text));
    }
    // The examples of the specification.
    check("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?=");
    check(" padded ", "=?base64?IHBhZGRlZCA=?=");
    check("line1\nline2", "=?base64?bGluZTEKbGluZTI=?=");
    check("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=");
    check("\t", "=?base64?CQ==?=");
    check("\u{7f}", "=?base64?fw==?=");
    check("a ", "=?base64?YSA=?=");
}

#[test]
fn broken_values_are_refused() {
    #[track_caller]
    fn check(value: &str, want: ValueError) {
        assert_eq!(decode(value), Err(want), "{value}");
    }
    check("=?base64?SGVsbG8?=", ValueError::Base64);
    check("=?base64?SGVs!!!bG8=?=", ValueError::Base64);
    check("=?base64?SGVs bG8=?=", ValueError::Base64);
    check("=?base64?_-8=?=", ValueError::Base64);
    check("=?base64?eB==?=", ValueError::Base64);
    check("=?base64?/w==?=", ValueError::Utf8);
    check("é", ValueError::Character);
    check("a\u{1}", ValueError::Character);
    check(&"x".repeat(MAX_VALUE + 1), ValueError::TooLarge { limit: 8192 });
    assert!(decode(&"x".repeat(MAX_VALUE)).is_ok());
    // Nothing between the markers is nothing, which is a value.
    assert_eq!(decode("=?base64??=").as_deref(), Ok(""));
    // The markers do not overlap.
    assert_eq!(decode("=?base64?=").as_deref(), Ok("=?base64?="));
}

proptest! {
    #[test]
    fn every_text_survives_a_header(text in any::<String>()) {
        let value = encode(&text);
        prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        prop_assert_eq!(value.trim(), &*value);
        prop_assert_eq!(&*decode(&value).unwrap(), &text);
    }
}
