use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;

#[track_caller]
fn check_visible(text: &str, shown: &str) {
    assert_eq!(visible(text), shown);
}

#[test]
fn what_a_terminal_would_obey_is_spelled_out() {
    check_visible("read_file", "read_file");
    check_visible("größe ✓ 漢字", "größe ✓ 漢字");
    check_visible("a\u{1b}[2Jb", "a\\u{1b}[2Jb");
    check_visible("two\nlines\r\n\tof\0it", "two\\nlines\\r\\n\\tof\\u{0}it");
    check_visible("\u{9b}31m", "\\u{9b}31m");
    check_visible("exe\u{202e}gpj", "exe\\u{202e}gpj");
    check_visible("ta\u{e0041}g\u{200b}s", "ta\\u{e0041}g\\u{200b}s");
}

#[test]
fn talk_keeps_its_lines() {
    let kept = spelled_out("a.rego:1\n\t\u{1b}[0m", |c| !matches!(c, '\n' | '\t'));
    assert_eq!(kept, "a.rego:1\n\t\\u{1b}[0m");
}

#[track_caller]
fn check_json(value: &Value) {
    for text in [json(value).unwrap(), json_line(value).unwrap()] {
        assert!(text.chars().all(|c| c == '\n' || !is_hidden(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *value);
    }
    assert!(!json_line(value).unwrap().contains('\n'));
}

#[test]
fn json_stays_the_same_value() {
    check_json(&json!({ "a": ["\u{1b}[31m", "\u{9b}", "\u{7f}", "\u{202e}"], "b\u{200b}": 1.5 }));
    check_json(&json!("tag \u{e0041} and \\u001b as text, \n two lines, \u{1f980}"));
    check_json(&json!(null));
}

#[test]
fn raw_json_fits_into_one_line() {
    let raw = RawValue::from_string("{\r\n\t\"a\":\n1 }".to_owned()).unwrap();
    assert_eq!(json_line(&raw).unwrap(), "{   \"a\": 1 }");
}
