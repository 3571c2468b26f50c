//! What policy says of a message, and the permission that follows from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::{ErrorKind, Mode};

/// The answer of policy, before the mode is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The message may pass.
    Allow,
    /// The message must not pass.
    Deny,
}

impl Verdict {
    /// The name in metrics, replies and `policy eval`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Why a message was denied: one member of `deny` or `violations`. Its JSON, without what the policy
/// does not give, is that of the audit column `reasons` and of `policy eval`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The sentence for the agent.
    pub message: String,
    /// Name of the rule, where the policy gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Severity, where the policy gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Identifier in an OWASP list (`MCP05`, `ASI02`), where the policy gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owasp: Option<String>,
    /// Compliance tag, where the policy gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compliance: Option<String>,
}

impl From<&str> for Reason {
    fn from(message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::default() }
    }
}

/// Names one loaded policy set: a hash over all its sources and data, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision(pub Arc<str>);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What policy says of one message at one stage. Doubt is a denial: an evaluation that failed has
/// the verdict [`Verdict::Deny`] and an [`error`](Self::error).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the message may pass.
    pub verdict: Verdict,
    /// Why not; empty when allowed.
    pub reasons: Arc<[Reason]>,
    /// The rule that decided, as policy names it, else as `data.mcp.policy.<rule>`.
    pub matched_rule: Option<Arc<str>>,
    /// The obligations that the policy attached, as JSON text.
    pub obligations: Option<Arc<str>>,
    /// Text for the operator when policy could not be evaluated.
    pub error: Option<Arc<str>>,
    /// The policy set that decided.
    pub revision: Revision,
    /// Whether the part of the decision that may be cached came from the cache; rules that read
    /// counters or time are evaluated each time.
    pub cached: bool,
    /// Time spent deciding.
    pub elapsed: Duration,
}

impl Decision {
    /// The failure kind that a denial is reported as; `None` when allowed.
    #[must_use]
    pub fn denial(&self) -> Option<ErrorKind> {
        match (self.verdict, &self.error) {
            (Verdict::Allow, _) => None,
            (Verdict::Deny, None) => Some(ErrorKind::PolicyDenied),
            (Verdict::Deny, Some(_)) => Some(ErrorKind::PolicyError),
        }
    }
}

/// Permission to pass one message on. [`Connection::send`](crate::Connection::send) takes it by
/// value, and nothing but [`Permit::grant`] makes one out of a decision, so a message that policy did
/// not see cannot be sent.
#[derive(Debug)]
pub struct Permit {
    _made_here: (),
}

impl Permit {
    /// Applies the mode to a decision: the only place where audit and enforce mode differ.
    #[must_use]
    pub fn grant(decision: &Decision, mode: Mode) -> Option<Self> {
        match (decision.verdict, mode) {
            (Verdict::Allow, _) | (Verdict::Deny, Mode::Audit) => Some(Self { _made_here: () }),
            (Verdict::Deny, Mode::Enforce) => None,
        }
    }

    /// Permission for a message into which the permitted one is translated, when client and server
    /// speak different revisions.
    #[must_use]
    pub fn translated(&self) -> Self {
        Self { _made_here: () }
    }
}

#[cfg(test)]
mod tests;
