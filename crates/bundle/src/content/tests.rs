use serde_json::json;

use super::{Bundle, build};
use crate::fixture::{files, packed};
use crate::{Error, Manifest, Verification};

fn read(texts: &[(&str, &str)]) -> Result<Bundle, Error> {
    Bundle::read(crate::archive::pack(&files(texts)).unwrap().into(), &Verification::default())
}

#[test]
fn data_stands_at_the_path_of_its_folder() {
    let bundle = read(&[
        ("data.json", "{\"a\": 1}"),
        ("b/c/data.yaml", "# text\nd: [1]\n"),
        ("b/e/data.yml", "f"),
        ("b/other.json", "not even JSON"),
        ("b/x.rego", "package x"),
        ("b/x_test.rego", "package x_test"),
        ("policy.wasm", ""),
    ])
    .unwrap();
    let values: Vec<_> = bundle.documents().iter().map(|it| it.value.clone()).collect();
    assert_eq!(
        values,
        [json!({"b": {"c": {"d": [1]}}}), json!({"b": {"e": "f"}}), json!({"a": 1})]
    );
    let names: Vec<_> = bundle.policies().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b/x.rego", "b/x_test.rego"]);
    assert_eq!(bundle.manifest(), &Manifest::default());
}

#[track_caller]
fn check_refused(texts: &[(&str, &str)], expected: &str) {
    let error = read(texts).unwrap_err();
    assert!(error.is_of_content());
    assert!(error.to_string().contains(expected), "{expected} is not in {error}");
}

#[test]
fn what_cannot_be_read_or_is_out_of_its_roots_is_named() {
    check_refused(&[("a/data.json", "{")], "`a/data.json` in the bundle cannot be read");
    check_refused(&[("a/data.yaml", "x: 1\nx: 2")], "`a/data.yaml`");
    check_refused(&[("data.json", "[1]")], "must be one");
    check_refused(&[(".manifest", "x")], "is not a manifest");
    check_refused(&[(".manifest", "{\"roots\": [\"a\", \"a/b\"]}")], "overlap");
    let rooted = (".manifest", "{\"roots\": [\"a/b\"]}");
    check_refused(&[rooted, ("data.json", "{\"c\": 1}")], "defines `c`");
    check_refused(&[rooted, ("a/data.json", "{\"b\": 1, \"c\": 1}")], "defines `a/c`");
    check_refused(&[rooted, ("c/data.json", "{}")], "defines `c`");
    read(&[rooted, ("a/b/data.json", "{\"c\": 1}")]).unwrap();
}

#[test]
fn a_bundle_that_was_built_is_read_again() {
    let bytes = packed("r1");
    assert_eq!(bytes, packed("r1"));
    let bundle = Bundle::read(bytes.clone().into(), &Verification::default()).unwrap();
    assert_eq!(bundle.manifest().revision, "r1");
    assert_eq!(bundle.documents()[0].value, json!({"tools": {"closed": ["write"]}}));
    assert_eq!(bundle.packed(), &bytes);
    let roots = Some(vec!["a".to_owned(), "a/b".to_owned()]);
    let wrong = Manifest { revision: String::new(), roots };
    assert!(build(&wrong, files(&[])).is_err());
}
