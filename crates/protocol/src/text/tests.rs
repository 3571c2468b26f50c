use super::*;

#[test]
fn escapes_are_decoded() {
    #[track_caller]
    fn check(token: &str, want: &str) {
        assert_eq!(decode(token), want, "{token}");
    }
    check("12", "12");
    check(r#""""#, "");
    check(r#""a/b""#, "a/b");
    check(r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t");
    check(r#""\u0041\u00e9\u20AC\uD83D\uDE00!""#, "Aé€😀!");
    check(r#""\\u0041""#, "\\u0041");
}

#[test]
fn plain_strings_are_borrowed() {
    assert!(matches!(decode(r#""tools/call""#), Cow::Borrowed("tools/call")));
}

#[test]
fn case_variants_are_found() {
    #[track_caller]
    fn check(key: &str, want: Option<&str>) {
        assert_eq!(case_variant(key, &["name", "task", "requestState"]), want, "{key}");
    }
    check("name", None);
    check("Name", Some("name"));
    check("NAME", Some("name"));
    check("names", None);
    check("nam", None);
    check("requeststate", Some("requestState"));
    check("requestState", None);
    check("ta\u{17f}k", Some("task"));
    check("tas\u{212a}", Some("task"));
    check("ｎame", None);
    check("", None);
}

#[test]
fn clipped_input_is_one_short_harmless_line() {
    #[track_caller]
    fn check(input: &str, want: &str) {
        assert_eq!(clip(input), want);
    }
    check("a b-é", "a b-é");
    check("a\nb\u{202e}\u{1b}", "a\\u{a}b\\u{202e}\\u{1b}");
    check(&"x".repeat(64), &"x".repeat(64));
    check(&"x".repeat(65), &format!("{}…", "x".repeat(64)));
}
