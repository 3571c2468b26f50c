use std::fs;
use std::path::Path;

use super::*;

#[test]
fn the_committed_schema_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/schema/input.json");
    let generated = format!("{:#}\n", input());
    if std::env::var_os("MCP_PROXY_UPDATE").is_some_and(|it| it == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "policies/schema/input.json is stale: run `MCP_PROXY_UPDATE=1 cargo test -p rego fresh` and commit it"
    );
}

#[test]
fn stages_and_transports_are_those_of_the_gateway() {
    #[track_caller]
    fn check(pointer: &str, names: &[&str]) {
        let choices = input().pointer(pointer).unwrap();
        let constant = |choice: &Value| choice["const"].as_str().unwrap().to_owned();
        let listed: Vec<String> =
            choices["oneOf"].as_array().unwrap().iter().map(constant).collect();
        assert_eq!(listed, names);
    }
    check("/properties/stage", &domain::Stage::ALL.map(domain::Stage::as_str));
    let transports = domain::Transport::ALL.map(domain::Transport::as_str);
    check("/properties/context/properties/transport", &transports);
}

#[test]
fn objects_of_ours_are_closed_and_free_ones_open() {
    let schema = input();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["agent"]["additionalProperties"], false);
    assert_eq!(schema["properties"]["server"]["properties"]["tool"]["type"], "object");
    assert_eq!(schema["properties"]["arguments"]["type"], Value::Null);
    assert!(!schema.to_string().contains("null"), "{schema}");
}
