use std::path::Path;

use serde_json::json;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[track_caller]
fn check_error(files: &[(&str, &str)], parts: &[&str]) {
    let dir = folder(files);
    let error = Sources::from_dir(dir.path()).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{error}` does not name `{part}`");
    }
}

#[test]
fn a_folder_is_read_whole_and_in_order() {
    let dir = folder(&[
        ("b.rego", "package b"),
        ("a.rego", "package a"),
        ("deep/er/c.rego", "package c"),
        ("a_test.rego", "package a_test"),
        ("data.json", r#"{"x": {"from_json": 1}}"#),
        ("deep/more.yaml", "x: {from_yaml: 2}\nlist: [1]"),
        ("empty.yml", "# nothing yet"),
        ("schema/input.json", r#"{"x": "not data"}"#),
        ("..data/copy.rego", "package copy"),
        ("README.md", "text"),
    ]);
    let sources = Sources::from_dir(dir.path()).unwrap();
    let names = |files: &[SourceFile]| -> Vec<String> {
        files
            .iter()
            .map(|file| {
                Path::new(&file.name).strip_prefix(dir.path()).unwrap().display().to_string()
            })
            .collect()
    };
    assert_eq!(names(sources.policies()), ["a.rego", "b.rego", "deep/er/c.rego"]);
    assert_eq!(names(sources.tests()), ["a_test.rego"]);
    assert_eq!(
        sources.merged_data().unwrap(),
        json!({"x": {"from_json": 1, "from_yaml": 2}, "list": [1]})
    );
}

#[test]
fn files_can_be_named_one_by_one() {
    let dir =
        folder(&[("a.rego", "package a"), ("b.rego", "package b"), ("more/c.rego", "package c")]);
    let (a, more) = (dir.path().join("a.rego"), dir.path().join("more"));
    let sources = Sources::from_paths(&[&more, &a]).unwrap();
    let texts: Vec<&str> = sources.policies().iter().map(|file| &*file.text).collect();
    assert_eq!(texts, ["package a", "package c"]);
    assert!(sources.origin().contains("more, "), "{}", sources.origin());
}

#[test]
fn conflicting_data_name_both_files() {
    check_error(
        &[("a.json", r#"{"limits": {"default": 1}}"#), ("b.yaml", "limits: {default: 2}")],
        &["`data.limits.default`", "a.json", "b.yaml", "keep one"],
    );
    check_error(
        &[("a.json", r#"{"x": 1}"#), ("b.yaml", "x: {y: 2}")],
        &["`data.x`", "a.json", "b.yaml"],
    );
    // The same value twice is no conflict.
    let dir = folder(&[("a.json", r#"{"x": 1}"#), ("b.yaml", "x: 1")]);
    assert_eq!(Sources::from_dir(dir.path()).unwrap().merged_data().unwrap(), json!({"x": 1}));
}

#[test]
fn bad_files_are_named() {
    check_error(&[("d.json", "[1]")], &["d.json", "not an object"]);
    check_error(&[("d.json", "{")], &["d.json", "line 1"]);
    check_error(&[("d.json", r#"{"a": {"b": 1, "b": 2}}"#)], &["d.json", "`b` is given twice"]);
    check_error(&[("d.yaml", "a: 1\na: 2")], &["d.yaml", "duplicate"]);
    check_error(&[("d.json", "")], &["d.json", "line 1"]);
    check_error(&[("d.json", "{\"a\": 1")], &["d.json", "line 1"]);
    check_error(&[("d.yaml", "a: [1, 2")], &["d.yaml", "line 1"]);
    let missing = Sources::from_dir(Path::new("no/such/folder")).unwrap_err().to_string();
    assert!(missing.contains("no/such/folder") && !missing.contains("policy_dir"), "{missing}");
}

#[test]
fn the_program_carries_the_shipped_folder() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let (on_disk, inside) = (Sources::from_dir(&dir).unwrap(), Sources::embedded().unwrap());
    let texts = |sources: &Sources| -> Vec<Arc<str>> {
        sources.policies().iter().map(|file| Arc::clone(&file.text)).collect()
    };
    assert_eq!(texts(&on_disk), texts(&inside));
    assert_eq!(on_disk.merged_data().unwrap(), inside.merged_data().unwrap());
}

#[test]
fn files_that_are_no_text_are_named() {
    let dir = folder(&[("good.rego", "package a")]);
    fs::write(dir.path().join("bad.rego"), [0xff, 0xfe, 0x00, 0x01]).unwrap();
    let error = Sources::from_dir(dir.path()).unwrap_err().to_string();
    assert!(error.contains("bad.rego") && error.contains("UTF-8"), "{error}");
}

#[cfg(unix)]
#[track_caller]
fn check_link(name: &str, target: &str, part: &str) {
    let dir = folder(&[("good.rego", "package a")]);
    std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
    let error = Sources::from_dir(dir.path()).unwrap_err().to_string();
    assert!(error.contains(name) && error.contains(part), "`{error}` does not name `{part}`");
}

#[cfg(unix)]
#[test]
fn devices_and_links_to_nothing_are_named() {
    check_link("endless.rego", "/dev/zero", "not a regular file");
    check_link("endless.yaml", "/dev/zero", "not a regular file");
    check_link("lost.rego", "/no/such/file", "mend or remove the link");
    check_link("lost_folder", "/no/such/folder", "mend or remove the link");
}

/// A policy that denies the tool `tool`.
fn denying(name: &str, tool: &str) -> String {
    json!({
        "version": "1.0",
        "name": name,
        "rules": [{"id": "no", "type": "custom", "action": "deny", "conditions": {"tool": tool}}],
    })
    .to_string()
}

#[test]
fn json_policies_are_compiled() {
    let (a, b) = (denying("a", "rm"), denying("b", "dd"));
    let dir = folder(&[("json/a.json", &a), ("data.json", r#"{"x": 1}"#)]);
    let more = folder(&[("deep/b.json", &b), ("README.md", "")]);
    let sources = Sources::from_dir(dir.path()).unwrap().with_json_dir(more.path()).unwrap();
    assert_eq!(sources.merged_data().unwrap(), json!({"x": 1}));
    let violations = crate::load(&sources).unwrap().graph.named(&["mcp", "policy", "violations"]);
    assert_eq!(violations.len(), 2);

    let (c, d) = (denying("a", "ls"), "{");
    let wrong = folder(&[("c.json", &c), ("d.json", d)]);
    let sources = Sources::from_dir(dir.path()).unwrap();
    let error = sources.with_json_dir(wrong.path()).unwrap_err().to_string();
    assert!(error.contains("a.json has a policy `a` too; give each its own name"), "{error}");
    assert!(error.contains("d.json: "), "{error}");
}

#[test]
fn what_was_unpacked_is_sources_too() {
    let owned = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let policies = || [owned("a.rego", "package a"), owned("b/a_test.rego", "package b.c")];
    let from = |documents: Vec<(String, Value)>, owns: fn(&[String]) -> bool| {
        Sources::from_parts("the parcel".to_owned(), policies(), documents, owns)
    };
    let document = |value| ("data.json".to_owned(), value);
    let sources =
        from(vec![document(json!({"x": 1})), document(json!({"y": 2}))], |_| true).unwrap();
    assert_eq!(sources.origin(), "the parcel");
    assert_eq!((sources.policies().len(), sources.tests().len()), (1, 1));
    assert_eq!(sources.merged_data().unwrap(), json!({"x": 1, "y": 2}));
    let twice = vec![document(json!({"x": 1})), document(json!({"x": 2}))];
    assert!(from(twice, |_| true).unwrap_err().to_string().contains("`data.x`"));
    let error = from(Vec::new(), |package| package == ["a"]).unwrap_err().to_string();
    assert!(
        error.starts_with("b/a_test.rego:1:1: package `b.c` is in no root of the parcel"),
        "{error}"
    );
}
