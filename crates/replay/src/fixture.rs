//! What the tests of this crate share: policies, messages decided by them and recorded as the router does, and a log in
//! a directory of its own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use audit::{AuditLog, Capture, Config, Reader};
use domain::{
    Agent, AuditEvent, Decision, Evidence, Identity, Latency, Mode, Outcome, Policy, PolicyInput,
    Recorder as _, SessionId, SessionState, Span, Stage, SystemClock, ToolView, Transport, Verdict,
};
use policy::{PolicyEngine, PolicySet, Sources};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::facts::Facts;
use crate::recorded::Recorded;
use crate::{Judge, Options, Report, run};

/// 2026-11-20T10:40:00Z.
const START: Duration = Duration::from_secs(1_795_171_200);

/// A judge with these rules in package `mcp.policy`.
pub(crate) fn judge(rules: &str) -> Judge {
    judge_of(&Sources::from_texts(&[("rules.rego", &module(rules))]).unwrap())
}

fn module(rules: &str) -> String {
    format!("package mcp.policy\n\nimport rego.v1\n\n{rules}\n")
}

pub(crate) fn judge_of(sources: &Sources) -> Judge {
    let mut config = policy::Config::default();
    // A machine that is busy with other tests.
    config.evaluation.timeout = Span::secs(5);
    let set = PolicySet::load(sources, &config).unwrap();
    let reads = set.reads();
    Judge::new(Arc::new(PolicyEngine::with_clock(set, Arc::new(SystemClock))), reads)
}

/// A message as it is decided and recorded.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) recorded: Recorded,
    pub(crate) mode: Mode,
    /// What the row says besides.
    pub(crate) change: fn(&mut AuditEvent),
}

/// The `number`th message of session `s-1`: a call of `tool`.
pub(crate) fn call(number: u32, tool: &str, arguments: &str) -> Message {
    let facts = Facts {
        agent: Arc::new(Agent { id: "agent-1".into(), model: "m-1".into(), ..Agent::default() }),
        identity: Arc::new(Identity::configured()),
        session_id: Some("s-1".to_owned()),
        started_at: Some(SystemTime::UNIX_EPOCH + START),
        protocol_version: Some("2025-06-18".to_owned()),
        client_name: Some("client".to_owned()),
        client_version: None,
        server: "files".to_owned(),
        server_transport: "stdio".to_owned(),
        server_url: None,
        whole: true,
    };
    let recorded = Recorded {
        stage: Stage::Request,
        method: "tools/call".to_owned(),
        tool: Some(tool.to_owned()),
        resource: None,
        prompt: None,
        arguments: Some(arguments.to_owned()),
        size: 100,
        facts: Arc::new(facts),
        tool_view: None,
        request_count: Some(number.into()),
        state: Some(Arc::default()),
        at: SystemTime::UNIX_EPOCH + START + Duration::from_secs(number.into()),
        source_ip: None,
        environment: "test".to_owned(),
        transport: Transport::Http,
        changed: Vec::new(),
    };
    Message { recorded, mode: Mode::Enforce, change: |_| {} }
}

impl Message {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Recorded)) -> Self {
        change(&mut self.recorded);
        self
    }

    pub(crate) fn facts(self, change: impl FnOnce(&mut Facts)) -> Self {
        self.with(|recorded| change(Arc::make_mut(&mut recorded.facts)))
    }

    pub(crate) fn in_session(self, id: &str) -> Self {
        self.facts(|facts| facts.session_id = Some(id.to_owned()))
    }

    pub(crate) fn tool_says(self, annotations: &str) -> Self {
        let view = ToolView {
            annotations: Some(annotations.into()),
            digest: "d".into(),
            ..ToolView::default()
        };
        self.with(|recorded| recorded.tool_view = Some(Arc::new(view)))
    }

    /// The event that the router records.
    fn event(&self, decision: &Decision) -> Box<AuditEvent> {
        let Recorded { facts, .. } = &self.recorded;
        let number = self.recorded.request_count.unwrap_or_default();
        let allowed = decision.verdict == Verdict::Allow;
        let text = |text: &Option<String>| text.as_deref().map(Box::from);
        let mut event = AuditEvent {
            request_id: Uuid::new_v4(),
            decision_id: Uuid::from_u128(u128::from(number) << 96),
            received_at: self.recorded.at,
            session_id: facts.session_id.as_deref().map(SessionId::from),
            agent: Arc::clone(&facts.agent),
            identity: Arc::clone(&facts.identity),
            stage: self.recorded.stage,
            mode: self.mode,
            transport: self.recorded.transport,
            source_ip: self.recorded.source_ip,
            user_agent: None,
            environment: (*self.recorded.environment).into(),
            protocol_version: Some("2025-06-18"),
            server_version: None,
            method: (*self.recorded.method).into(),
            tool: text(&self.recorded.tool),
            resource_uri: text(&self.recorded.resource),
            prompt: text(&self.recorded.prompt),
            arguments: text(&self.recorded.arguments),
            decision: Outcome::of(decision),
            forwarded: allowed || self.mode == Mode::Audit,
            matched_rule: decision.matched_rule.clone(),
            reasons: Arc::clone(&decision.reasons),
            obligations: Arc::clone(&decision.obligations),
            policy_revision: Some(Arc::clone(&decision.revision.0)),
            server: (*facts.server).into(),
            latency: Latency::default(),
            request_bytes: self.recorded.size as u64,
            response_bytes: 0,
            response_summary: None,
            error_kind: None,
            error: decision.error.as_deref().map(Box::from),
            evidence: Evidence {
                rules: decision.rules.clone(),
                facts: Some(written(facts).into()),
                tool: self.recorded.tool_view.as_deref().map(|tool| written_tool(tool).into()),
                request_count: self.recorded.request_count,
                state: self.recorded.state.clone(),
                approval: None,
                config_revision: None,
                no_arguments: false,
            },
        };
        (self.change)(&mut event);
        Box::new(event)
    }
}

fn written(facts: &Facts) -> String {
    let started_at = facts.started_at.map(|at| jiff::Timestamp::try_from(at).unwrap().to_string());
    let identity = &facts.identity;
    json!({
        "agent": &*facts.agent,
        "identity": { "verified": identity.verified, "method": identity.method, "did": identity.did },
        "session": { "id": facts.session_id, "started_at": started_at,
            "protocol_version": facts.protocol_version,
            "client": { "name": facts.client_name, "version": facts.client_version } },
        "server": { "name": facts.server, "transport": facts.server_transport, "url": facts.server_url },
    })
    .to_string()
}

fn written_tool(tool: &ToolView) -> String {
    let annotations = tool.annotations.as_deref().map(serde_json::from_str::<serde_json::Value>);
    json!({ "description": tool.description, "annotations": annotations.map(Result::unwrap),
        "digest": tool.digest, "changed": tool.changed })
    .to_string()
}

/// Everything is kept.
pub(crate) const KEPT: Capture =
    Capture { request_arguments: true, response_summary: false, max_bytes: 4096 };

/// A log.
pub(crate) struct Log {
    pub(crate) reader: Reader,
    _directory: TempDir,
}

impl Log {
    /// Decides messages with `policy`, and records them.
    pub(crate) fn of(policy: &dyn Policy, messages: &[Message]) -> Self {
        Self::keeping(KEPT, policy, messages)
    }

    pub(crate) fn keeping(capture: Capture, policy: &dyn Policy, messages: &[Message]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let db_path = directory.path().join("audit.db");
        let config = Config {
            db_path: db_path.clone(),
            retention_days: 0,
            capture,
            buffer_size: 100_000,
            ..Config::default()
        };
        let log = AuditLog::open(&config, Arc::new(SystemClock)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for message in messages {
                let state: Arc<SessionState> = message.recorded.state.clone().unwrap_or_default();
                let input: PolicyInput<'_> = message.recorded.input(message.recorded.stage, &state);
                let event = message.event(&policy.decide(&input));
                log.reserve().await.unwrap().record(event);
            }
        });
        log.shutdown();
        Self { reader: Reader::open(&db_path).unwrap(), _directory: directory }
    }

    /// The replay under `candidate`.
    pub(crate) fn replay(&self, candidate: &Judge, options: Options<'_>) -> Report {
        run(&self.reader, candidate, options).unwrap()
    }
}
