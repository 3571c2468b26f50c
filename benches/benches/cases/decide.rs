//! Sets of policies, and a call to decide with them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use domain::{
    Agent, ContextView, Identity, PolicyInput, ServerView, SessionState, SessionView, Stage,
    Transport,
};
use policy::{CacheConfig, PolicyEngine, Sources};

/// An engine on the fast path, whose reused decisions are never made again.
pub(crate) fn engine(sources: &Sources, cached: bool) -> Arc<PolicyEngine> {
    let config = policy::Config {
        cache: CacheConfig { enabled: cached, verify_every: 0, ..CacheConfig::default() },
        ..policy::Config::default()
    };
    let engine = PolicyEngine::new(sources, &config).expect("the policies compile");
    assert_eq!(*engine.set().engine(), policy::Engine::Rvm, "the case is about the fast path");
    Arc::new(engine)
}

fn sources(files: &[(&str, &str)]) -> Sources {
    Sources::from_texts(files).expect("the policies load")
}

const FOUR_DATA: &str = r#"{
    "blocked": {"agents": ["mallory"], "dids": ["did:web:bad.example"], "tools": ["rm", "format"]},
    "needed": {"read_file": ["read:*", "read:files"], "write_file": ["write:files"], "echo": []},
    "limits": {"requests": 1000000}
}"#;

/// The kind of set that the gateway's ancestor had: who is blocked, what a tool needs, how much is too much, and a
/// document that collects it.
pub(crate) fn four_rules() -> Sources {
    let rules = r#"package mcp.policy

blocked if input.agent.id in data.blocked.agents

blocked if {
	input.identity.verified
	input.identity.did in data.blocked.dids
}

blocked if input.request.tool in data.blocked.tools

capable if not input.request.tool

capable if {
	some needed in data.needed[input.request.tool]
	needed in input.agent.capabilities
}

limited if input.session.request_count > data.limits.requests

reasons contains {"msg": "blocked", "rule": "blocklist"} if blocked

reasons contains {"msg": "a capability is missing", "rule": "capabilities"} if not capable

reasons contains {"msg": "too many requests", "rule": "rate_limit"} if limited

default allowed := false

allowed if count(reasons) == 0

decision := {"allow": allowed, "matched_rule": "four_rules", "violations": reasons}
"#;
    sources(&[("four.rego", rules), ("data.json", FOUR_DATA)])
}

/// The same as rules of `violations`, so that the counter is evaluated each time and the rest is kept.
pub(crate) fn four_rules_apart() -> Sources {
    let rules = r#"package mcp.policy

violations contains {"msg": "blocked", "rule": "blocklist"} if input.agent.id in data.blocked.agents

violations contains {"msg": "blocked", "rule": "blocklist"} if input.request.tool in data.blocked.tools

violations contains {"msg": "a capability is missing", "rule": "capabilities"} if {
	input.request.tool
	not capable
}

capable if {
	some needed in data.needed[input.request.tool]
	needed in input.agent.capabilities
}

violations contains {"msg": "too many requests", "rule": "rate_limit"} if {
	input.session.request_count > data.limits.requests
}
"#;
    sources(&[("four.rego", rules), ("data.json", FOUR_DATA)])
}

/// One rule that looks its conditions up in a table of `entries` tools.
pub(crate) fn rules_as_data(entries: usize) -> Sources {
    let rules = r#"package mcp.policy

allow if {
	rule := data.tools[input.tool]
	rule.agents[input.agent.id]
	startswith(input.arguments.path, rule.root)
}
"#;
    let tools: Vec<String> = (1..entries)
        .map(|n| format!(r#""tool_{n}": {{"agents": {{"agent_{n}": true}}, "root": "/srv/{n}/"}}"#))
        .chain([r#""read_file": {"agents": {"anonymous": true}, "root": "/srv/"}"#.to_owned()])
        .collect();
    let data = format!(r#"{{"tools": {{{}}}}}"#, tools.join(","));
    sources(&[("table.rego", rules), ("data.json", &data)])
}

/// A call as the router would describe it.
pub(crate) struct Call {
    agent: Arc<Agent>,
    identity: Arc<Identity>,
    state: Arc<SessionState>,
    arguments: String,
}

impl Call {
    pub(crate) fn new() -> Self {
        let capabilities = vec!["read:*".into(), "write:files".into()];
        let text = "x".repeat(200);
        Self {
            agent: Arc::new(Agent { capabilities, ..Agent::default() }),
            identity: Arc::new(Identity::configured()),
            state: Arc::default(),
            arguments: format!(
                r#"{{"encoding":"utf-8","text":"{text}","path":"/srv/projects/report/q3.md"}}"#
            ),
        }
    }

    pub(crate) fn input(&self) -> PolicyInput<'_> {
        PolicyInput {
            stage: Stage::Request,
            method: "tools/call",
            id: Some("1042"),
            tool: Some("read_file"),
            resource: None,
            prompt: None,
            arguments: Some(&self.arguments),
            params: None,
            size: 300,
            result: None,
            agent: &self.agent,
            identity: &self.identity,
            session: SessionView {
                id: Some("s-1"),
                request_count: Some(7),
                started_at: Some(SystemTime::UNIX_EPOCH),
                protocol_version: Some("2025-06-18"),
                client_name: Some("bench"),
                client_version: Some("1"),
                state: &self.state,
            },
            server: ServerView { name: "demo", transport: "http", url: None, tool: None },
            context: ContextView {
                timestamp: SystemTime::UNIX_EPOCH,
                source_ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                environment: "",
                transport: Transport::Http,
                headers: &[],
            },
        }
    }
}
