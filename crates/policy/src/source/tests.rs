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
    check_error(&[("d.yaml", "a: 1\na: 2")], &["d.yaml", "duplicate"]);
    check_error(&[("json/p.json", "{}")], &["p.json", "JSON policies are not supported"]);
    let missing = Sources::from_dir(Path::new("no/such/folder")).unwrap_err().to_string();
    assert!(missing.contains("no/such/folder") && !missing.contains("policy_dir"), "{missing}");
    let configured = Config { policy_dir: Some("no/such/folder".into()), ..Config::default() };
    let missing = Sources::from_config(&configured).unwrap_err().to_string();
    assert!(missing.contains("no/such/folder") && missing.contains("policy_dir"), "{missing}");
}

#[test]
fn the_configuration_names_folder_and_data_file() {
    let dir = folder(&[
        ("p/a.rego", "package mcp.policy\ndeny if data.x == 1"),
        ("extra.json", r#"{"x": 1}"#),
    ]);
    let mut config = Config { policy_dir: Some(dir.path().join("p")), ..Config::default() };
    assert_eq!(Sources::from_config(&config).unwrap().merged_data().unwrap(), json!({}));
    config.data_file = Some(dir.path().join("extra.json"));
    assert_eq!(Sources::from_config(&config).unwrap().merged_data().unwrap(), json!({"x": 1}));
    config.data_file = Some(dir.path().join("missing.json"));
    let error = Sources::from_config(&config).unwrap_err().to_string();
    assert!(error.contains("missing.json"), "{error}");
    // An empty folder name means the policies in the program.
    let shipped =
        Sources::from_config(&Config { policy_dir: Some(PathBuf::new()), ..Config::default() })
            .unwrap();
    assert_eq!(shipped.origin(), "shipped policies");
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
