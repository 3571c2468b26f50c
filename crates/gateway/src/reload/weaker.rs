//! Whether a set of policies lets more pass than the one before it.
//!
//! Two questions, because neither answers for the other. Which rules are gone or say something else is read from the sets;
//! what that opens is found by deciding again what was recorded lately. A change of data (a longer allow-list) shows in the
//! second only, a rule that nothing has met yet in the first only.

use std::sync::Arc;

use policy::{PolicyEngine, PolicySet};

/// Most reasons that are told; the rest is counted.
const MOST: usize = 20;

/// What deciding recorded messages again came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rehearsed {
    /// Messages that both sets decided.
    pub(crate) decided: u64,
    /// Messages whose record lacks what the new set reads.
    pub(crate) undecidable: u64,
    /// What the new set lets pass or asks nothing for any more, or may, for people.
    pub(crate) weaker: Vec<String>,
}

/// Decides the last recorded messages with the set in force and with a candidate.
///
/// # Errors
///
/// Why nothing could be decided.
pub(crate) type Rehearse =
    Box<dyn Fn(&Arc<PolicyEngine>, &Arc<PolicyEngine>) -> Result<Rehearsed, String> + Send>;

/// What is weaker in `candidate` than in `before`, and what the check rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// What is weaker; nothing when no weakness was found.
    pub(crate) weaker: Vec<String>,
    /// How far the check went.
    pub(crate) basis: String,
}

pub(crate) fn compare(
    before: &Arc<PolicyEngine>,
    candidate: &Arc<PolicyEngine>,
    rehearse: &Rehearse,
) -> Comparison {
    let mut weaker = rules_gone(before.set(), candidate.set());
    let basis = match rehearse(before, candidate) {
        Ok(outcome) => {
            weaker.extend(outcome.weaker);
            format!(
                "recorded decisions made again: {}; undecidable for lack of evidence: {}",
                outcome.decided, outcome.undecidable
            )
        }
        // Doubt counts as weaker: nothing shows that it is not.
        Err(why) => {
            weaker.push(format!("recorded decisions could not be made again: {why}"));
            "rules only".to_owned()
        }
    };
    if weaker.len() > MOST {
        let more = weaker.len() - MOST;
        weaker.truncate(MOST);
        weaker.push(format!("and {more} more"));
    }
    Comparison { weaker, basis }
}

/// Rules that denied or asked for something and are gone. A rule of one name may be written differently; of those without a name it can only be
/// told that there are fewer.
fn rules_gone(before: &PolicySet, candidate: &PolicySet) -> Vec<String> {
    let gone = |(name, count): (&String, &usize)| {
        let left = candidate.denials().get(name).copied().unwrap_or_default();
        let unnamed = name.starts_with("data.");
        match left {
            0 => Some(format!("rule `{name}` is gone")),
            left if unnamed && left < *count => {
                Some(format!("rule `{name}` has {left} definitions, {count} before"))
            }
            _ => None,
        }
    };
    before.denials().iter().filter_map(gone).collect()
}

#[cfg(test)]
mod tests;
