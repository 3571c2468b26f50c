use super::*;

/// The annotations of a tool with these properties.
fn read(properties: &str) -> Result<Annotations, String> {
    Annotations::read(&format!(r#"{{"type":"object","properties":{{{properties}}}}}"#))
}

const ALL: &str = r#"
    "region":{"type":"string","x-mcp-header":"Region"},
    "count":{"x-mcp-header":"Count","type":"integer"},
    "dry":{"type":"boolean","x-mcp-header":"Dry-Run"},
    "free":{"type":"string"},
    "in":{"type":"object","properties":{"a.b":{"type":"string","x-mcp-header":"Deep"}}}
"#;

fn sent(headers: &[(&str, &str)]) -> Vec<ParamHeader> {
    let header = |(name, value): &(&str, &str)| {
        let (name, value) = ((*name).into(), (*value).into());
        ParamHeader { name, value }
    };
    headers.iter().map(header).collect()
}

#[test]
fn arguments_become_headers() {
    #[track_caller]
    fn check(arguments: Option<&str>, want: &[(&str, &str)]) {
        let annotations = read(ALL).unwrap();
        let headers = annotations.headers(arguments);
        assert_eq!(headers, sent(want));
        assert_eq!(annotations.check(arguments, &headers), Ok(()));
    }
    check(
        Some(r#"{"in":{"a.b":"d"},"dry":false,"count":-7,"region":"us \u0031","free":"x"}"#),
        &[
            ("Mcp-Param-Region", "us 1"),
            ("Mcp-Param-Count", "-7"),
            ("Mcp-Param-Dry-Run", "false"),
            ("Mcp-Param-Deep", "d"),
        ],
    );
    check(Some(r#"{"region":"é"}"#), &[("Mcp-Param-Region", "=?base64?w6k=?=")]);
    check(Some(r#"{"region":""}"#), &[("Mcp-Param-Region", "")]);
    check(Some(r#"{"count":42.0}"#), &[("Mcp-Param-Count", "42")]);
    // A value of the wrong type is the server's to refuse; the header says what can be said.
    check(
        Some(r#"{"count":"042","region":7}"#),
        &[("Mcp-Param-Region", "7"), ("Mcp-Param-Count", "042")],
    );
    check(Some(r#"{"region":["a"],"in":{"a.b":{}}}"#), &[]);
    check(Some(r#"{"region":null,"in":null}"#), &[]);
    check(Some(r#"{"in":"a.b"}"#), &[]);
    check(Some("{}"), &[]);
    check(None, &[]);
    assert!(read(r#""free":{"type":"string"}"#).unwrap().is_empty());
}

#[test]
fn headers_must_repeat_their_arguments() {
    #[track_caller]
    fn check(arguments: &str, headers: &[(&str, &str)], want: &str) {
        match read(ALL).unwrap().check(Some(arguments), &sent(headers)) {
            Ok(()) => assert_eq!(want, ""),
            Err(error) => assert!(!want.is_empty() && error.contains(want), "{error}"),
        }
    }
    let region = r#"{"region":"eu"}"#;
    check(region, &[("mcp-param-REGION", "eu")], "");
    check(region, &[("Mcp-Param-Region", "=?base64?ZXU=?=")], "");
    check(region, &[("Mcp-Param-Region", "eu"), ("Mcp-Param-Other", "=?base64?!?=")], "");
    check(region, &[], "`Mcp-Param-Region` is missing");
    check(region, &[("Mcp-Param-Region", "EU")], "`Mcp-Param-Region` says `EU`, the body `eu`");
    check(region, &[("Mcp-Param-Region", "=?base64?ZXU?=")], "is not valid Base64");
    check(region, &[("Mcp-Param-Region", "eu"), ("mcp-param-region", "eu")], "is there twice");
    check("{}", &[("Mcp-Param-Region", "eu")], "is there, its argument is not");
    check(r#"{"region":null}"#, &[("Mcp-Param-Region", "null")], "its argument is not");
    check(r#"{"region":{}}"#, &[("Mcp-Param-Region", "{}")], "its argument is not");
    check(r#"{"in":{"a.b":"x"}}"#, &[("Mcp-Param-Deep", "y")], "`Mcp-Param-Deep` says `y`");
    check(r#"{"dry":true}"#, &[("Mcp-Param-Dry-Run", "True")], "says `True`, the body `true`");
}

#[test]
fn integers_are_compared_as_numbers_in_plain_spelling() {
    #[track_caller]
    fn check(argument: &str, header: &str, same: bool) {
        let arguments = format!(r#"{{"count":{argument}}}"#);
        let headers = sent(&[("Mcp-Param-Count", header)]);
        let checked = read(ALL).unwrap().check(Some(&arguments), &headers);
        assert_eq!(checked.is_ok(), same, "{argument} {header}");
    }
    for (argument, header) in [
        ("42", "42"),
        ("42", "42.0"),
        ("42.00", "42"),
        ("-7", "-7.0"),
        ("-0", "0"),
        ("9007199254740993", "9007199254740993.0"),
        ("1e3", "1e3"),
        ("1.5", "1.5"),
        ("\"042\"", "042"),
    ] {
        check(argument, header, true);
    }
    for (argument, header) in [
        ("42", "042"),
        ("42", "+42"),
        ("42", "42."),
        ("42", "42.5"),
        ("42", " 42"),
        ("42", "4.2e1"),
        ("42", "-42"),
        ("42", ""),
        ("9007199254740993", "9007199254740992"),
        ("true", "1"),
        // Text is compared as text.
        ("\"42\"", "42.0"),
    ] {
        check(argument, header, false);
    }
}

#[test]
fn annotations_that_break_a_rule_are_refused() {
    #[track_caller]
    fn check(properties: &str, want: &str) {
        let error = read(properties).expect_err(properties);
        assert!(error.contains(want), "{properties}: {error}");
    }
    for name in [
        r#""""#,
        r#""My Region""#,
        r#""a:b""#,
        r#""Région""#,
        r#""a\n""#,
        r#""a\u0000""#,
        "1",
        "null",
    ] {
        let wrong = format!(r#""a":{{"type":"string","x-mcp-header":{name}}}"#);
        check(&wrong, "`x-mcp-header` at `inputSchema.a` is not the name of a header");
    }
    for kind in [r#""number""#, r#""object""#, r#""array""#, r#""null""#, r#"["string","null"]"#] {
        let wrong = format!(r#""a":{{"x-mcp-header":"A","type":{kind}}}"#);
        check(&wrong, "is on a parameter that is no string, integer or boolean");
    }
    check(r#""a":{"x-mcp-header":"A"}"#, "no string, integer or boolean");
    let twice = r#""a":{"type":"string","x-mcp-header":"Same"},"b":{"type":"string","x-mcp-header":"sAME"}"#;
    check(twice, "`x-mcp-header` at `inputSchema.b` names `sAME`, as another one does");
    let inner = r#"{"type":"string","x-mcp-header":"A"}"#;
    for holder in ["items", "additionalProperties", "not", "if", "contains", "propertyNames"] {
        check(
            &format!(r#""a":{{"{holder}":{inner}}}"#),
            "no parameter that `properties` alone lead to",
        );
    }
    for holder in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        check(&format!(r#""a":{{"{holder}":[{{}},{inner}]}}"#), "`properties` alone");
    }
    for holder in ["$defs", "definitions", "patternProperties", "dependentSchemas"] {
        check(&format!(r#""a":{{"{holder}":{{"x":{inner}}}}}"#), "`properties` alone");
    }
    check(
        &format!(r#""a":{{"items":{{"properties":{{"b":{inner}}}}}}}"#),
        "at `inputSchema.a.b` is on no",
    );
    let root = Annotations::read(r#"{"type":"string","x-mcp-header":"A"}"#).unwrap_err();
    assert!(root.starts_with("`x-mcp-header` at `inputSchema` is on no parameter"), "{root}");
    for schema in ["{", "", r#"{"a":1,"a":2}"#, "{} {}"] {
        assert!(Annotations::read(schema).is_err(), "{schema}");
    }
    let deep = format!("{}1{}", r#"{"properties":{"a":"#.repeat(100), "}}".repeat(100));
    assert!(Annotations::read(&deep).unwrap_err().contains("nested deeper"));
}

#[test]
fn the_word_is_free_where_it_annotates_nothing() {
    #[track_caller]
    fn check(properties: &str) {
        assert!(read(properties).unwrap().is_empty(), "{properties}");
    }
    check(r#""x-mcp-header":{"type":"string"}"#);
    check(r#""a":{"default":{"x-mcp-header":"A"},"enum":[{"x-mcp-header":1}]}"#);
    check(r#""a":{"const":{"x-mcp-header":"A"},"examples":[{"x-mcp-header":"A"}]}"#);
    check(r#""a":{"$defs":{"x-mcp-header":true}},"b":true"#);
    for schema in ["true", "{}", r#"{"properties":[]}"#, r#"{"properties":1}"#] {
        assert!(Annotations::read(schema).unwrap().is_empty(), "{schema}");
    }
}
