use super::{BadPath, edit};

#[track_caller]
fn check(raw: &str, path: &str, with: Option<&str>, expected: &str) {
    assert_eq!(edit(raw, path, with).unwrap().as_deref(), Some(expected), "{path}");
}

#[track_caller]
fn check_absent(raw: &str, path: &str) {
    assert_eq!(edit(raw, path, None), Ok(None), "{path}");
}

#[test]
fn a_path_names_members_elements_and_all_of_them() {
    let raw = r#"{"a":{"b":1,"c":[1,{"d":2}]},"e/f~*":3}"#;
    check(raw, "/a/b", Some(r#""x""#), r#"{"a":{"b":"x","c":[1,{"d":2}]},"e/f~*":3}"#);
    check(raw, "/a/b", None, r#"{"a":{"c":[1,{"d":2}]},"e/f~*":3}"#);
    check(raw, "/a/c/0", None, r#"{"a":{"b":1,"c":[{"d":2}]},"e/f~*":3}"#);
    check(raw, "/a/c/*/d", Some("0"), r#"{"a":{"b":1,"c":[1,{"d":0}]},"e/f~*":3}"#);
    check(raw, "/*", None, "{}");
    check(raw, "/a/c/*", None, r#"{"a":{"b":1,"c":[]},"e/f~*":3}"#);
    check(raw, "/a/*", Some("null"), r#"{"a":{"b":null,"c":null},"e/f~*":3}"#);
    check(raw, "/e~1f~0*", None, r#"{"a":{"b":1,"c":[1,{"d":2}]}}"#);
    check(r#"{"":{"":1}}"#, "//", None, r#"{"":{}}"#);
}

#[test]
fn what_is_not_named_keeps_its_bytes() {
    let raw = r#"{ "a" : 1.0e3 , "b" : { "c" : "\u00e9" } , "d":[ 1 ] }"#;
    check(raw, "/a", Some("0"), r#"{"a":0,"b":{ "c" : "\u00e9" },"d":[ 1 ]}"#);
}

#[test]
fn keys_are_compared_decoded() {
    check(r#"{"p\u0061ss":"x"}"#, "/pass", Some(r#""***""#), r#"{"pass":"***"}"#);
}

#[test]
fn a_path_to_nothing_changes_nothing() {
    let raw = r#"{"a":{"b":1},"c":[1]}"#;
    for path in ["/x", "/a/x", "/a/b/c", "/c/1", "/c/00", "/c/-1", "/a/*/c", "/"] {
        check_absent(raw, path);
    }
    check_absent("1", "/a");
    check_absent("{}", "/*");
    check_absent("[]", "/*");
}

#[test]
fn the_whole_is_no_part() {
    assert_eq!(edit("{}", "", None), Err(BadPath));
    assert_eq!(edit("{}", "a", None), Err(BadPath));
}
