//! What policy says of a message, and the permission that follows from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::{ErrorKind, Mode, Obligation, RuleMode};

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
    /// What the agent can do about it, where the policy says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The scope or capability that would unlock the message, where the policy names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Where the rule stands, as `file:line`. For the operator: the client never sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Arc<str>>,
    /// The mode of the rule. Only reasons of enforced rules deny.
    #[serde(skip_serializing_if = "RuleMode::is_enforce")]
    pub mode: RuleMode,
}

impl Reason {
    /// Whether the rule denies, rather than says that it would.
    #[must_use]
    pub const fn denies(&self) -> bool {
        self.mode.is_enforce()
    }
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
    /// Why not. When allowed, only what rules say that are watched rather than enforced.
    pub reasons: Arc<[Reason]>,
    /// The rule that decided, as policy names it, else as `data.mcp.policy.<rule>`.
    pub matched_rule: Option<Arc<str>>,
    /// Where the rules stand that decided: a JSON array of objects with `rule` and `at`
    /// (`file:line`).
    pub rules: Option<Arc<str>>,
    /// What the policy asks for besides the verdict.
    pub obligations: Arc<[Obligation]>,
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
    /// Whether a rule that is watched rather than enforced would have denied a message that passes.
    #[must_use]
    pub fn would_deny(&self) -> bool {
        self.verdict == Verdict::Allow && !self.reasons.is_empty()
    }

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
    headers: Vec<(Box<str>, Box<str>)>,
}

impl Permit {
    /// Applies the mode to a decision: the only place where audit and enforce mode differ.
    #[must_use]
    pub fn grant(decision: &Decision, mode: Mode) -> Option<Self> {
        match (decision.verdict, mode) {
            (Verdict::Allow, _) | (Verdict::Deny, Mode::Audit) => {
                Some(Self { headers: Vec::new() })
            }
            (Verdict::Deny, Mode::Enforce) => None,
        }
    }

    /// Permission for a message into which the permitted one is translated, when client and server
    /// speak different revisions.
    #[must_use]
    pub fn translated(&self) -> Self {
        Self { headers: self.headers.clone() }
    }

    /// The same permission, to be used with an HTTP header of policy (obligation `set_header`).
    pub fn set_header(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    /// The HTTP headers that go with the message, names in lower case.
    #[must_use]
    pub fn headers(&self) -> &[(Box<str>, Box<str>)] {
        &self.headers
    }
}

#[cfg(test)]
mod tests;
