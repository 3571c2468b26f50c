//! What policy said of a message, recorded or decided again, and how two sayings differ.

use audit::Row;
use domain::{Decision, Reason, RuleMode, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a decision differs from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Allowed then, denied now.
    NewlyDenied,
    /// Denied then, allowed now.
    NewlyAllowed,
    /// Denied both times, but policy failed one time, or failed otherwise.
    ErrorChanged,
    /// The same verdict for other reasons.
    ReasonChanged,
    /// The same verdict with other obligations.
    ObligationsChanged,
    /// The policies read what the log does not have.
    Undecidable,
    /// Not at all.
    Same,
}

impl Class {
    /// Every class, the most important first.
    pub const ALL: [Self; 7] = [
        Self::NewlyDenied,
        Self::NewlyAllowed,
        Self::ErrorChanged,
        Self::ReasonChanged,
        Self::ObligationsChanged,
        Self::Undecidable,
        Self::Same,
    ];

    /// The name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewlyDenied => "newly_denied",
            Self::NewlyAllowed => "newly_allowed",
            Self::ErrorChanged => "error_changed",
            Self::ReasonChanged => "reason_changed",
            Self::ObligationsChanged => "obligations_changed",
            Self::Undecidable => "undecidable",
            Self::Same => "same",
        }
    }
}

/// What policy said of one message, as far as two policies can be compared: not where its rules stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Whether the message may pass.
    pub allow: bool,
    /// Why not, or why a rule that is only watched would have denied it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Because>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched_rule: Option<String>,
    /// What policy asks for besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Value>,
    /// Why policy could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// The sentence for the agent.
    pub message: String,
    /// Name of the rule, where the policy gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The mode of the rule.
    #[serde(default, skip_serializing_if = "RuleMode::is_enforce")]
    pub mode: RuleMode,
    #[serde(default, skip_serializing)]
    at: Option<String>,
}

/// What the gateway denies with when an allowed message is held: the rule, and the obligation that holds it.
const HELD: [&str; 2] = ["rate_limit", "require_approval"];

impl Outcome {
    /// What `row` says that policy said; a message that policy allowed and an obligation then held was allowed. `None`
    /// when it holds something else than the gateway writes.
    #[must_use]
    pub fn recorded(row: &Row) -> Option<Self> {
        let reasons = row.reasons.as_ref().map_or("[]", |json| json.as_str());
        let mut reasons: Vec<Because> = serde_json::from_str(reasons).ok()?;
        let obligations = row.obligations.as_ref().map_or("[]", |json| json.as_str());
        let obligations: Vec<Value> = serde_json::from_str(obligations).ok()?;
        let mut allow = row.allowed;
        let mut error = row.error.clone().filter(|_| row.decision == "error");
        if is_held(&reasons, &obligations) {
            reasons.remove(0);
            allow = true;
        }
        if error.as_ref().is_some_and(|error| error.starts_with("obligation `")) {
            allow = !reasons.iter().any(|reason| reason.mode.is_enforce());
            error = None;
        }
        reasons.iter_mut().for_each(|reason| reason.at = None);
        Some(Self { allow, reasons, matched_rule: row.matched_rule.clone(), obligations, error })
    }

    pub(crate) fn of(decision: &Decision) -> Self {
        let because = |reason: &Reason| Because {
            message: reason.message.clone(),
            rule: reason.rule.clone(),
            mode: reason.mode,
            at: None,
        };
        Self {
            allow: decision.verdict == Verdict::Allow,
            reasons: decision.reasons.iter().map(because).collect(),
            matched_rule: decision.matched_rule.as_deref().map(str::to_owned),
            obligations: decision.obligations.iter().map(|it| serde_json::json!(it)).collect(),
            error: decision.error.as_deref().map(str::to_owned),
        }
    }

    /// What a message comes to whose answer is decided as well: the last word counts, except that neither a denial nor
    /// what would have been denied is undone by an allow.
    pub(crate) fn then(mut self, answer: Self) -> Self {
        self.obligations.extend(answer.obligations.iter().cloned());
        if answer.allow && answer.reasons.is_empty() && !self.reasons.is_empty() {
            return self;
        }
        Self { obligations: self.obligations, ..answer }
    }

    /// How `now` differs from this.
    #[must_use]
    pub fn compare(&self, now: &Self) -> Class {
        match (self.allow, now.allow) {
            (true, false) => return Class::NewlyDenied,
            (false, true) => return Class::NewlyAllowed,
            (true, true) | (false, false) => {}
        }
        let unnamed = !self.allow && self.reasons.is_empty() && self.error.is_none();
        if !self.failed_as(now) {
            Class::ErrorChanged
        } else if self.reasons != now.reasons || unnamed && self.matched_rule != now.matched_rule {
            Class::ReasonChanged
        } else if self.obligations != now.obligations {
            Class::ObligationsChanged
        } else {
            Class::Same
        }
    }

    /// Whether policy failed alike, or did not fail either time. What went wrong later stands behind it in the row.
    fn failed_as(&self, now: &Self) -> bool {
        match (&self.error, &now.error) {
            (Some(then), Some(now)) => then
                .strip_prefix(&**now)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("; ")),
            (then, now) => then.is_none() && now.is_none(),
        }
    }

    /// The rule that makes the difference to `now`: one with a reason that was not given then, or is not given now.
    pub(crate) fn rule_of_change<'o>(&'o self, now: &'o Self) -> Option<&'o str> {
        let new = now.reasons.iter().filter(|reason| !self.reasons.contains(reason));
        let gone = self.reasons.iter().filter(|reason| !now.reasons.contains(reason));
        let named = new.chain(gone).find_map(|reason| reason.rule.as_deref());
        named.or_else(|| if now.allow { self.rule() } else { now.rule() })
    }

    /// The rule that speaks for the outcome.
    pub(crate) fn rule(&self) -> Option<&str> {
        let named = self.reasons.iter().find_map(|reason| reason.rule.as_deref());
        named.or(self.matched_rule.as_deref())
    }
}

/// Whether the first reason is the gateway's own, for a message that policy allowed.
fn is_held(reasons: &[Because], obligations: &[Value]) -> bool {
    let Some((first, others)) = reasons.split_first() else { return false };
    let named = first.rule.as_deref().filter(|rule| HELD.contains(rule));
    named.is_some_and(|rule| {
        first.at.is_none()
            && others.iter().all(|reason| !reason.mode.is_enforce())
            && obligations.iter().any(|it| it.get("action").and_then(Value::as_str) == Some(rule))
    })
}

#[cfg(test)]
mod tests;
