//! A small log for the tests of commands.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::audit::{AuditLog, Capture, Config};
use domain::{
    Agent, AuditEvent, Evidence, Identity, Latency, Mode, Outcome, Recorder, SessionId, Span,
    Stage, SystemClock, Transport,
};
use tempfile::TempDir;
use uuid::Uuid;

/// 2026-11-20T10:40:00Z.
const START: Duration = Duration::from_secs(1_795_171_200);

/// A log in a folder of its own.
pub(crate) struct Fixture {
    log: AuditLog,
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::keeping(Capture::default())
    }

    /// A log that keeps so much of the messages.
    pub(crate) fn keeping(capture: Capture) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.db");
        let config = Config {
            db_path: path.clone(),
            flush_interval: Span::millis(1),
            retention_days: 0,
            capture,
            ..Config::default()
        };
        let log = AuditLog::open(&config, Arc::new(SystemClock)).unwrap();
        Self { log, path, _folder: folder }
    }

    /// Records events; they are in the file afterwards.
    pub(crate) async fn record(&self, events: impl IntoIterator<Item = AuditEvent>) {
        for event in events {
            self.log.reserve().await.unwrap().record(Box::new(event));
        }
        while self.log.stats().queued > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// An allowed call of `read_file`, `number` seconds after the start.
pub(crate) fn allowed(number: u32) -> AuditEvent {
    AuditEvent {
        request_id: Uuid::from_u128(u128::from(number) << 96),
        decision_id: Uuid::from_u128((0xDEC1_0000 + u128::from(number)) << 96),
        received_at: SystemTime::UNIX_EPOCH + START + Duration::from_secs(number.into()),
        session_id: Some(SessionId::from("s-1")),
        agent: Arc::new(Agent { id: "claude".into(), ..Agent::default() }),
        identity: Arc::new(Identity::configured()),
        stage: Stage::Request,
        mode: Mode::Enforce,
        transport: Transport::Http,
        source_ip: None,
        user_agent: None,
        environment: "test".into(),
        protocol_version: Some("2025-06-18"),
        server_version: Some("2025-11-25"),
        method: "tools/call".into(),
        tool: Some("read_file".into()),
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
        latency: Latency { total: Duration::from_micros(1234), ..Latency::default() },
        request_bytes: 300,
        response_bytes: 500,
        response_summary: None,
        error_kind: None,
        error: None,
        evidence: Evidence::default(),
    }
}

/// A call of `write_file` that was denied.
pub(crate) fn denied(number: u32) -> AuditEvent {
    AuditEvent {
        tool: Some("write_file".into()),
        decision: Outcome::Deny,
        forwarded: false,
        matched_rule: Some("data.mcp.policy.deny".into()),
        reasons: Arc::new(["writing is not allowed".into()]),
        ..allowed(number)
    }
}
