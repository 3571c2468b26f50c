use super::form;

#[track_caller]
fn check(raw: &str, expected: &str) {
    assert_eq!(form(raw), expected, "{raw}");
}

#[test]
fn numbers_are_written_as_ecmascript_writes_them() {
    // RFC 8785, appendix B, and what surrounds each rule.
    for (raw, expected) in [
        ("0.0", "0"),
        ("-0.0", "0"),
        ("1.0", "1"),
        ("-1.5", "-1.5"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("9007199254740992.0", "9007199254740992"),
        ("295147905179352830000.0", "295147905179352830000"),
        ("1e21", "1e+21"),
        ("1e20", "100000000000000000000"),
        ("9.999999999999997e22", "9.999999999999997e+22"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("333333333.3333332", "333333333.3333332"),
        ("0.00001234", "0.00001234"),
        ("4.50", "4.5"),
        ("2e-3", "0.002"),
        ("-0", "0"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709552000"),
        ("9223372036854775807", "9223372036854775807"),
        // No double comes near: these stay two.
        ("1e400", "1e400"),
        ("1e401", "1e401"),
    ] {
        check(raw, expected);
    }
}

#[test]
fn members_are_sorted_by_utf16_and_white_space_goes() {
    // RFC 8785, section 3.2.3: U+1F600 comes before U+FB33 in UTF-16.
    check(
        "{ \"\\uFB33\": 1, \"\\uD83D\\uDE00\": 2, \"a\": [ ], \"\": { } }",
        "{\"\":{},\"a\":[],\"😀\":2,\"\u{fb33}\":1}",
    );
    check(r#"[ 56 , {"d":true,"10":null,"1":[]} ]"#, r#"[56,{"1":[],"10":null,"d":true}]"#);
}

#[test]
fn strings_have_the_shortest_escapes() {
    check("\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\/\"", "\"€$\\u000f\\nA'B\\\"\\\\/\"");
}

#[test]
fn what_no_string_can_hold_stays_as_it_is() {
    check(r#"["\ud800",true,null]"#, r#"["\ud800",true,null]"#);
}

#[test]
fn strings_hold_what_would_end_them() {
    check(r#"{ "a\"}" : "\\" , "b]" : [ "\"," , -1.50 ] }"#, r#"{"a\"}":"\\","b]":["\",",-1.5]}"#);
}

/// A server chooses the depth: each byte is read once, not once a level.
#[test]
fn deep_definitions_have_a_form_too() {
    let deep = format!("{}[{}1]{}", "{\"a\":".repeat(120), "1,".repeat(100_000), "}".repeat(120));
    check(&deep, &deep);
}
