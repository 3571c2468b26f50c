//! What was learned, tried on messages that were allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Reason, Span, Stage, SystemClock, Verdict};
use policy::{PolicyEngine, PolicySet, Sources, decide_document};
use serde::Serialize;

use crate::Error;
use crate::corpus::{Corpus, Part};
use crate::message::{Message, Subject};

/// Most groups of denials that are told apart.
const GROUPS: usize = 1000;

/// How messages fare that were allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// Calls, resources and prompts that were allowed and are decided again.
    pub messages: u64,
    /// Those that what was learned would deny.
    pub newly_denied: u64,
    /// Those whose arguments were not recorded, so that nothing can be said.
    pub undecidable: u64,
    /// What is denied, by rule, agent and tool: the most frequent first.
    pub denied: Vec<Denied>,
}

/// Messages that one rule would deny.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// The rule.
    pub rule: String,
    /// The agent.
    pub agent: String,
    /// The tool, the resource or the prompt; `*` for those that are too many to be told apart.
    pub subject: String,
    /// How many.
    pub count: u64,
    /// The sentence for the first of them.
    pub message: String,
    /// Names its decision.
    pub decision_id: String,
}

impl Trial {
    /// The share of messages that are newly denied, of those that could be decided; `None` when there are none.
    #[must_use]
    pub fn newly_denied_rate(&self) -> Option<f64> {
        let decided = self.messages - self.undecidable;
        (decided > 0).then(|| self.newly_denied as f64 / decided as f64)
    }

    /// Messages that are newly denied, by rule.
    #[must_use]
    pub fn by_rule(&self) -> BTreeMap<&str, u64> {
        let mut rules = BTreeMap::new();
        for denied in &self.denied {
            *rules.entry(&*denied.rule).or_default() += denied.count;
        }
        rules
    }

    /// Decides the messages of a part again, with `engine` alone.
    pub(crate) fn of(
        engine: &PolicyEngine,
        corpus: &Corpus<'_>,
        part: Part,
    ) -> Result<Self, Error> {
        let mut trial = Self::default();
        let mut groups: BTreeMap<[String; 3], Denied> = BTreeMap::new();
        corpus.each(part, |message, _| trial.take(engine, message, &mut groups))?;
        trial.denied = groups.into_values().collect();
        trial.denied.sort_by_key(|denied| std::cmp::Reverse(denied.count));
        Ok(trial)
    }

    fn take(
        &mut self,
        engine: &PolicyEngine,
        message: &Message,
        groups: &mut BTreeMap<[String; 3], Denied>,
    ) {
        self.messages += 1;
        let (subject, whole) = match &message.subject {
            Subject::Tool { name, arguments, .. } => (name, arguments.is_some()),
            Subject::Resource(name) | Subject::Prompt(name) => (name, true),
        };
        if !whole {
            self.undecidable += 1;
            return;
        }
        let decision = decide_document(engine, Stage::Request, &message.document());
        if decision.verdict == Verdict::Allow {
            return;
        }
        self.newly_denied += 1;
        let reason = decision.reasons.first();
        let (rule, text) = match (&decision.error, reason) {
            (Some(error), _) => ("policy_error", &**error),
            (None, Some(Reason { rule, message, .. })) => {
                (rule.as_deref().unwrap_or_default(), &**message)
            }
            (None, None) => ("", ""),
        };
        let mut key = [rule, &message.agent, subject].map(str::to_owned);
        if groups.len() >= GROUPS && !groups.contains_key(&key) {
            key = [rule, "*", "*"].map(str::to_owned);
        }
        let group = groups.entry(key).or_insert_with_key(|[rule, agent, subject]| Denied {
            rule: rule.clone(),
            agent: agent.clone(),
            subject: subject.clone(),
            count: 0,
            message: text.to_owned(),
            decision_id: message.decision_id.clone(),
        });
        group.count += 1;
    }
}

/// Decides with what was learned and nothing else. Nobody waits, so a busy machine gets its time.
pub(crate) fn engine(sources: &Sources) -> Result<PolicyEngine, Error> {
    let mut config = policy::Config::default();
    config.evaluation.timeout = Span::secs(10);
    config.evaluation.max_input = usize::MAX;
    Ok(PolicyEngine::with_clock(PolicySet::load(sources, &config)?, Arc::new(SystemClock)))
}
