use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{ALIASES, Section, variables_of};
use crate::{Settings, unavailable};

/// The paths of all values, where the value of a mapping or list is one.
fn paths(section: &Section) -> Vec<String> {
    section.leaves().iter().map(|leaf| leaf.path.clone()).collect()
}

#[test]
fn every_key_of_the_settings_is_understood() {
    fn walk(path: String, value: &Json, catalog: &[String], missing: &mut Vec<String>) {
        if catalog.contains(&path) {
            return;
        }
        let Some(map) = value.as_object() else { return missing.push(path) };
        for (name, value) in map {
            walk(super::join(&path, name), value, catalog, missing);
        }
    }
    let catalog = paths(&Section::root());
    let mut missing = Vec::new();
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    walk(String::new(), &defaults, &catalog, &mut missing);
    assert_eq!(missing, [""; 0], "keys whose schema is of no known kind");
    assert!(catalog.len() > 60, "{catalog:?}");
}

#[test]
fn defaults_of_the_schema_are_those_of_the_settings() {
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    for leaf in Section::root().leaves() {
        let pointer = format!("/{}", leaf.path.replace('.', "/"));
        assert_eq!(defaults.pointer(&pointer), Some(&leaf.default), "{}", leaf.path);
    }
}

#[test]
fn every_key_and_section_is_documented() {
    fn walk(section: &Section) {
        assert!(!section.doc.is_empty(), "{}", section.path);
        for (_, node) in &section.children {
            if let super::Node::Section(child) = node {
                walk(child);
            }
        }
    }
    let root = Section::root();
    walk(&root);
    for leaf in root.leaves() {
        assert!(leaf.doc.ends_with('.'), "{}: {}", leaf.path, leaf.doc);
    }
}

#[test]
fn no_two_keys_share_a_variable() {
    let root = Section::root();
    let mut owners = BTreeMap::new();
    for leaf in root.leaves() {
        for name in variables_of(leaf) {
            if let Some(other) = owners.insert(name.clone(), &leaf.path) {
                panic!("{name} names {other} and {}", leaf.path);
            }
        }
    }
    assert_eq!(owners.len(), root.variables().len());
}

#[test]
fn variables_are_those_of_the_contract() {
    let root = Section::root();
    let variables = root.variables();
    for (name, path) in [
        ("MCP_SERVER_PORT", "server.listen.port"),
        ("MCP_SERVER_LISTEN_PORT", "server.listen.port"),
        ("MCP_SERVER__LISTEN__PORT", "server.listen.port"),
        ("MCP_SERVER_ADDRESS", "server.listen.address"),
        ("MCP_SERVER_TRANSPORT", "server.transport"),
        ("MCP_SERVER_MAX_CONNECTIONS", "server.max_connections"),
        ("MCP_UPSTREAM_URL", "upstream.url"),
        ("MCP_AGENT_ID", "agent.id"),
        ("MCP_AGENT_NAME", "agent.name"),
        ("MCP_AGENT_CAPABILITIES", "agent.capabilities"),
        ("MCP_POLICY_MODE", "policy.mode"),
        ("MCP_POLICY_ENABLED", "policy.enabled"),
        ("MCP_POLICY_RULES_DIR", "policy.policy_dir"),
        ("MCP_POLICY_DATA_FILE", "policy.data_file"),
        ("MCP_AUDIT_ENABLED", "audit.enabled"),
        ("MCP_AUDIT_DB_PATH", "audit.db_path"),
        ("MCP_AUDIT__DB_PATH", "audit.db_path"),
        ("MCP_METRICS_ENABLED", "metrics.enabled"),
        ("MCP_METRICS_PORT", "metrics.port"),
        ("MCP_HEALTH_ENABLED", "health.enabled"),
        ("MCP_HEALTH_PORT", "health.port"),
        ("MCP_LOGGING_LEVEL", "logging.level"),
        ("MCP_LOGGING_FORMAT", "logging.format"),
        ("MCP_LOGGING_OUTPUT", "logging.output"),
    ] {
        assert_eq!(variables.get(name).map(|leaf| leaf.path.as_str()), Some(path), "{name}");
    }
}

#[test]
fn tables_name_keys_that_exist_or_do_not() {
    let known = paths(&Section::root());
    for (name, path) in ALIASES {
        assert!(known.iter().any(|it| it == path), "{name} stands for {path}");
    }
    for (path, _) in unavailable::KEYS {
        let below = format!("{path}.");
        let exists = known.iter().any(|it| it == path || it.starts_with(&below));
        assert!(!exists, "{path} is a key now: take it out of the table");
    }
}
