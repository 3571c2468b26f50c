//! What was decided, and what it was decided on.

use std::sync::Arc;

use domain::{Outcome, PolicyInput, Stage};
use session::{Session, Tally};

use super::Entry;
use crate::facts;
use crate::ruling::Ruling;

impl Entry {
    /// Notes a ruling with what it was made on. Those on the entries of a list say nothing of the list.
    pub(crate) fn decided(&mut self, input: &PolicyInput<'_>, ruling: &Ruling) {
        let reads_state = self.policy.reads_state();
        let tool = self.tool.clone();
        let listed = input.stage == Stage::List;
        let stands = !listed && self.ruled(input.stage, ruling);
        let Some(event) = self.event() else { return };
        event.latency.policy += ruling.decision.elapsed;
        if let Some(error) = ruling.decision.error.as_deref().filter(|_| stands || listed) {
            event.error.get_or_insert_with(|| error.into());
        }
        if !stands {
            return;
        }
        let evidence = &mut event.evidence;
        evidence.facts = Some(facts::of(input));
        evidence.tool = tool.filter(|_| input.server.tool.is_some());
        evidence.request_count = input.session.request_count;
        evidence.state = reads_state.then(|| Arc::clone(input.session.state));
    }

    /// Notes what the ruling comes to; whether it stands. The last one does, except that a denial is not undone, and
    /// what would have been denied by no more than an allow.
    pub(crate) fn ruled(&mut self, stage: Stage, ruling: &Ruling) -> bool {
        let Some(event) = self.event() else { return false };
        let decision = &ruling.decision;
        let outcome = Outcome::of(decision);
        let first = event.policy_revision.is_none();
        let denied = matches!(event.decision, Outcome::Deny | Outcome::Error);
        if denied && !first {
            return false;
        }
        if event.obligations.is_empty() {
            event.obligations = Arc::clone(&decision.obligations);
        } else if !decision.obligations.is_empty() {
            let all = event.obligations.iter().chain(&*decision.obligations);
            event.obligations = all.cloned().collect();
        }
        if event.decision == Outcome::WouldDeny && outcome == Outcome::Allow {
            return false;
        }
        event.stage = stage;
        event.decision = outcome;
        event.matched_rule.clone_from(&decision.matched_rule);
        event.reasons = Arc::clone(&decision.reasons);
        event.policy_revision = Some(Arc::clone(&decision.revision.0));
        event.evidence.rules.clone_from(&decision.rules);
        true
    }

    /// Notes what the server says of the tool that is called.
    pub(crate) fn calls(&mut self, tool: &Arc<str>) {
        self.tool = Some(Arc::clone(tool));
    }

    /// Where what the session does is counted, if a rule reads it.
    pub(crate) fn tally_of(&self, session: &Session) -> Option<Arc<Tally>> {
        self.policy.reads_state().then(|| session.tally())
    }

    /// Notes the approval that the message has, or waits for.
    pub(crate) fn approved(&mut self, name: Box<str>) {
        if let Some(event) = self.event() {
            event.evidence.approval = Some(name);
        }
    }
}
