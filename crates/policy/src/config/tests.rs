use std::fs;

use serde_json::json;

use super::*;

#[track_caller]
fn check(yaml: &str, error: Option<&str>) {
    let config: Config = serde_yaml::from_str(yaml).unwrap();
    assert_eq!(config.validate().err().map(|error| error.to_string()).as_deref(), error, "{yaml}");
}

#[test]
fn values_out_of_range_name_the_key_and_the_remedy() {
    check("{}", None);
    check("evaluation: {timeout: 10ms}", None);
    let hint = "set it between `1ms` and `10s`";
    check(
        "evaluation: {timeout: 0s}",
        Some(&format!("`policy.evaluation.timeout` is `0s`; {hint}")),
    );
    check(
        "evaluation: {timeout: 11s}",
        Some(&format!("`policy.evaluation.timeout` is `11s`; {hint}")),
    );
    check(
        "cache: {max_entries: 0}",
        Some(
            "`policy.cache.max_entries` is 0; set it to 1 or more, or turn the cache off with \
             `policy.cache.enabled: false`",
        ),
    );
    check("cache: {max_entries: 0, enabled: false}", None);
    let hint = "set it to 1000 or more";
    check(
        "evaluation: {max_instructions: 999}",
        Some(&format!("`policy.evaluation.max_instructions` is 999; {hint}")),
    );
    check(
        "evaluation: {max_input: 1023}",
        Some("`policy.evaluation.max_input` is 1023; set it to 1024 or more"),
    );
    check("headers: [x-tenant, X-Region]", None);
    check(
        "headers: [x tenant]",
        Some("`policy.headers` is `x tenant`; name HTTP headers such as `x-tenant`"),
    );
    check(
        "headers: [Authorization]",
        Some(
            "`policy.headers` is `Authorization`; credentials are not for policies; read `input.identity` instead",
        ),
    );
}

#[test]
fn unknown_keys_are_refused() {
    assert!(
        serde_yaml::from_str::<Config>("polcy_dir: x")
            .unwrap_err()
            .to_string()
            .contains("polcy_dir")
    );
    assert!(serde_yaml::from_str::<Config>("cache: {size: 1}").is_err());
    assert!(serde_yaml::from_str::<Config>("rules: {a: loud}").is_err());
}

#[test]
fn the_configuration_names_folder_and_data_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("p")).unwrap();
    fs::write(dir.path().join("p/a.rego"), "package mcp.policy\ndeny if data.x == 1").unwrap();
    fs::write(dir.path().join("extra.json"), r#"{"x": 1}"#).unwrap();
    let mut config = Config { policy_dir: Some(dir.path().join("p")), ..Config::default() };
    let data = |config: &Config| config.sources().unwrap().merged_data().unwrap();
    assert_eq!(data(&config), json!({}));
    config.data_file = Some(dir.path().join("extra.json"));
    assert_eq!(data(&config), json!({"x": 1}));
    config.data_file = Some(dir.path().join("missing.json"));
    let error = config.sources().unwrap_err().to_string();
    assert!(error.contains("missing.json"), "{error}");
    // An empty folder name means the policies in the program.
    let shipped = Config { policy_dir: Some(PathBuf::new()), ..Config::default() };
    assert_eq!(shipped.sources().unwrap().origin(), "shipped policies");
}

#[test]
fn a_folder_that_is_not_there_is_blamed_on_its_key() {
    let config = Config { policy_dir: Some("no/such/folder".into()), ..Config::default() };
    let missing = config.sources().unwrap_err().to_string();
    assert!(missing.contains("no/such/folder") && missing.contains("policy_dir"), "{missing}");
}

#[test]
fn a_bundle_takes_the_place_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b.tar.gz");
    fs::write(dir.path().join("extra.json"), r#"{"x": 1}"#).unwrap();
    let mut config = Config::default();
    config.bundle.file = Some(file.clone());
    config.validate().unwrap();
    let error = config.sources().unwrap_err().to_string();
    assert!(error.contains("b.tar.gz"), "{error}");

    let build = |roots: Option<&[&str]>| {
        let roots = roots.map(|roots| roots.iter().map(|root| (*root).to_owned()).collect());
        let manifest = bundle::Manifest { revision: "r1".to_owned(), roots };
        let files = bundle::Files::from([
            ("p/a.rego".to_owned(), b"package mcp.policy\ndeny if data.x == data.y.z".to_vec()),
            ("y/data.json".to_owned(), b"{\"z\": 1}".to_vec()),
        ]);
        fs::write(&file, bundle::build(&manifest, files).unwrap()).unwrap();
    };
    build(None);
    config.data_file = Some(dir.path().join("extra.json"));
    let sources = config.sources().unwrap();
    assert_eq!(sources.merged_data().unwrap(), json!({"y": {"z": 1}, "x": 1}));
    assert_eq!(sources.origin(), "the bundle `r1`");
    assert_eq!(sources.policies()[0].name, "p/a.rego");
    build(Some(&["mcp", "y"]));
    config.sources().unwrap();
    build(Some(&["mcp/other", "y"]));
    let error = config.sources().unwrap_err().to_string();
    assert!(error.contains("p/a.rego:1") && error.contains("in no root"), "{error}");
}

#[test]
fn a_bundle_stands_beside_no_folder() {
    let hint = "`policy.bundle` is given beside a folder; remove `policy.policy_dir` and `policy.json_policy_dir`: the policies are those of the bundle";
    check("{policy_dir: p, bundle: {file: b}}", Some(hint));
    check("{json_policy_dir: p, bundle: {url: 'https://a.example/b'}}", Some(hint));
    check("{policy_dir: '', bundle: {file: b}}", None);
    check(
        "{bundle: {file: b, poll_interval: 0s}}",
        Some("`policy.bundle.poll_interval` is `0s`; set it to `1s` or more"),
    );
}
