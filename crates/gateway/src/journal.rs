//! The gateway's own acts in the audit log.

use std::sync::Arc;
use std::time::Duration;

use domain::{
    Agent, AuditEvent, Clock, ErrorKind, Evidence, Identity, Latency, Mode, Outcome, Reason,
    Recorder, Stage, Transport, random_uuid,
};
use tokio::runtime::Handle;

/// What the rows of all acts have in common.
pub(crate) struct Journal {
    pub(crate) recorder: Arc<dyn Recorder>,
    /// Where the log is waited for; the journal itself is used from threads that may wait.
    pub(crate) runtime: Handle,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) mode: Mode,
    pub(crate) environment: Arc<str>,
    pub(crate) server: Arc<str>,
    /// The digest of the configuration.
    pub(crate) config: Arc<str>,
}

/// One act.
pub(crate) struct Act {
    /// `gateway/…`.
    pub(crate) method: &'static str,
    pub(crate) outcome: Outcome,
    /// What it came to, for people.
    pub(crate) reasons: Vec<String>,
    /// The policy that the act is about.
    pub(crate) revision: Option<Arc<str>>,
    /// What went wrong.
    pub(crate) error: Option<String>,
    /// How long it took.
    pub(crate) elapsed: Duration,
}

impl Act {
    /// An act of which only that is known.
    pub(crate) fn new(method: &'static str, outcome: Outcome) -> Self {
        let elapsed = Duration::ZERO;
        Self { method, outcome, reasons: Vec::new(), revision: None, error: None, elapsed }
    }
}

impl Journal {
    /// Writes the row; waits for room in the log up to the log's own limit.
    ///
    /// # Errors
    ///
    /// Why the log takes no more.
    pub(crate) fn record(&self, act: Act) -> Result<(), String> {
        let slot = self.runtime.block_on(self.recorder.reserve());
        let slot = slot.map_err(|failure| format!("it cannot be recorded: {failure}"))?;
        slot.record(Box::new(self.row(act)));
        Ok(())
    }

    fn row(&self, act: Act) -> AuditEvent {
        let error_kind = act.error.is_some().then_some(ErrorKind::PolicyError);
        AuditEvent {
            request_id: random_uuid(),
            decision_id: random_uuid(),
            received_at: self.clock.wall(),
            session_id: None,
            agent: Arc::new(Agent {
                id: "mcp-proxy".into(),
                capabilities: Vec::new(),
                ..Agent::default()
            }),
            identity: Arc::new(Identity {
                verified: true,
                method: Transport::Internal.as_str().into(),
                did: "".into(),
            }),
            stage: Stage::Gateway,
            mode: self.mode,
            transport: Transport::Internal,
            source_ip: None,
            user_agent: None,
            environment: Arc::clone(&self.environment),
            protocol_version: None,
            server_version: None,
            method: act.method.into(),
            tool: None,
            resource_uri: None,
            prompt: None,
            arguments: None,
            decision: act.outcome,
            forwarded: false,
            matched_rule: None,
            reasons: act.reasons.iter().map(|text| Reason::from(text.as_str())).collect(),
            obligations: Arc::new([]),
            policy_revision: act.revision,
            server: Arc::clone(&self.server),
            latency: Latency { total: act.elapsed, ..Latency::default() },
            request_bytes: 0,
            response_bytes: 0,
            response_summary: None,
            error_kind,
            error: act.error.map(Into::into),
            evidence: Evidence {
                config_revision: Some(Arc::clone(&self.config)),
                ..Evidence::default()
            },
        }
    }
}
