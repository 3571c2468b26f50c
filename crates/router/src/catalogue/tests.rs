use protocol::{ListKind, list_entries};

use super::{BYTES, Catalogue, TOOLS};

/// Lists tools; gives what is known of the first: its digest, and whether it changed.
fn note(catalogue: &Catalogue, tools: &str) -> (String, bool) {
    let result = format!(r#"{{"tools":[{tools}]}}"#);
    let entries = list_entries(&result, ListKind::Tools).unwrap();
    let listed = catalogue.note(&entries);
    assert_eq!(listed.len(), entries.len());
    (listed[0].view.digest.to_string(), listed[0].view.changed)
}

#[test]
fn a_definition_is_known_by_what_it_says_not_how_it_is_written() {
    let catalogue = Catalogue::default();
    let (first, changed) = note(&catalogue, r#"{"name":"a","description":"x","inputSchema":{}}"#);
    assert!(!changed);
    let same = note(&catalogue, r#"{ "inputSchema":{}, "description":"\u0078", "name":"a" }"#);
    assert_eq!(same, (first.clone(), false));
    let (other, changed) = note(&catalogue, r#"{"name":"a","description":"y","inputSchema":{}}"#);
    assert!(changed && other != first);
    let back = note(&catalogue, r#"{"name":"a","description":"x","inputSchema":{}}"#);
    assert_eq!(back, (first, true), "it was another in between");
}

#[test]
fn the_digest_is_that_of_the_canonical_form() {
    // printf '{"a":1,"name":"t"}' | sha256sum
    let digest = "089b6e78657b1d4d1405f7114f485256a72650b734e8e536aae3854014670fa0";
    let known = note(&Catalogue::default(), r#"{"name":"t", "a":1.0}"#);
    assert_eq!(known, (digest.to_owned(), false));
}

#[test]
fn what_a_tool_is_said_to_do_is_kept_for_policy_and_the_log() {
    let catalogue = Catalogue::default();
    let tool = r#"{"name":"a","description":"q\"","annotations":{"readOnlyHint": true}}"#;
    let (digest, _) = note(&catalogue, tool);
    let known = catalogue.get("a").unwrap();
    assert!(known.reads);
    assert_eq!(known.view.description.as_deref(), Some("q\""));
    assert_eq!(known.view.annotations.as_deref(), Some(r#"{"readOnlyHint": true}"#));
    let text = format!(
        r#"{{"description":"q\"","annotations":{{"readOnlyHint": true}},"digest":"{digest}","changed":false}}"#
    );
    assert_eq!(*known.text, *text);
    for plain in [r#"{"name":"b"}"#, r#"{"name":"b","annotations":{"readOnlyHint":"true"}}"#] {
        note(&catalogue, plain);
        assert!(!catalogue.get("b").unwrap().reads, "{plain}");
    }
    assert!(catalogue.get("c").is_none());
}

#[test]
fn it_is_bounded_and_forgets_what_it_cannot_keep() {
    let catalogue = Catalogue::default();
    let all: Vec<String> = (0..=TOOLS).map(|n| format!(r#"{{"name":"t{n}"}}"#)).collect();
    note(&catalogue, &all.join(","));
    assert!(catalogue.get(&format!("t{}", TOOLS - 1)).is_some());
    assert!(catalogue.get(&format!("t{TOOLS}")).is_none(), "one too many");
    let large = format!(r#"{{"name":"t0","description":"{}"}}"#, "x".repeat(BYTES));
    note(&catalogue, &large);
    assert!(catalogue.get("t0").is_none(), "not known for what it was");
    note(&catalogue, &format!(r#"{{"name":"t{TOOLS}"}}"#));
    assert!(catalogue.get(&format!("t{TOOLS}")).is_some(), "there is room again");
}
