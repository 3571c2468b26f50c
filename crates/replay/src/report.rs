//! What a replay found.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::outcome::{Class, Outcome};

/// The outcome of a replay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The set that decided again.
    pub candidate: String,
    /// Rows read.
    pub rows: u64,
    /// Rows that hold no decision of a policy, and why.
    pub left_out: LeftOut,
    /// Whether the recorded decisions can be made again under the policies that made them.
    pub evidence: Evidence,
    /// Whether nothing else was compared, because they cannot.
    pub stopped: bool,
    /// Rows of each class.
    pub classes: Classes,
    /// Those among them that come after a first newly denied or newly allowed message of their session: the agent might
    /// have acted otherwise.
    pub post_divergence: Classes,
    /// What differs: the weightiest class first, and in it the most frequent.
    pub changes: Vec<Change>,
    /// What the candidate reads and rows do not hold, with the number of rows.
    pub undecidable: BTreeMap<String, u64>,
    /// Rows that are undecidable under the candidate and were denied: it may let such messages pass.
    pub undecidable_denials: u64,
    /// Messages to which the server's answer was not recorded, though the candidate looks at answers. They were compared
    /// as if the answer passed.
    pub answers_unseen: u64,
    /// Decisions that were made; the other rows agree with one of those in all that the candidate reads.
    pub evaluated: u64,
}

/// Rows that were not replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The message never came to policy.
    pub undecided: u64,
    /// The gateway itself acted, or denied all messages in a lockdown.
    pub gateway: u64,
    /// What was decided last was a message within the message, which the row does not hold.
    pub companions: u64,
    /// The row is not what the gateway writes.
    pub unreadable: u64,
}

/// Whether recorded decisions reproduce.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// Rows that came out as recorded.
    pub reproduced: u64,
    /// Rows that did not.
    pub mismatched: u64,
    /// Rows of which the recorded policies read what they do not hold.
    pub undecidable: u64,
    /// Rows of policies that are not at hand; the verdict that they record was taken as it is.
    pub unverified: u64,
    /// Some of the rows that did not come out as recorded.
    pub mismatches: Vec<Mismatch>,
}

/// A row that did not come out as recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// Names the decision.
    pub decision_id: String,
    /// The policies that decided.
    pub revision: String,
    /// What the row says.
    pub recorded: Outcome,
    /// What the same policies say now.
    pub now: Outcome,
}

/// A number of rows for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Classes {
    /// No difference.
    pub same: u64,
    /// Allowed then, denied now.
    pub newly_denied: u64,
    /// Denied then, allowed now.
    pub newly_allowed: u64,
    /// The same verdict for other reasons.
    pub reason_changed: u64,
    /// The same verdict with other obligations.
    pub obligations_changed: u64,
    /// Denied both times, but policy failed one time, or failed otherwise.
    pub error_changed: u64,
    /// The candidate reads what the row does not hold.
    pub undecidable: u64,
}

impl Classes {
    pub(crate) fn count(&mut self, class: Class) {
        *match class {
            Class::Same => &mut self.same,
            Class::NewlyDenied => &mut self.newly_denied,
            Class::NewlyAllowed => &mut self.newly_allowed,
            Class::ReasonChanged => &mut self.reason_changed,
            Class::ObligationsChanged => &mut self.obligations_changed,
            Class::ErrorChanged => &mut self.error_changed,
            Class::Undecidable => &mut self.undecidable,
        } += 1;
    }

    /// All rows.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.same + self.differing()
    }

    /// Rows that are not the same, undecidable ones included.
    fn differing(&self) -> u64 {
        self.newly_denied
            + self.newly_allowed
            + self.reason_changed
            + self.obligations_changed
            + self.error_changed
            + self.undecidable
    }
}

/// Rows that differ alike: in class, method, tool, agent and rule.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// How they differ.
    pub class: Class,
    /// The method.
    pub method: String,
    /// The tool of `tools/call`.
    pub tool: Option<String>,
    /// The agent.
    pub agent: String,
    /// The rule that denies now, or denied then; of what is undecidable, the path that rows do not hold.
    pub rule: Option<String>,
    /// Rows.
    pub count: u64,
    /// Those among them that come after a first divergence of their session.
    pub post_divergence: u64,
    /// When the first was received.
    pub first_seen: String,
    /// When the last was received.
    pub last_seen: String,
    /// One of them.
    pub example: Example,
}

/// One row that differs.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// Names the decision.
    pub decision_id: String,
    /// What was said then.
    pub recorded: Outcome,
    /// What is said now; nothing when it cannot be decided.
    pub now: Option<Outcome>,
    /// What of the input is needed to show the difference, of all that the candidate reads.
    pub input: Value,
}

impl Report {
    /// Whether anything differs, or could not be decided, or the evidence does not hold.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.stopped || self.classes.differing() > 0
    }
}
