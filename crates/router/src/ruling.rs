//! What policy says of a message, with what came of the obligations. Every decision of the gateway, at every stage, is
//! made by [`Router::judge`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use domain::{
    Decision, ErrorKind, Failure, Mode, Obligation, Permit, Policy, PolicyInput, Reason, Revision,
    Verdict,
};
use protocol::Message;
use session::Session;

use crate::Router;
use crate::entry::Entry;
use crate::obligations;

/// A decision whose obligations have been carried out, as far as they do not change what is sent.
pub(crate) struct Ruling {
    pub(crate) decision: Decision,
    /// What a denial does.
    pub(crate) mode: Mode,
    /// What stands in the way, if it is no rule.
    pub(crate) hold: Option<Hold>,
    /// The arguments, the result or the error as policy lets it pass, where that differs.
    pub(crate) edited: Option<String>,
}

/// What stands in the way of a message that the rules allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Too many passed before it; so long until one more may.
    Rate(Duration),
    /// A person has to grant it; the name of the question.
    Approval(Box<str>),
}

/// Why an obligation cannot be carried out as things are.
pub(crate) enum Obstacle {
    /// It could be, later.
    Hold(Hold, String),
    /// A person has denied the message.
    Refused,
    /// While it waited for a person the policy became one that denies it.
    Overtaken(Box<Decision>),
    /// It cannot be, for what the text tells the operator.
    Failed(String),
}

/// Why a message goes no further.
pub(crate) enum Stop {
    /// Policy denied it.
    Denied(Box<Ruling>),
    /// It cannot be passed on, or is no answer that the gateway can vouch for.
    Failed(Failure),
}

impl From<Ruling> for Stop {
    fn from(ruling: Ruling) -> Self {
        Self::Denied(Box::new(ruling))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Ruling {
    /// A decision that asks for nothing, so far.
    pub(crate) fn new(decision: Decision, mode: Mode) -> Self {
        Self { decision, mode, hold: None, edited: None }
    }

    /// Permission to pass the message on, with the headers that policy sets.
    pub(crate) fn permit(&self) -> Option<Permit> {
        let mut permit = Permit::grant(&self.decision, self.mode)?;
        if self.mode == Mode::Enforce {
            for obligation in &*self.decision.obligations {
                if let Obligation::SetHeader { name, value } = obligation {
                    permit.set_header(name, value);
                }
            }
        }
        Some(permit)
    }

    /// The kind under which it is reported as a denial.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self.hold {
            Some(Hold::Rate(_)) => ErrorKind::RateLimited,
            Some(Hold::Approval(_)) => ErrorKind::ApprovalRequired,
            None => self.decision.denial().unwrap_or(ErrorKind::PolicyError),
        }
    }

    /// The kind, if it is a denial.
    pub(crate) fn denial(&self) -> Option<ErrorKind> {
        self.decision.denial().map(|_| self.kind())
    }

    /// The failure that others are told who are not the sender.
    pub(crate) fn failure(&self) -> Failure {
        Failure::new(self.kind(), "denied by policy")
    }

    /// The error that policy denies with instead of the gateway's own.
    pub(crate) fn deny_as(&self) -> Option<(i32, &str)> {
        self.decision.obligations.iter().find_map(|obligation| {
            let Obligation::DenyAs { code, message } = obligation else { return None };
            Some((*code, &**message))
        })
    }

    /// An answer as policy lets it pass, where that differs.
    ///
    /// # Errors
    ///
    /// `PolicyError` when what is left is no answer.
    pub(crate) fn as_changed(&self, answer: &Message) -> Result<Option<Message>, Failure> {
        let member = if answer.error().is_some() { "error" } else { "result" };
        self.edited.as_deref().map(|edited| obligations::put(answer, &[member], edited)).transpose()
    }

    /// Makes a denial of it, because an obligation is not fulfilled.
    pub(crate) fn overrule(&mut self, obstacle: Obstacle) {
        let decision = &mut self.decision;
        decision.verdict = Verdict::Deny;
        let (rule, message) = match obstacle {
            Obstacle::Failed(text) => {
                decision.error = Some(text.into());
                return;
            }
            Obstacle::Overtaken(denial) => {
                *decision = *denial;
                return;
            }
            Obstacle::Refused => ("require_approval", "a person has denied this".to_owned()),
            Obstacle::Hold(hold, message) => {
                let rule = match hold {
                    Hold::Rate(_) => "rate_limit",
                    Hold::Approval(_) => "require_approval",
                };
                self.hold = Some(hold);
                (rule, message)
            }
        };
        let reason = Reason { message, rule: Some(rule.to_owned()), ..Reason::default() };
        decision.reasons = [reason].into_iter().chain(decision.reasons.iter().cloned()).collect();
        decision.matched_rule.get_or_insert_with(|| rule.into());
    }
}

impl Router {
    /// Asks policy and carries out what it asks for.
    pub(crate) async fn judge(
        &self,
        input: &PolicyInput<'_>,
        session: Option<&Session>,
        entry: &mut Entry,
    ) -> Ruling {
        let decision = decide(&**entry.policy(), input);
        let ruling = if decision.obligations.is_empty() {
            Ruling::new(decision, entry.mode())
        } else {
            Box::pin(self.carry_out(input, decision, session, entry)).await
        };
        entry.decided(input, &ruling);
        self.ports.metrics.decided(&ruling.decision, ruling.mode, input.stage);
        ruling
    }
}

/// What a policy says. One that panics has not allowed anything.
pub(crate) fn decide(policy: &dyn Policy, input: &PolicyInput<'_>) -> Decision {
    catch_unwind(AssertUnwindSafe(|| policy.decide(input))).unwrap_or_else(|_| undecided())
}

fn undecided() -> Decision {
    Decision {
        verdict: Verdict::Deny,
        reasons: Arc::default(),
        matched_rule: None,
        rules: None,
        obligations: Arc::default(),
        error: Some("the evaluation of the policy panicked".into()),
        revision: Revision("unknown".into()),
        cached: false,
        elapsed: Duration::ZERO,
    }
}
