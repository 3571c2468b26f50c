use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{EnvironmentLayer, read};
use crate::catalog::Section;

fn layer(variables: &[(&str, &str)]) -> EnvironmentLayer {
    let env: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    read(&Section::root(), &env)
}

/// What a variable says at a JSON pointer.
#[track_caller]
fn check(name: &str, value: &str, pointer: &str, expected: Json) {
    let layer = layer(&[(name, value)]);
    assert_eq!(layer.problems, [], "{name}");
    assert_eq!(layer.warnings, [""; 0], "{name}");
    assert_eq!(layer.tree.pointer(pointer), Some(&expected), "{name}");
    assert!(layer.names.values().eq([name]));
}

#[test]
fn variables_set_keys() {
    check("MCP_SERVER_PORT", "4000", "/server/listen/port", json!(4000));
    check("MCP_SERVER_LISTEN_PORT", "4000", "/server/listen/port", json!(4000));
    check("MCP_SERVER__LISTEN__PORT", "4000", "/server/listen/port", json!(4000));
    check("MCP_AUDIT_DB_PATH", "/tmp/a.db", "/audit/db_path", json!("/tmp/a.db"));
    check("MCP_AUDIT__DB_PATH", "/tmp/a.db", "/audit/db_path", json!("/tmp/a.db"));
    check("MCP_AUDIT_ENABLED", "on", "/audit/enabled", json!(true));
    check("MCP_AGENT_CAPABILITIES", "read:*, b", "/agent/capabilities", json!(["read:*", "b"]));
    check("MCP_POLICY_RULES_DIR", "rules", "/policy/policy_dir", json!("rules"));
    check(
        "MCP_UPSTREAM_COMMAND",
        "npx,-y,server",
        "/upstream/command",
        json!(["npx", "-y", "server"]),
    );
}

#[test]
fn an_empty_value_is_a_value() {
    check("MCP_AGENT_ID", "", "/agent/id", json!(""));
    check("MCP_UPSTREAM_URL", "", "/upstream/url", json!(null));
    check("MCP_AGENT_CAPABILITIES", "", "/agent/capabilities", json!([]));
    check_problem(
        &[("MCP_AUDIT_ENABLED", "")],
        "environment variable `MCP_AUDIT_ENABLED`: `audit.enabled`: expected `true` or `false`, found ``",
    );
}

/// Expects the variables to be one problem.
#[track_caller]
fn check_problem(variables: &[(&str, &str)], expected: &str) {
    let problems: Vec<String> = layer(variables).problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with(expected), "{}", problems[0]);
}

#[test]
fn values_that_do_not_fit_stop_the_start() {
    check_problem(
        &[("MCP_SERVER_PORT", "abc")],
        "environment variable `MCP_SERVER_PORT`: `server.listen.port`: expected a whole number from 0 to 65535, found `abc`",
    );
    check_problem(&[("MCP_SERVER_PORT", "70000")], "environment variable `MCP_SERVER_PORT`");
    check_problem(
        &[("MCP_POLICY_MODE", "Audit\n")],
        "environment variable `MCP_POLICY_MODE`: `policy.mode`: expected one of `audit`, `enforce`, found `Audit\\n`",
    );
    check_problem(
        &[("MCP_AGENT_TAGS", "a,,b")],
        "environment variable `MCP_AGENT_TAGS`: `agent.tags`: expected a list with commas between, found `a,,b`",
    );
    check_problem(
        &[("MCP_UPSTREAM_ENV", "A=b")],
        "environment variable `MCP_UPSTREAM_ENV`: `upstream.env` is a mapping; write it in the file",
    );
    check_problem(
        &[("MCP_AGENT_ID", "a\u{fffd}")],
        "environment variable `MCP_AGENT_ID`: `agent.id`: the value is not UTF-8",
    );
    check_problem(
        &[("MCP_SERVER_LISTEN_PORT", "1"), ("MCP_SERVER_PORT", "1")],
        "environment variable `MCP_SERVER_PORT`: `server.listen.port` is also set by `MCP_SERVER_LISTEN_PORT`; unset one of them",
    );
}

#[test]
fn variables_of_other_versions_stop_the_start() {
    check_problem(
        &[("MCP_TLS_ENABLED", "true")],
        "environment variable `MCP_TLS_ENABLED`: `tls` is not available in this version",
    );
    check_problem(
        &[("MCP_AGENTFACTS_MODE", "required")],
        "environment variable `MCP_AGENTFACTS_MODE`: `agentfacts` is",
    );
    check_problem(
        &[("MCP_AUDIT_ON_FAILURE", "allow")],
        "environment variable `MCP_AUDIT_ON_FAILURE`",
    );
}

/// Expects the variable to be one warning, or none where `expected` is empty.
#[track_caller]
fn check_warning(name: &str, value: &str, expected: &str) {
    let layer = layer(&[(name, value)]);
    assert_eq!(layer.problems, [], "{name}");
    assert_eq!(layer.tree, json!({}), "{name}");
    assert_eq!(layer.warnings.len(), usize::from(!expected.is_empty()), "{:?}", layer.warnings);
    for warning in layer.warnings {
        assert!(warning.starts_with(expected), "{warning}");
    }
}

#[test]
fn unknown_variables_are_warnings_with_a_suggestion() {
    check_warning(
        "MCP_POLICY_MOD",
        "audit",
        "environment variable `MCP_POLICY_MOD` is not a setting; did you mean `MCP_POLICY_MODE`?",
    );
    check_warning(
        "MCP_TIMEOUT_OF_ANOTHER_PROGRAM",
        "1",
        "environment variable `MCP_TIMEOUT_OF_ANOTHER_PROGRAM` is not a setting; see docs/configuration.md",
    );
    check_warning(
        "MCP_server_port",
        "1",
        "environment variable `MCP_server_port` is not a setting",
    );
    check_warning("PATH", "/bin", "");
    check_warning("MCPX", "1", "");
    check_warning("MCP_PROXY_SHARED", "../shared", "");
    check_warning("MCP_PROXY_UPDATE", "1", "");
}

#[test]
fn variables_of_kubernetes_are_not_settings() {
    let url = "tcp://10.0.0.1:3000";
    check_warning(
        "MCP_SERVER_PORT",
        url,
        "environment variable `MCP_SERVER_PORT` is ignored: `tcp://10.0.0.1:3000` is what Kubernetes sets for a Service of that name; set `MCP_SERVER_LISTEN_PORT` for `server.listen.port`",
    );
    for (name, value) in [
        ("MCP_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("MCP_SERVER_SERVICE_PORT", "3000"),
        ("MCP_SERVER_SERVICE_PORT_HTTP", "3000"),
        ("MCP_SERVER_PORT_3000_TCP", url),
        ("MCP_SERVER_PORT_3000_TCP_PROTO", "tcp"),
        ("MCP_SERVER_PORT_3000_TCP_PORT", "3000"),
        ("MCP_SERVER_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ("MCP_PROXY_PORT", url),
        ("MCP_PROXY_SERVICE_HOST", "10.0.0.1"),
    ] {
        check_warning(name, value, "");
    }
}
