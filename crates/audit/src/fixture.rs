//! What the tests of this crate share: a clock set by hand, a log in a directory of its own, events.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::{
    Agent, AuditEvent, Evidence, Identity, Latency, Mode, Outcome, SessionId, Span, Stage,
    Transport,
};
use tempfile::TempDir;
use testkit::clock::ManualClock;
use uuid::Uuid;

use crate::insert::Inserter;
use crate::store::Store;
use crate::{Capture, Config, Filter, Reader, Row};

/// 2026-11-20T10:40:00Z.
const START: Duration = Duration::from_secs(1_795_171_200);

/// The day of [`START`] since 1970.
pub(crate) const START_DAY: u32 = 1_795_171_200 / (24 * 60 * 60);

/// A clock that stands at [`START`].
pub(crate) fn clock() -> Arc<ManualClock> {
    let clock = ManualClock::new();
    clock.advance(START);
    clock
}

/// A configuration that writes to `audit.db` in a fresh directory.
pub(crate) fn config() -> (Config, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let db_path = directory.path().join("audit.db");
    (Config { db_path, flush_interval: Span::millis(5), ..Config::default() }, directory)
}

/// An allowed call of the tool `read_file`, the `number`th second after [`START`].
pub(crate) fn event(number: u32) -> Box<AuditEvent> {
    Box::new(AuditEvent {
        request_id: Uuid::from_u128(u128::from(number) << 96),
        decision_id: Uuid::from_u128(u128::from(number)),
        received_at: SystemTime::UNIX_EPOCH + START + Duration::from_secs(number.into()),
        session_id: Some(SessionId::from("s-1")),
        agent: Arc::new(Agent {
            id: "agent-1".into(),
            capabilities: Vec::new(),
            ..Agent::default()
        }),
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
        latency: Latency::default(),
        request_bytes: 300,
        response_bytes: 500,
        response_summary: None,
        error_kind: None,
        error: None,
        evidence: Evidence::default(),
    })
}

/// The same, denied for one reason.
pub(crate) fn denied(number: u32) -> Box<AuditEvent> {
    let mut event = event(number);
    event.decision = Outcome::Deny;
    event.forwarded = false;
    event.matched_rule = Some("data.mcp.policy.deny".into());
    event.reasons = Arc::new(["writing is not allowed".into()]);
    event
}

/// Waits until `condition` holds, which another thread brings about.
#[track_caller]
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let held = (0..20_000).any(|_| {
        std::thread::park_timeout(Duration::from_millis(1));
        condition()
    });
    assert!(held, "it did not come about");
}

/// All rows of a log, in the order of writing.
pub(crate) fn rows(path: &Path) -> Vec<Row> {
    let all = Filter { limit: u32::MAX, ..Filter::default() };
    Reader::open(path).unwrap().tail(0, &all).unwrap()
}

/// Writes events to a log at once, without a thread.
pub(crate) fn write(path: &Path, capture: Capture, events: &[Box<AuditEvent>]) {
    let mut inserter = Inserter::new(capture);
    Store::open(path).unwrap().with(|connection| inserter.insert(connection, events)).unwrap();
}
