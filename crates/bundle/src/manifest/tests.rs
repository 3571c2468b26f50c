use serde_json::{Value, json};

use super::Manifest;

fn rooted(roots: &[&str]) -> Manifest {
    let roots = Some(roots.iter().map(|root| (*root).to_owned()).collect());
    Manifest { revision: String::new(), roots }
}

#[track_caller]
fn check(roots: &[&str], path: &str, owned: bool) {
    let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    assert_eq!(rooted(roots).owns(&path), owned, "{roots:?} {path:?}");
}

#[test]
fn a_root_covers_what_is_below_it() {
    check(&["mcp/policy"], "mcp/policy", true);
    check(&["mcp/policy"], "mcp/policy/more", true);
    check(&["/mcp/policy/"], "mcp/policy", true);
    check(&["mcp/policy"], "mcp", false);
    check(&["mcp/policy"], "mcp/policyx", false);
    check(&["a", "mcp"], "mcp/policy", true);
    check(&[""], "anything", true);
    check(&[], "anything", false);
    assert!(Manifest::default().owns(&["anything"]));
}

#[track_caller]
fn check_stray(roots: &[&str], value: &Value, expected: Option<&str>) {
    assert_eq!(
        rooted(roots).stray(&mut Vec::new(), value).as_deref(),
        expected,
        "{roots:?} {value}"
    );
}

#[test]
fn data_is_looked_through_down_to_the_roots() {
    check_stray(&["a/b", "c"], &json!({"a": {"b": 1}, "c": 2}), None);
    check_stray(&["a/b", "c"], &json!({"a": {"b": 1, "x": 1}}), Some("a/x"));
    check_stray(&["a/b"], &json!({"a": 1}), Some("a"));
    check_stray(&["a"], &json!({"b": {}}), Some("b"));
    check_stray(&["a"], &json!({}), None);
}

#[test]
fn a_manifest_is_read_with_what_is_not_known_here() {
    let text = br#"{"revision": "r1", "roots": ["a"], "metadata": {"x": 1}, "rego_version": 1}"#;
    let manifest = Manifest::parse(text).unwrap();
    assert_eq!((manifest.revision.as_str(), manifest.roots.unwrap()), ("r1", vec!["a".to_owned()]));
    assert_eq!(Manifest::parse(b"{}").unwrap(), Manifest::default());
    for text in [&b"[]"[..], b"{\"roots\": \"a\"}", b""] {
        assert!(Manifest::parse(text).unwrap_err().to_string().contains(".manifest"));
    }
}

#[track_caller]
fn check_overlap(roots: &[&str], overlap: bool) {
    assert_eq!(rooted(roots).validate().is_err(), overlap, "{roots:?}");
}

#[test]
fn roots_do_not_overlap() {
    check_overlap(&["a", "b"], false);
    check_overlap(&["a/b", "a/bc"], false);
    check_overlap(&["a", "a/b"], true);
    check_overlap(&["a/b", "c", "a"], true);
    check_overlap(&["a", "/a/"], true);
    check_overlap(&["", "a"], true);
}
