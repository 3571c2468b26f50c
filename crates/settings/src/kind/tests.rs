use serde_json::json;

use super::Kind;

fn port() -> Kind {
    Kind::Integer { min: 1, max: 65_535 }
}

fn list() -> Kind {
    Kind::List(Box::new(Kind::Text))
}

/// Reads the value of a variable; `null` stands for "does not fit".
#[track_caller]
fn check(kind: &Kind, text: &str, expected: serde_json::Value) {
    assert_eq!(kind.parse(text).unwrap_or_default(), expected, "{text:?}");
}

#[test]
fn switches_have_the_usual_spellings() {
    for on in ["true", "1", "yes", "on", "TRUE", "On", " true "] {
        check(&Kind::Flag, on, json!(true));
    }
    for off in ["false", "0", "no", "off", "False"] {
        check(&Kind::Flag, off, json!(false));
    }
    for neither in ["", "enabled", "2", "tru", "y"] {
        check(&Kind::Flag, neither, json!(null));
    }
}

#[test]
fn numbers_are_whole_and_in_range() {
    check(&port(), "1", json!(1));
    check(&port(), " 65535\n", json!(65_535));
    for wrong in [
        "0",
        "65536",
        "-1",
        "1.0",
        "0x10",
        "abc",
        "",
        "1e3",
        "99999999999999999999999999999999999999999",
    ] {
        check(&port(), wrong, json!(null));
    }
    let size = Kind::Integer { min: 0, max: i64::MAX.into() };
    check(&size, "9223372036854775807", json!(i64::MAX));
    check(&size, "9223372036854775808", json!(null));
}

#[test]
fn durations_need_a_unit() {
    check(&Kind::Span, "1500ms", json!("1s500ms"));
    check(&Kind::Span, "24h", json!("1day"));
    for wrong in ["30", "", "-1s", "soon"] {
        check(&Kind::Span, wrong, json!(null));
    }
}

#[test]
fn choices_are_exact() {
    let mode = Kind::Choice(vec!["audit".into(), "enforce".into()]);
    check(&mode, "audit", json!("audit"));
    for wrong in ["", "Audit", "enforced"] {
        check(&mode, wrong, json!(null));
    }
}

#[test]
fn text_is_taken_as_it_is() {
    check(&Kind::Text, " a, b ", json!(" a, b "));
    check(&Kind::Text, "", json!(""));
}

#[test]
fn lists_have_commas_and_forgive_spaces() {
    check(&list(), "read:*, files:write ,x", json!(["read:*", "files:write", "x"]));
    check(&list(), "one", json!(["one"]));
    check(&list(), "", json!([]));
    check(&list(), " ", json!([]));
    for wrong in ["a,,b", ",a", "a,"] {
        check(&list(), wrong, json!(null));
    }
    check(&Kind::List(Box::new(port())), "1,2", json!([1, 2]));
    check(&Kind::List(Box::new(port())), "1,0", json!(null));
}

#[test]
fn mappings_cannot_be_written_in_a_variable() {
    check(&Kind::Map(Box::new(Kind::Text)), "a=b", json!(null));
}

#[test]
fn schemas_are_read() {
    let kind = |schema| Kind::from_schema(&schema);
    assert_eq!(kind(json!({"type": "boolean"})), Some(Kind::Flag));
    assert_eq!(kind(json!({"type": ["string", "null"]})), Some(Kind::Text));
    assert_eq!(kind(json!({"type": "string", "format": "duration"})), Some(Kind::Span));
    assert_eq!(kind(json!({"type": "integer", "minimum": 1, "maximum": 65535})), Some(port()));
    assert_eq!(kind(json!({"type": "array", "items": {"type": "string"}})), Some(list()));
    assert_eq!(
        kind(json!({"oneOf": [{"const": "a"}, {"const": "b"}]})),
        Some(Kind::Choice(vec!["a".into(), "b".into()]))
    );
    assert_eq!(
        kind(json!({"type": "object", "additionalProperties": {"type": "string"}})),
        Some(Kind::Map(Box::new(Kind::Text)))
    );
    assert_eq!(kind(json!({"type": "number"})), None);
    assert_eq!(kind(json!({"oneOf": [{"type": "string"}]})), None);
    assert_eq!(kind(json!({})), None);
}
