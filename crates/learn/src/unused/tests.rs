use std::sync::Arc;

use domain::{Agent, Outcome};
use policy::Sources;
use serde_json::json;

use super::unused;
use crate::fixture::{Log, call, message, with};
use crate::trial;

const RULES: &str = r#"package mcp.policy
import rego.v1
allow if data.tool_capabilities[input.tool] in input.agent.capabilities
allow if {
	input.stage == "list"
	input.server.tool.digest == "odd-1"
}
"#;

#[test]
fn what_is_granted_and_never_used() {
    let of = |agent: &str, event| {
        with(event, |it: &mut domain::AuditEvent| {
            it.agent = Arc::new(Agent {
                id: agent.into(),
                capabilities: vec!["read".into()],
                ..Agent::default()
            });
        })
    };
    let mut events = vec![
        message(1, "s-1", "ping"),
        call(2, "s-1", "read_file", json!({})),
        call(3, "s-1", "odd", json!({})),
        with(call(4, "s-1", "read_dir", json!({})), |it| {
            (it.decision, it.forwarded) = (Outcome::Deny, false);
        }),
        with(call(5, "s-1", "delete_file", json!({})), |it| {
            (it.decision, it.forwarded) = (Outcome::Deny, false);
        }),
    ];
    events = events.into_iter().map(|event| of("agent-1", event)).collect();
    events.push(of("agent-2", message(6, "s-2", "ping")));
    let log = Log::of(events);
    let data = json!({ "tool_capabilities": { "read_file": "read", "read_dir": "read", "stat": "read", "delete_file": "write" } });
    let sources =
        Sources::from_texts(&[("rules.rego", RULES), ("data.json", &data.to_string())]).unwrap();
    let engine = trial::engine(&sources).unwrap();
    let unused = unused(&log.path, &engine, &data, None).unwrap();
    let found: Vec<(&str, &str, &str)> =
        unused.iter().map(|it| (&*it.agent, &*it.server, &*it.tool)).collect();
    assert_eq!(
        found,
        [
            ("agent-1", "files", "read_dir"),
            ("agent-1", "files", "stat"),
            ("agent-2", "files", "odd"),
            ("agent-2", "files", "read_dir"),
            ("agent-2", "files", "read_file"),
            ("agent-2", "files", "stat"),
        ]
    );
    assert_eq!((&*unused[0].since, unused[0].messages), ("2026-11-20T10:41:00.000000Z", 5));
}

#[test]
fn a_learned_document_names_tools_of_its_server() {
    let log = Log::of(vec![message(1, "s-1", "ping")]);
    let data = json!({
        "learned": { "agents": { "x": { "files": { "tools": { "a": {} } }, "other": { "tools": { "b": {} } } } } },
        "tool_approval": { "tools": { "files": { "c": "1" }, "other": { "d": "1" } } },
    });
    let rules = "package mcp.policy\nallow := true\n";
    let engine = trial::engine(&Sources::from_texts(&[("rules.rego", rules)]).unwrap()).unwrap();
    let found = unused(&log.path, &engine, &data, None).unwrap();
    assert_eq!(found.iter().map(|it| &*it.tool).collect::<Vec<_>>(), ["a", "c"]);
}
