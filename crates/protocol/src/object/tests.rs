use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

#[test]
fn members_are_found_by_meaning() {
    let raw = r#" { "a" : [1, 2] , "b\u0063":{"a":3}, "":null } "#;
    let found: Vec<_> = members(raw).unwrap().into_iter().map(|m| (m.key, m.value)).collect();
    let want = [("a", "[1, 2]"), ("bc", r#"{"a":3}"#), ("", "null")];
    assert_eq!(found, want.map(|(key, value)| (Cow::Borrowed(key), value)));
    assert_eq!(get(raw, "bc"), Some(r#"{"a":3}"#));
    assert_eq!((get(raw, ""), get(raw, "A"), get(raw, "b\\u0063")), (Some("null"), None, None));
}

#[test]
fn what_is_no_strict_object_has_no_members() {
    for raw in
        ["", "[]", "null", "1", "{", "{} {}", r#"{"a":1,}"#, r#"{"a":1,"a":2}"#, r#"{"a" 1}"#]
    {
        assert!(members(raw).is_err(), "{raw}");
        assert_eq!(get(raw, "a"), None, "{raw}");
        assert_eq!(edit(raw, &[("a", Some("0"))]), raw);
    }
}

#[test]
fn edits_touch_the_members_they_name() {
    #[track_caller]
    fn check(raw: &str, edits: &[(&str, Option<&str>)], want: &str) {
        assert_eq!(edit(raw, edits), want);
    }
    let raw = r#" { "a" : 1 , "b":2.0,"c" :"x" } "#;
    check(raw, &[], raw);
    check(raw, &[("z", None)], raw);
    check(raw, &[("b", Some("[3]"))], r#" { "a" : 1 , "b":[3],"c" :"x" } "#);
    check(raw, &[("a", None)], r#" { "b":2.0,"c" :"x" } "#);
    check(raw, &[("c", None)], r#" { "a" : 1 , "b":2.0} "#);
    check(raw, &[("a", None), ("b", None), ("c", None)], " {} ");
    check(raw, &[("d", Some("4"))], r#" { "a" : 1 , "b":2.0,"c" :"x" ,"d":4} "#);
    check(
        raw,
        &[("e\"", Some("{}")), ("c", Some("0")), ("a", None), ("f", None), ("d", Some("4"))],
        r#" { "b":2.0,"c" :0 ,"e\"":{},"d":4} "#,
    );
    check("{}", &[("a", Some("1")), ("b", Some("2"))], r#"{"a":1,"b":2}"#);
    check("{ }", &[], "{ }");
    check("{ }", &[("a", Some("1"))], r#"{"a":1 }"#);
    check(r#"{"\u0061":1}"#, &[("a", Some("2"))], r#"{"\u0061":2}"#);
    check(r#"{"x":{"a":1}}"#, &[("a", None)], r#"{"x":{"a":1}}"#);
}

#[test]
fn elements_are_slices_in_order() {
    #[track_caller]
    fn check(raw: &str, expected: Option<&[&str]>) {
        assert_eq!(elements(raw).ok().as_deref(), expected, "{raw}");
    }
    check("[]", Some(&[]));
    check(r#" [1, "a,]" ,{"b":[ 2 ]},[]] "#, Some(&["1", r#""a,]""#, r#"{"b":[ 2 ]}"#, "[]"]));
    check("[1,]", None);
    check("[1] 2", None);
    check("[", None);
    check(r#"{"a":1}"#, None);
    check(r#"[{"a":1,"a":2}]"#, None);
    check("", None);
}

proptest! {
    #[test]
    fn an_edit_does_what_a_tree_would(
        members in prop::collection::btree_map("[a-e\"é]{1,2}", any::<i32>(), 0..6),
        edits in prop::collection::btree_map("[a-e\"é]{1,2}", any::<Option<i32>>(), 0..10),
        white in "[ \n]{0,2}",
    ) {
        let quote = |key: &String| serde_json::to_string(key).unwrap();
        let body = members.iter().map(|(key, value)| format!("{white}{}{white}:{value}{white}", quote(key)));
        let raw = format!("{white}{{{}}}{white}", body.collect::<Vec<_>>().join(","));
        let values: Vec<_> = edits.iter().map(|(key, value)| (key, value.map(|value| value.to_string()))).collect();
        let named: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        let edited = edit(&raw, &named);
        let mut want: Map<String, Value> = serde_json::from_str(&raw).unwrap();
        for (key, value) in &edits {
            match value {
                Some(value) => drop(want.insert(key.clone(), (*value).into())),
                None => drop(want.shift_remove(key)),
            }
        }
        let got: Map<String, Value> = serde_json::from_str(&edited).unwrap();
        prop_assert!(got.iter().eq(want.iter()), "{edited}");
        prop_assert_eq!(got.len(), super::members(&edited).unwrap().len());
        for (key, value) in &got {
            let value = value.to_string();
            prop_assert_eq!(get(&edited, key), Some(&*value));
        }
    }

    #[test]
    fn no_text_makes_it_panic(raw in "[{}\\[\\]\":,a0 ]{0,12}") {
        let edited = edit(&raw, &[("a", Some("1")), ("0", None)]);
        prop_assert_eq!(members(&edited).is_ok(), members(&raw).is_ok());
    }
}
