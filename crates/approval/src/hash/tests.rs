use super::of;

#[track_caller]
fn check(one: &str, other: &str, same: bool) {
    assert_eq!(of(Some(one)) == of(Some(other)), same, "{one} and {other}");
}

#[test]
fn order_and_white_space_do_not_count_and_all_else_does() {
    check(r#"{"a":1,"b":[true,null]}"#, " {\n \"b\" : [ true , null ], \"a\": 1 }\t", true);
    check(r#"{"a":"\u0041/"}"#, r#"{"a":"A\/"}"#, true);
    check(r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"c":2,"b":1}}"#, true);
    check(r#"{"a":1}"#, r#"{"a":2}"#, false);
    check(r#"{"a":1}"#, r#"{"a":"1"}"#, false);
    check(r#"{"a":1}"#, r#"{"b":1}"#, false);
    check(r#"[1,2]"#, r#"[2,1]"#, false);
    check(r#"[[1],2]"#, r#"[[1,2]]"#, false);
    check(r#"{"a":"b\",\"c\":\"d"}"#, r#"{"a":"b","c":"d"}"#, false);
    check(r#"{}"#, r#"[]"#, false);
    check("18446744073709551617", "18446744073709551618", false);
    check("9007199254740993", "9007199254740992", false);
    assert_ne!(of(None), of(Some("null")));
}

#[test]
fn deep_arguments_have_a_hash_too() {
    let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(5000), "]".repeat(5000));
    check(&deep("1"), &deep("1"), true);
    check(&deep("1"), &deep("2"), false);
}
