//! A log to replay, and the policies to replay it with.
//!
//! No two rows have the same arguments, so that none is spared by looking like another.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use audit::{AuditLog, Capture};
use domain::{
    Agent, AuditEvent, Evidence, Identity, Latency, Mode, Outcome, Recorder as _, SessionId, Stage,
    SystemClock, Transport, random_uuid,
};
use policy::{Config, PolicyEngine, PolicySet, Sources};
use replay::Judge;

/// What decided the rows.
pub(crate) const RECORDED: &str = "package mcp.policy\n\nimport rego.v1\n\nallow := true\n";
/// What decides them anew.
pub(crate) const CANDIDATE: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "secrets stay", "rule": "secrets"} if startswith(input.arguments.path, "/secret/")

violations contains {"msg": "read only", "rule": "read_only"} if {
	input.tool == "write_file"
	not "write:*" in input.agent.capabilities
}
"#;

/// Decides with `policy`.
pub(crate) fn judge(policy: &str) -> Judge {
    let sources = Sources::from_texts(&[("policy.rego", policy)]).expect("sources");
    let set = PolicySet::load(&sources, &Config::default()).expect("a set");
    let reads = set.reads().clone();
    Judge::new(Arc::new(PolicyEngine::with_clock(set, Arc::new(SystemClock))), reads)
}

/// Writes so many rows into a log at `path`, decided by [`RECORDED`].
pub(crate) fn record(path: &Path, revision: &str, rows: u64) {
    let config = audit::Config {
        db_path: path.to_owned(),
        capture: Capture { request_arguments: true, ..Capture::default() },
        ..audit::Config::default()
    };
    let log = AuditLog::open(&config, Arc::new(SystemClock)).expect("the log");
    let revision: Arc<str> = revision.into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        for number in 0..rows {
            let slot = log.reserve().await.expect("room");
            slot.record(Box::new(event(number, &revision)));
        }
    });
    log.shutdown();
}

/// An allowed call in one of a hundred sessions.
fn event(number: u64, revision: &Arc<str>) -> AuditEvent {
    let session = format!("s-{}", number % 100);
    let facts = format!(
        r#"{{"agent":{},"identity":{{"verified":false,"method":"configured","did":""}},"session":{{"id":"{session}"}},"server":{{"name":"files","transport":"stdio"}}}}"#,
        serde_json::to_string(&Agent::default()).expect("an agent")
    );
    let of = |names: [&'static str; 3], turn: u64| {
        names.into_iter().cycle().nth(turn as usize % 3).unwrap_or_default()
    };
    let tool = of(["read_file", "list_directory", "write_file"], number);
    let path = of(["/home", "/tmp", "/secret"], number / 3);
    AuditEvent {
        request_id: random_uuid(),
        decision_id: random_uuid(),
        received_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_171_200 + number),
        session_id: Some(SessionId::from(&*session)),
        agent: Arc::default(),
        identity: Arc::new(Identity::configured()),
        stage: Stage::Request,
        mode: Mode::Enforce,
        transport: Transport::Http,
        source_ip: None,
        user_agent: None,
        environment: "".into(),
        protocol_version: Some("2025-06-18"),
        server_version: None,
        method: "tools/call".into(),
        tool: Some(tool.into()),
        resource_uri: None,
        prompt: None,
        arguments: Some(format!(r#"{{"path":"{path}/{number}","text":"some words"}}"#).into()),
        decision: Outcome::Allow,
        forwarded: true,
        matched_rule: None,
        reasons: Arc::default(),
        obligations: Arc::default(),
        policy_revision: Some(Arc::clone(revision)),
        server: "files".into(),
        latency: Latency::default(),
        request_bytes: 300,
        response_bytes: 500,
        response_summary: None,
        error_kind: None,
        error: None,
        evidence: Evidence {
            facts: Some(facts.into()),
            request_count: Some(1 + number / 100),
            ..Evidence::default()
        },
    }
}
