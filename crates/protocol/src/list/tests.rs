use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn keys(result: &str, kind: ListKind) -> Vec<String> {
    let entries = list_entries(result, kind).unwrap();
    entries.into_iter().map(|entry| entry.key.into_owned()).collect()
}

#[test]
fn entries_are_found_for_every_kind() {
    assert_eq!(keys(r#"{"tools":[{"name":"a"},{"name":"b"}]}"#, ListKind::Tools), ["a", "b"]);
    assert_eq!(keys(r#"{"prompts":[{"name":"a"}]}"#, ListKind::Prompts), ["a"]);
    assert_eq!(keys(r#"{"resources":[{"name":"n","uri":"u:1"}]}"#, ListKind::Resources), ["u:1"]);
    let templates = r#"{"resourceTemplates":[{"uriTemplate":"f:{x}"}]}"#;
    assert_eq!(keys(templates, ListKind::ResourceTemplates), ["f:{x}"]);
    assert_eq!(keys(r#"{"tools":[{"name":"a"}]}"#, ListKind::Prompts), [""; 0]);
    assert_eq!(keys(r#"{"tools":[]}"#, ListKind::Tools), [""; 0]);
    assert_eq!(keys("{}", ListKind::Tools), [""; 0]);
}

#[test]
fn an_entry_has_its_parts() {
    let raw = r#"{"description":"say \"hi\"", "name":"\u0061", "annotations":{"readOnlyHint":true},"x":[{"name":"no"}]}"#;
    let result = format!(r#"{{"tools":[{raw}]}}"#);
    assert_eq!(
        list_entries(&result, ListKind::Tools).unwrap(),
        [ListEntry {
            raw,
            key: "a".into(),
            description: Some("say \"hi\"".into()),
            annotations: Some(r#"{"readOnlyHint":true}"#),
        }]
    );
    let plain =
        list_entries(r#"{"tools":[{"name":"a","description":7}]}"#, ListKind::Tools).unwrap();
    assert_eq!((&plain[0].description, plain[0].annotations), (&None, None));
}

#[test]
fn what_a_client_could_read_otherwise_is_refused() {
    #[track_caller]
    fn check(result: &str, want: &str) {
        let error = list_entries(result, ListKind::Tools).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert!(retain_entries(result, ListKind::Tools, |_| true).is_err());
    }
    check("[]", "not an object");
    check(r#"{"tools":{}}"#, "`tools` is not an array at byte 9");
    check(r#"{"tools":null}"#, "`tools` is not an array");
    check(r#"{"tools":[7]}"#, "entry of `tools` without a string `name`");
    check(r#"{"tools":[{}]}"#, "without a string `name`");
    check(r#"{"tools":[{"name":1}]}"#, "without a string `name`");
    check(r#"{"tools":[],"Tools":[{"name":"a"}]}"#, "`Tools` differs from `tools`");
    check(r#"{"tool\u017f":[{"name":"a"}]}"#, "differs from `tools`");
    check(r#"{"tools":[],"tools":[]}"#, "duplicate key `tools`");
    check(r#"{"tools":[{"name":"a","Name":"b"}]}"#, "`Name` differs from `name`");
    check(r#"{"tools":[{"name":"a","\u006eame":"b"}]}"#, "duplicate key");
    check(r#"{"tools":[{"name":"a","inputSchema":{"a":1,"a":2}}]}"#, "duplicate key `a`");
    check(r#"{"tools":[{"name":"a"}]"#, "the text ends");
    check(r#"{"tools":[{"name":"a"},]}"#, "found `]`");
    check(r#"{"tools":[]} x"#, "text after the end");
}

#[track_caller]
fn check_retained(result: &str, drop: &[&str], want: &str) {
    let retained = retain_entries(result, ListKind::Tools, |e| !drop.contains(&&*e.key)).unwrap();
    assert_eq!(retained.result, want);
    assert_eq!(retained.removed, drop);
}

#[test]
fn removal_touches_nothing_else() {
    let result = r#" {"_meta":{"a" : 1}, "tools" : [ {"name":"a"} , {"name":"b", "x":1.0e0},
 {"name":"c"} ] ,"nextCursor":"n"} "#;
    check_retained(result, &[], result);
    check_retained(result, &["a"], &result.replace(r#" {"name":"a"} ,"#, ""));
    check_retained(result, &["b"], &result.replace(r#" {"name":"b", "x":1.0e0},"#, ""));
    check_retained(result, &["c"], &result.replace(",\n {\"name\":\"c\"} ", ""));
    check_retained(
        result,
        &["a", "b", "c"],
        r#" {"_meta":{"a" : 1}, "tools" : [] ,"nextCursor":"n"} "#,
    );
    check_retained("{}", &[], "{}");
}

#[test]
fn what_is_gone_is_named() {
    let result = r#"{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#;
    let retained = retain_entries(result, ListKind::Tools, |entry| entry.key != "b").unwrap();
    assert_eq!(retained.removed, ["b"]);
}

proptest! {
    #[test]
    fn the_rest_is_what_a_tree_would_keep(
        entries in prop::collection::vec((any::<bool>(), "[ \n]{0,2}", any::<String>()), 0..8),
    ) {
        let text = |index: usize, white: &str, note: &str| {
            format!(r#"{white}{{"name":"t{index}","title":{}}}{white}"#, Value::from(note))
        };
        let array = |only_kept: bool| {
            let kept = entries.iter().enumerate().filter(|(_, (keep, ..))| *keep || !only_kept);
            kept.map(|(i, (_, white, note))| text(i, white, note)).collect::<Vec<_>>().join(",")
        };
        let result = |array: String| format!(r#"{{"a":[1 ,2],"tools":[{array}],"nextCursor":"x"}}"#);
        let keep = |entry: &ListEntry<'_>| {
            let index = entry.key.trim_start_matches('t').parse::<usize>();
            entries[index.unwrap()].0
        };
        let retained = retain_entries(&result(array(false)), ListKind::Tools, keep).unwrap();
        prop_assert_eq!(&retained.result, &result(array(true)));
        prop_assert_eq!(retained.removed.len(), entries.iter().filter(|(keep, ..)| !keep).count());
    }
}
