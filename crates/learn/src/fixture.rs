//! What the tests of this crate share: a log of made-up sessions, written through the crate `audit`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use audit::{AuditLog, Capture, Config};
use domain::{
    Agent, AuditEvent, Evidence, Identity, Latency, Mode, Outcome, Recorder as _, SessionId, Stage,
    SystemClock, Transport,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// 2026-11-20T10:40:00Z.
const START: Duration = Duration::from_secs(1_795_171_200);

/// A log in a directory of its own.
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    pub(crate) directory: TempDir,
}

/// A row in the making.
pub(crate) type Event = Box<AuditEvent>;

/// The `number`th message, in a session of `agent`: an allowed call, a minute after the one before.
pub(crate) fn call(number: u32, session: &str, tool: &str, arguments: Value) -> Event {
    let mut event = message(number, session, "tools/call");
    event.tool = Some(tool.into());
    event.arguments = Some(arguments.to_string().into());
    event.evidence.tool = definition(&format!("{tool}-1"));
    event
}

/// What was known of a tool.
pub(crate) fn definition(digest: &str) -> Option<Arc<str>> {
    Some(json!({ "description": "a tool", "digest": digest, "changed": false }).to_string().into())
}

/// The `number`th message, in a session of `agent-1`.
pub(crate) fn message(number: u32, session: &str, method: &str) -> Event {
    let agent = Agent { id: "agent-1".into(), ..Agent::default() };
    Box::new(AuditEvent {
        request_id: Uuid::from_u128(u128::from(number)),
        decision_id: Uuid::from_u128(u128::from(number) << 96),
        received_at: SystemTime::UNIX_EPOCH + START + Duration::from_secs(u64::from(number) * 60),
        session_id: Some(SessionId::from(session)),
        agent: Arc::new(agent),
        identity: Arc::new(Identity::configured()),
        stage: Stage::Request,
        mode: Mode::Enforce,
        transport: Transport::Http,
        source_ip: None,
        user_agent: None,
        environment: "test".into(),
        protocol_version: Some("2025-06-18"),
        server_version: None,
        method: method.into(),
        tool: None,
        resource_uri: None,
        prompt: None,
        arguments: None,
        decision: Outcome::Allow,
        forwarded: true,
        matched_rule: None,
        reasons: Arc::new([]),
        obligations: Arc::new([]),
        policy_revision: Some("r1".into()),
        server: "files".into(),
        latency: Latency::default(),
        request_bytes: 100,
        response_bytes: 100,
        response_summary: None,
        error_kind: None,
        error: None,
        evidence: Evidence::default(),
    })
}

/// Changes an event.
pub(crate) fn with(mut event: Event, change: impl FnOnce(&mut AuditEvent)) -> Event {
    change(&mut event);
    event
}

/// What a row names of agent, session and server.
fn facts(event: &AuditEvent) -> String {
    json!({
        "agent": &*event.agent,
        "identity": { "verified": false, "method": "configured", "did": "" },
        "session": { "id": event.session_id.as_ref().map(SessionId::as_str), "client": {} },
        "server": { "name": &*event.server, "transport": "http" },
    })
    .to_string()
}

impl Log {
    pub(crate) fn of(events: Vec<Event>) -> Self {
        Self::keeping(
            Capture { request_arguments: true, response_summary: false, max_bytes: 4096 },
            events,
        )
    }

    pub(crate) fn keeping(capture: Capture, events: Vec<Event>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let config = Config {
            db_path: path.clone(),
            retention_days: 0,
            capture,
            buffer_size: 100_000,
            ..Config::default()
        };
        let log = AuditLog::open(&config, Arc::new(SystemClock)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for mut event in events {
                event.evidence.facts = Some(facts(&event).into());
                log.reserve().await.unwrap().record(event);
            }
        });
        log.shutdown();
        Self { path, directory }
    }
}
