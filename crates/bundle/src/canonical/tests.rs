use super::canonical;

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
}

#[test]
fn keys_are_sorted_and_nothing_else_is_touched() {
    check(" { \"b\" : 1 , \"a\" : [ 1 , 2 ] } ", r#"{"a":[1,2],"b":1}"#);
    check(r#"{"a": {"d": {}, "c": []}}"#, r#"{"a":{"c":[],"d":{}}}"#);
    // As written, not as some machine would hold them.
    check("[1.0, 1e3, 12345678901234567890123, -0]", "[1.0,1e3,12345678901234567890123,-0]");
    check(r#"["A\/<&>\n", null, true]"#, r#"["A/<&>\n",null,true]"#);
    check(r#"["\u2028 \u00e4 \u0001"]"#, "[\"\\u2028 ä \\u0001\"]");
    check("\"x\"", "\"x\"");
}

#[test]
fn what_is_no_json_has_no_form() {
    for text in ["", "{", "[1,]", "{a: 1}", "nul"] {
        assert_eq!(canonical(text), None, "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(canonical(&deep), None);
}
