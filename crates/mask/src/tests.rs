use proptest::prelude::*;
use serde_json::Value;

use super::{is_secret, json, places, uri};

#[track_caller]
fn check(text: &str, expected: Option<&str>) {
    assert_eq!(json(text).as_deref(), expected, "{text}");
}

#[test]
fn values_under_secret_names_are_masked_at_any_depth() {
    check(r#"{"password":"x"}"#, Some(r#"{"password":"***"}"#));
    check(
        r#"{ "a" : 1, "token" : [1, {"b": "]"}] , "c": 2 }"#,
        Some(r#"{ "a" : 1, "token" : "***" , "c": 2 }"#),
    );
    check(r#"[{"deep":{"Api-Key":null,"n":1}}]"#, Some(r#"[{"deep":{"Api-Key":"***","n":1}}]"#));
    check(r#"{"secret":123,"b":true}"#, Some(r#"{"secret":"***","b":true}"#));
    check(r#"{"secret":-1.5e3}"#, Some(r#"{"secret":"***"}"#));
    check(r#"{"b":1,"secret": false }"#, Some(r#"{"b":1,"secret": "***" }"#));
    check(r#"{"secret":{},"token":[],"a":{}}"#, Some(r#"{"secret":"***","token":"***","a":{}}"#));
    check(r#"{"secret":"a\"b\\","c":"d"}"#, Some(r#"{"secret":"***","c":"d"}"#));
    check(r#"{"p\u0061ssword":"x"}"#, Some(r#"{"p\u0061ssword":"***"}"#));
}

#[test]
fn the_places_of_masks_are_named() {
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(places(text), expected, "{text}");
    }
    check(r#"{"a":1}"#, &[]);
    check("no json", &[]);
    check(r#"{"token":{"password":1},"b":[{"Api-Key":2},3]}"#, &["/token", "/b/0/Api-Key"]);
    check(r#"{"x/y~z":{"p\u0061ssword":1}}"#, &["/x~1y~0z/password"]);
}

#[test]
fn all_else_keeps_its_bytes() {
    for text in [
        r#"{"path":"/tmp/x","n":1.0000000000000000001,"big":9007199254740993,"e":1E+2}"#,
        r#"{"max_tokens":5,"token_count":7,"secretary":"Ann","note":"password"}"#,
        r#"["password","token",":"]"#,
        r#""password""#,
        "  { \"a\"\n:\t[ ] }  ",
        "null",
        r#"{"":1,"a":"\u2028 \" : {"}"#,
    ] {
        check(text, Some(text));
    }
}

#[test]
fn what_is_not_json_is_not_kept() {
    for text in ["", "{", r#"{"password":"x"#, "password=x", "{} {}", "\"\\x\""] {
        check(text, None);
    }
}

#[test]
fn names_count_by_their_end_in_any_spelling() {
    for name in [
        "password",
        "PASSWORD",
        "Pass-Word",
        "db.password",
        "password2",
        "client_secret",
        "clientSecret",
        "aws_secret_access_key",
        "X-Api-Key",
        "api key",
        "Authorization",
        "proxy-authorization",
        "Set-Cookie",
        "refresh_token",
        "id-token",
        "sessionId",
        "session",
        "private_key_pem",
        "credentials",
        "secrets[]",
    ] {
        assert!(is_secret(name), "{name}");
    }
    for name in [
        "max_tokens",
        "token_count",
        "tokenizer",
        "key",
        "path",
        "author",
        "passenger",
        "",
        "secretary",
        "42",
    ] {
        assert!(!is_secret(name), "{name}");
    }
}

#[track_caller]
fn check_uri(text: &str, expected: &str) {
    assert_eq!(uri(text), expected, "{text}");
}

#[test]
fn uris_lose_their_credentials() {
    check_uri("file:///tmp/a@b.txt", "file:///tmp/a@b.txt");
    check_uri("db://user:pw@host/x", "db://***@host/x");
    check_uri("https://user@host", "https://***@host");
    check_uri("https://a:b@c@host/p@q", "https://***@host/p@q");
    check_uri("https://h/x?a=1&api_key=k&b=2#top", "https://h/x?a=1&api_key=***&b=2#top");
    check_uri("https://h/x?api%5Fkey=k", "https://h/x?api%5Fkey=***");
    check_uri("https://h/x#access_token=k;x=1", "https://h/x#access_token=***;x=1");
    check_uri("mem:note?token=", "mem:note?token=");
    check_uri("https://h/?token=a=b&c", "https://h/?token=***&c");
    check_uri("https://h/?%zz=1&%e2%82=2", "https://h/?%zz=1&%e2%82=2");
    check_uri("db://user:p?w#@host/x", "db://***@host/x");
    check_uri("", "");
    check_uri("ü?ö=ä&pwd=ß", "ü?ö=ä&pwd=***");
}

/// What masking does, said over parsed values.
fn masked(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mask = |(key, value): (String, Value)| {
                let value = if is_secret(&key) { "***".into() } else { masked(value) };
                (key, value)
            };
            Value::Object(fields.into_iter().map(mask).collect())
        }
        Value::Array(items) => items.into_iter().map(masked).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        "[a-c\"\\\\{}:]{0,3}",
        Just("api_key".to_owned()),
        Just("to\u{7}ken".to_owned())
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn masking_the_text_is_masking_the_value(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        let got = json(&text).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&got).unwrap(), masked(value));
    }

    #[test]
    fn any_text_is_survived(text in ".{0,40}") {
        if let Some(got) = json(&text) {
            prop_assert!(serde_json::from_str::<Value>(&got).is_ok());
        }
        drop(uri(&text));
    }
}
