//! The record of one message.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::{
    Agent, Decision, ErrorKind, Identity, Mode, Obligation, Reason, SessionId, SessionState, Stage,
    Transport, Verdict,
};

/// What became of a message, in the terms of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Policy allowed it. Whether the server then answered is in `error_kind`.
    Allow,
    /// Policy denied it, or would have in audit mode.
    Deny,
    /// Policy allowed it, though a rule that is watched rather than enforced would have denied it.
    WouldDeny,
    /// It never came to a decision, or policy failed.
    Error,
}

impl Outcome {
    /// What a decision comes to: a denial because policy failed is an error.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        match (decision.verdict, &decision.error) {
            (Verdict::Allow, _) if decision.would_deny() => Self::WouldDeny,
            (Verdict::Allow, _) => Self::Allow,
            (Verdict::Deny, None) => Self::Deny,
            (Verdict::Deny, Some(_)) => Self::Error,
        }
    }

    /// The name in the audit log (`decision`) and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::WouldDeny => "would_deny",
            Self::Error => "error",
        }
    }
}

/// Where the time of a message went. Zero means that the part did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From the last byte of the message to the last byte of its answer.
    pub total: Duration,
    /// All policy decisions of the message.
    pub policy: Duration,
    /// Looking into the answer: parsing and filtering.
    pub inspect: Duration,
    /// Waiting for the server.
    pub upstream: Duration,
}

/// One message and what became of it: one row of the audit log.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// Names the message in logs and replies.
    pub request_id: Uuid,
    /// Names the decision in logs and replies.
    pub decision_id: Uuid,
    /// When the message was complete.
    pub received_at: SystemTime,
    /// The session, unless the message belonged to none.
    pub session_id: Option<SessionId>,
    /// Who sent it.
    pub agent: Arc<Agent>,
    /// How the sender is known.
    pub identity: Arc<Identity>,
    /// What was decided last.
    pub stage: Stage,
    /// The mode under which it was decided.
    pub mode: Mode,
    /// How it came in.
    pub transport: Transport,
    /// The client's address.
    pub source_ip: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub user_agent: Option<Arc<str>>,
    /// The configured environment.
    pub environment: Arc<str>,
    /// Negotiated revision of MCP.
    pub protocol_version: Option<&'static str>,
    /// Revision of MCP that the server is spoken to in.
    pub server_version: Option<&'static str>,
    /// Method as sent; empty for messages that could not be read and for answers.
    pub method: Box<str>,
    /// Tool of `tools/call`.
    pub tool: Option<Box<str>>,
    /// URI of `resources/*`.
    pub resource_uri: Option<Box<str>>,
    /// Prompt of `prompts/get`.
    pub prompt: Option<Box<str>>,
    /// Raw JSON arguments, only when the configuration asks for them.
    pub arguments: Option<Box<str>>,
    /// The would-be decision.
    pub decision: Outcome,
    /// Whether bytes of the message left the gateway on the other side.
    pub forwarded: bool,
    /// The rule that decided.
    pub matched_rule: Option<Arc<str>>,
    /// Why it was denied.
    pub reasons: Arc<[Reason]>,
    /// Obligations attached by policy.
    pub obligations: Arc<[Obligation]>,
    /// The policy set that decided.
    pub policy_revision: Option<Arc<str>>,
    /// The server it went to.
    pub server: Arc<str>,
    /// Where the time went.
    pub latency: Latency,
    /// Bytes of the message.
    pub request_bytes: u64,
    /// Bytes of the answer, all events together.
    pub response_bytes: u64,
    /// A short account of the answer, only when the configuration asks for it.
    pub response_summary: Option<Box<str>>,
    /// What went wrong, if anything did.
    pub error_kind: Option<ErrorKind>,
    /// The operator's text for it.
    pub error: Option<Box<str>>,
    /// What else the decision was made on.
    pub evidence: Evidence,
}

/// What a decision was made on and no other column holds, so that it can be made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Where the rules stand that decided: a JSON array of objects with `rule` and `at`.
    pub rules: Option<Arc<str>>,
    /// What stays the same from message to message of a session: a JSON object with the members
    /// `agent`, `identity`, `session` (without counters) and `server` of `input`.
    pub facts: Option<Arc<str>>,
    /// What was known of the tool: `input.server.tool`, a JSON object.
    pub tool: Option<Arc<str>>,
    /// Whether the message has no arguments: a row without any then lacks nothing.
    pub no_arguments: bool,
    /// `input.session.request_count`.
    pub request_count: Option<u64>,
    /// The counters and taints of the session that policy saw, when a rule reads them.
    pub state: Option<Arc<SessionState>>,
    /// The approval that the message had, or waits for.
    pub approval: Option<Box<str>>,
    /// The digest of the configuration in force.
    pub config_revision: Option<Arc<str>>,
}
