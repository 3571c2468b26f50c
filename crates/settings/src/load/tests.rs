use std::fs;
use std::path::Path;

use domain::Mode;
use serde_json::{Value as Json, json};

use super::{Loaded, Origin, layer};
use crate::catalog::{Leaf, Section, variables_of};
use crate::kind::Kind;
use crate::{Error, Settings};

fn variables(list: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let list: Vec<_> = list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    list.into_iter()
}

fn load(content: &str, env: &[(&str, &str)]) -> Result<Loaded, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yaml");
    fs::write(&path, content).unwrap();
    Settings::load(Some(&path), variables(env))
}

#[test]
fn nothing_at_all_is_the_default() {
    let loaded = Settings::load(None, variables(&[])).unwrap();
    assert_eq!(loaded.settings, Settings::default());
    assert!(loaded.origins.values().all(|origin| *origin == Origin::Default));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let content =
        "server: {listen: {port: 3001}, max_connections: 5}\nagent: {capabilities: [a, b]}";
    let loaded =
        load(content, &[("MCP_SERVER_PORT", "3002"), ("MCP_AGENT_CAPABILITIES", "c")]).unwrap();
    let server = &loaded.settings.server;
    assert_eq!((server.listen.port, server.max_connections), (3002, 5));
    assert_eq!(server.listen.address, "127.0.0.1");
    assert_eq!(loaded.settings.agent.capabilities, ["c".into()]);
    let origin = |key: &str| loaded.origins[key].to_string();
    assert_eq!(origin("server.listen.port"), "MCP_SERVER_PORT");
    assert!(origin("server.max_connections").ends_with("proxy.yaml:1"));
    assert_eq!(origin("server.listen.address"), "default");
}

#[test]
fn the_configuration_printed_by_the_ancestor_loads_as_printed() {
    let printed = r#"
version: "1.0"

server:
  listen:
    address: "0.0.0.0"
    port: 3000
  transport: "sse"

upstream:
  url: "http://your-mcp-server:8080"
  transport: "sse"

policy:
  enabled: true
  mode: "enforce"      # "audit" to log only, "enforce" to block
  policy_dir: "policies"

audit:
  enabled: true
  db_path: "audit.db"
"#;
    let settings = load(printed, &[]).unwrap().settings;
    assert_eq!(settings.server.listen.address, "0.0.0.0");
    assert_eq!(settings.server.transport, transport_http::Served::Sse);
    assert_eq!(settings.upstream.url.as_deref(), Some("http://your-mcp-server:8080"));
    assert_eq!(settings.upstream.transport, upstream::TransportKind::Sse);
    assert_eq!((settings.policy.enabled, settings.policy.mode), (true, Mode::Enforce));
    assert_eq!(settings.audit.db_path, Path::new("audit.db"));
    assert!(settings.names_upstream());
}

#[test]
fn the_variables_printed_by_the_ancestor_work() {
    let env = [
        ("MCP_SERVER_PORT", "4000"),
        ("MCP_UPSTREAM_URL", "http://127.0.0.1:8081/mcp"),
        ("MCP_POLICY_MODE", "audit"),
        ("MCP_POLICY_ENABLED", "no"),
        ("MCP_AUDIT_ENABLED", "0"),
        ("MCP_LOGGING_LEVEL", "debug"),
        ("MCP_METRICS_ENABLED", "true"),
        ("MCP_HEALTH_ENABLED", "1"),
    ];
    let settings = Settings::load(None, variables(&env)).unwrap().settings;
    assert_eq!(settings.server.listen.port, 4000);
    assert_eq!(settings.upstream.url.as_deref(), Some("http://127.0.0.1:8081/mcp"));
    assert_eq!((settings.policy.enabled, settings.policy.mode), (false, Mode::Audit));
    assert!(!settings.audit.enabled && settings.metrics.enabled && settings.health.enabled);
    assert_eq!(settings.logging.level, observability::Level::Debug);
}

#[test]
fn problems_of_file_and_environment_are_told_together() {
    let error = load("agent: {id: 7}", &[("MCP_SERVER_PORT", "x")]).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines[0].contains("proxy.yaml:1:9: `agent.id`"), "{error}");
    assert!(lines[1].starts_with("environment variable `MCP_SERVER_PORT`"), "{error}");
}

#[test]
fn checks_across_keys_say_where_the_value_was_set() {
    let error = load(
        "metrics:\n  enabled: true\n  port: 3000\nserver:\n  read_timeout: 0s\n",
        &[("MCP_HEALTH_LIVENESS_PATH", "health")],
    );
    let error = error.unwrap_err().to_string();
    for expected in [
        "proxy.yaml:3: `metrics.port` and `server.listen.port` are both `3000`; set another port",
        "proxy.yaml:5: `server.read_timeout`: ",
        "environment variable `MCP_HEALTH_LIVENESS_PATH`: `health.liveness_path`: `health` is not a path",
    ] {
        assert!(error.contains(expected), "{expected}\nis not in\n{error}");
    }
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn a_missing_server_is_a_question_of_its_own() {
    let settings = Settings::load(None, variables(&[])).unwrap().settings;
    settings.validate().unwrap();
    assert!(!settings.names_upstream());
    let command = load("upstream: {command: [/bin/server]}", &[]).unwrap();
    assert!(command.settings.names_upstream());
}

#[test]
fn what_is_shown_has_origins_and_no_secrets() {
    let content = "upstream:\n  command: [x, \"http://user:pa55word@127.0.0.1/?key=pa55word\"]\n  env: {KEY: plain-s3cret}\n\
                   agent:\n  id: \"${env:AGENT}\"\n  name: \"${env:AGENT}\"\n  tags: [a, \"${env:AGENT}\"]\n";
    let env = [("AGENT", "s3cret"), ("MCP_AGENT_NAME", "shown"), ("MCP_LOGGING_LEVEL", "warn")];
    let loaded = load(content, &env).unwrap();
    assert_eq!(&*loaded.settings.agent.id, "s3cret");
    let (yaml, json) = (loaded.show(), loaded.show_json());
    for text in [&yaml, &json.to_string()] {
        assert!(!text.contains("s3cret") && !text.contains("pa55word"), "{text}");
    }
    for line in [
        "  command: [\"x\", \"http://***@127.0.0.1/?***\"]  # ",
        "  env: {\"KEY\":\"***\"}  # ",
        "  id: \"***\"  # ",
        "  name: \"shown\"  # MCP_AGENT_NAME",
        "  tags: [\"***\", \"***\"]  # ",
        "  level: warn  # MCP_LOGGING_LEVEL",
        "  format: json  # default",
    ] {
        assert!(yaml.contains(line), "{line}\nis not in\n{yaml}");
    }
    assert_eq!(json["settings"]["agent"]["id"], "***");
    assert_eq!(json["settings"]["logging"]["level"], "warn");
    assert_eq!(json["origins"]["logging.level"], "MCP_LOGGING_LEVEL");
    assert!(json["origins"]["agent.id"].as_str().unwrap().ends_with("proxy.yaml:5"));
}

#[test]
fn what_is_shown_loads_again_as_the_same_settings() {
    let content =
        "server: {listen: {port: 3001}}\nupstream: {command: [a, \"b, c\"]}\nsession: {ttl: 90m}";
    let loaded = load(content, &[]).unwrap();
    let again = load(&loaded.show(), &[]).unwrap();
    assert_eq!(again.settings, loaded.settings);
}

/// A value of that kind other than the default, as JSON and as the text of a variable.
fn another(leaf: &Leaf) -> (Json, String) {
    fn of(kind: &Kind, default: &Json) -> (Json, String) {
        match kind {
            Kind::Flag => {
                let flag = !default.as_bool().unwrap();
                (json!(flag), flag.to_string())
            }
            Kind::Integer { min, .. } => {
                let default = default.as_i64().unwrap();
                let number = if i128::from(default) == *min {
                    default + 1
                } else {
                    i64::try_from(*min).unwrap()
                };
                (json!(number), number.to_string())
            }
            Kind::Span => (json!("7s"), "7s".to_owned()),
            Kind::Choice(names) => {
                let name = names.iter().find(|name| *name != default).unwrap_or(&names[0]);
                (json!(name), name.clone())
            }
            Kind::Text => (json!("other, text"), "other, text".to_owned()),
            Kind::List(kind) => {
                let items = [of(kind, &json!(null)), of(kind, &json!(null))];
                let [(first, _), _] = &items;
                // Items of a list cannot have a comma in a variable.
                let plain = Kind::Text == **kind;
                if plain {
                    (json!(["one", "two"]), "one, two".to_owned())
                } else {
                    (json!([first]), items[0].1.clone())
                }
            }
            Kind::Map(kind) => (json!({"NAME": of(kind, &json!(null)).0}), String::new()),
        }
    }
    of(&leaf.kind, &leaf.default)
}

/// The file that sets one key.
fn file_with(path: &str, value: &Json) -> String {
    let nested = path.rsplit('.').fold(value.clone(), |value, name| json!({name: value}));
    nested.to_string()
}

#[test]
fn every_key_reaches_the_settings_from_the_file_and_from_its_variables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yaml");
    let mut seen = 0;
    for leaf in Section::root().leaves() {
        let (value, text) = another(leaf);
        let pointer = format!("/{}", leaf.path.replace('.', "/"));
        let reached = |loaded: Loaded, through: &str| {
            let settings = serde_json::to_value(&loaded.settings).unwrap();
            let expected = match leaf.path.as_str() {
                // They hold secrets, which do not serialise.
                "policy.bundle.shared_keys" | "upstream.env" => json!({"NAME": "***"}),
                "policy.bundle.token" => json!("***"),
                _ => value.clone(),
            };
            assert_eq!(
                settings.pointer(&pointer),
                Some(&expected),
                "{} through {through}",
                leaf.path
            );
            assert_ne!(loaded.origins[&leaf.path], Origin::Default, "{}", leaf.path);
        };
        fs::write(&path, file_with(&leaf.path, &value)).unwrap();
        reached(layer(Some(&path), variables(&[])).unwrap(), "the file");
        for name in variables_of(leaf).iter().filter(|_| !matches!(leaf.kind, Kind::Map(_))) {
            reached(layer(None, variables(&[(name, &text)])).unwrap(), name);
        }
        seen += 1;
    }
    assert!(seen > 60);
}

#[test]
fn names_in_a_mapping_keep_their_spelling() {
    let loaded = load("upstream: {command: [x], env: {a.B_c: \"1\", d-E: \"2\"}}", &[]).unwrap();
    let env = &loaded.settings.upstream.env;
    assert_eq!(env["a.B_c"].expose(), "1");
    assert_eq!(env["d-E"].expose(), "2");
}

#[test]
fn names_of_rules_keep_their_dots() {
    let loaded =
        load("policy: {rules: {data.mcp.policy.allow: observe, no_writes: off}}", &[]).unwrap();
    let rules = &loaded.settings.policy.rules;
    assert_eq!(rules["data.mcp.policy.allow"], domain::RuleMode::Observe);
    assert_eq!(rules["no_writes"], domain::RuleMode::Off);
}

#[test]
fn a_digest_names_the_settings_wherever_they_come_from() {
    let digest = |file: &str, env: &[(&str, &str)]| load(file, env).unwrap().digest();
    let port = digest("server: {listen: {port: 4000}}", &[]);
    assert_eq!(port.len(), 16);
    assert!(port.bytes().all(|it| it.is_ascii_hexdigit()), "{port}");
    assert_eq!(port, digest("{}", &[("MCP_SERVER_PORT", "4000")]));
    assert_ne!(port, digest("{}", &[]));
    // Of a secret nothing shows, not even whether it changed.
    let secret = "upstream: {command: [x], env: {KEY: \"${env:KEY}\"}}";
    assert_eq!(digest(secret, &[("KEY", "one")]), digest(secret, &[("KEY", "two")]));
    let loaded = load("{}", &[]).unwrap();
    assert!(loaded.show().starts_with(&format!("# digest: {}\n", loaded.digest())));
    assert_eq!(loaded.show_json()["digest"], loaded.digest());
}
