//! The replay of one log.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use audit::{Filter, Reader, Row};
use domain::{SessionState, Stage};

use crate::counters::Counters;
use crate::judge::{Judge, Memory, Retrial};
use crate::outcome::{Class, Outcome};
use crate::recorded::{Library, Recorded};
use crate::report::{Change, Example, Mismatch, Report};
use crate::{Error, minimal};

/// Most examples of rows that do not reproduce.
const MISMATCHES: usize = 10;
/// Most groups of changes that are told apart; a client may invent tools without end.
const GROUPS: usize = 1000;

/// Which counters and taints of sessions decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Those that were recorded.
    #[default]
    Recorded,
    /// Those that would have become of what the candidate lets pass.
    Recomputed,
}

/// What is replayed, and how.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Rows from this time on.
    pub since: Option<SystemTime>,
    /// Rows of this session.
    pub session: Option<&'a str>,
    /// The newest so many rows; all without it.
    pub newest: Option<u32>,
    /// Which counters and taints decide.
    pub state: State,
    /// Policies that are at hand besides the candidate: rows that one of them decided are decided again first.
    pub recorded: &'a [Judge],
}

/// Decides the rows of a log again, first under the policies that decided them, where those are at hand, then under the
/// candidate. When the evidence does not reproduce, the report says so and holds no comparison.
///
/// # Errors
///
/// [`Error::Audit`] when the log cannot be read.
pub fn run(reader: &Reader, candidate: &Judge, options: Options<'_>) -> Result<Report, Error> {
    let filter = Filter {
        since: options.since,
        session: options.session.map(str::to_owned),
        limit: options.newest.unwrap_or(u32::MAX),
        ..Filter::default()
    };
    let mut run = Run::new(reader, candidate, options);
    let mut failed = Ok(());
    reader.history(&filter, |row| {
        if failed.is_ok() {
            failed = run.take(&row);
        }
    })?;
    failed?;
    Ok(run.finish())
}

/// Class, method, tool, agent and rule.
type Group = (Class, String, Option<String>, String, Option<String>);

struct Run<'a> {
    library: Library<'a>,
    candidate: Memory<'a>,
    /// By revision; the candidate among them.
    witnesses: BTreeMap<&'a str, Memory<'a>>,
    state: State,
    counters: Counters,
    diverged: HashSet<String>,
    groups: BTreeMap<Group, Change>,
    report: Report,
}

/// One row with all that is known of it.
struct Case<'r> {
    row: &'r Row,
    recorded: Recorded,
    then: Outcome,
    state: Option<Arc<SessionState>>,
    /// What counts as one session.
    session: String,
}

impl<'a> Run<'a> {
    fn new(reader: &'a Reader, candidate: &'a Judge, options: Options<'a>) -> Self {
        let at_hand = options.recorded.iter().chain([candidate]);
        Self {
            library: Library::new(reader),
            candidate: Memory::new(candidate),
            witnesses: at_hand.map(|judge| (judge.revision(), Memory::new(judge))).collect(),
            state: options.state,
            counters: Counters::default(),
            diverged: HashSet::new(),
            groups: BTreeMap::new(),
            report: Report { candidate: candidate.revision().to_owned(), ..Report::default() },
        }
    }

    fn take(&mut self, row: &Row) -> Result<(), Error> {
        self.report.rows += 1;
        let left_out = &mut self.report.left_out;
        if let Some(why) = Unrepeatable::of(row) {
            *match why {
                Unrepeatable::Gateway => &mut left_out.gateway,
                Unrepeatable::Undecided => &mut left_out.undecided,
                Unrepeatable::Companion => &mut left_out.companions,
            } += 1;
            return Ok(());
        }
        let (recorded, then) = match (self.library.recorded(row), Outcome::recorded(row)) {
            (Ok(recorded), Some(then)) => (recorded, then),
            (Err(error @ Error::Audit(_)), _) => return Err(error),
            (Err(Error::Unreadable { .. }), _) | (_, None) => {
                left_out.unreadable += 1;
                return Ok(());
            }
        };
        let session = row.session_id.clone().unwrap_or_else(|| format!("agent {}", row.agent_id));
        let state = match self.state {
            State::Recorded => recorded.state.clone(),
            State::Recomputed if self.candidate.judge.reads_state() => {
                self.counters.before(&session, &recorded)
            }
            State::Recomputed => None,
        };
        let case = Case { row, recorded, then, state, session };
        self.verify(&case);
        self.compare(&case);
        Ok(())
    }

    /// Decides the row under the policies that decided it.
    fn verify(&mut self, case: &Case<'_>) {
        let evidence = &mut self.report.evidence;
        let revision = case.row.policy_revision.as_deref().unwrap_or_default();
        let Some(witness) = self.witnesses.get_mut(revision) else {
            evidence.unverified += 1;
            return;
        };
        match &*witness.retrial(&case.recorded, case.recorded.state.as_ref()) {
            Retrial::Undecidable(_) => evidence.undecidable += 1,
            Retrial::Decided(now, _) if case.then.compare(now) == Class::Same => {
                evidence.reproduced += 1;
            }
            Retrial::Decided(now, _) => {
                evidence.mismatched += 1;
                if evidence.mismatches.len() < MISMATCHES {
                    evidence.mismatches.push(Mismatch {
                        decision_id: case.row.decision_id.clone(),
                        revision: revision.to_owned(),
                        recorded: case.then.clone(),
                        now: now.clone(),
                    });
                }
            }
        }
    }

    /// Decides the row under the candidate.
    fn compare(&mut self, case: &Case<'_>) {
        let retrial = self.candidate.retrial(&case.recorded, case.state.as_ref());
        let (class, rule) = match &*retrial {
            Retrial::Undecidable(path) => {
                *self.report.undecidable.entry(path.clone()).or_default() += 1;
                self.report.undecidable_denials += u64::from(!case.then.allow);
                (Class::Undecidable, Some(path.clone()))
            }
            Retrial::Decided(now, _) => {
                (case.then.compare(now), case.then.rule_of_change(now).map(str::to_owned))
            }
        };
        let after = case.row.session_id.as_ref().is_some_and(|id| self.diverged.contains(id));
        self.report.classes.count(class);
        if after {
            self.report.post_divergence.count(class);
        }
        if matches!(class, Class::NewlyDenied | Class::NewlyAllowed) {
            self.diverged.extend(case.row.session_id.clone());
        }
        self.notice_answer(case);
        if self.state == State::Recomputed {
            self.advance(case, &retrial);
        }
        if class != Class::Same {
            self.group(case, &retrial, (class, rule), after);
        }
    }

    /// Counts a message of which the candidate would look at the answer, when the row has no decision on one.
    fn notice_answer(&mut self, case: &Case<'_>) {
        let row = case.row;
        let answered = case.recorded.stage == Stage::Request
            && row.forwarded
            && row.error_kind.is_none()
            && !row.method.starts_with("notifications/");
        if answered
            && self.candidate.judge.examines_answers()
            && row.policy_revision.as_deref() != Some(self.candidate.judge.revision())
        {
            self.report.answers_unseen += 1;
        }
    }

    /// Lets the session go on as under the candidate.
    fn advance(&mut self, case: &Case<'_>, retrial: &Retrial) {
        let row = case.row;
        let passes = match retrial {
            Retrial::Undecidable(_) => row.forwarded,
            Retrial::Decided(now, taints) => {
                self.counters.taint(&case.session, taints);
                let audit = row.mode == "audit";
                row.forwarded && (now.allow || audit) || now.allow && !case.then.allow
            }
        };
        if passes && matches!(case.recorded.stage, Stage::Request | Stage::Response) {
            self.counters.forwarded(&case.session, &case.recorded);
        }
    }

    fn group(
        &mut self,
        case: &Case<'_>,
        retrial: &Retrial,
        (class, rule): (Class, Option<String>),
        after: bool,
    ) {
        let row = case.row;
        let mut key: Group =
            (class, row.method.clone(), row.tool.clone(), row.agent_id.clone(), rule);
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&key) {
            // The rest is counted together, by class.
            key = (class, "*".to_owned(), None, "*".to_owned(), None);
        }
        if !self.groups.contains_key(&key) {
            let (class, method, tool, agent, rule) = key.clone();
            let change = Change {
                class,
                method,
                tool,
                agent,
                rule,
                count: 0,
                post_divergence: 0,
                first_seen: row.timestamp.clone(),
                last_seen: String::new(),
                example: self.example(case, retrial),
            };
            self.groups.insert(key.clone(), change);
        }
        if let Some(change) = self.groups.get_mut(&key) {
            change.count += 1;
            change.post_divergence += u64::from(after);
            change.last_seen.clone_from(&row.timestamp);
        }
    }

    fn example(&self, case: &Case<'_>, retrial: &Retrial) -> Example {
        let judge = self.candidate.judge;
        let revision = case.row.policy_revision.as_deref().unwrap_or_default();
        let witness = self.witnesses.get(revision).map(|memory| memory.judge);
        let state = case.state.clone().unwrap_or_default();
        let now = match retrial {
            Retrial::Decided(now, _) => Some(now.clone()),
            Retrial::Undecidable(_) => None,
        };
        let holds = |input: &Recorded, state: &Arc<SessionState>| {
            now.as_ref().is_some_and(|now| minimal::says(judge, now, input, state))
                && witness.is_none_or(|then| minimal::says(then, &case.then, input, state))
        };
        Example {
            decision_id: case.row.decision_id.clone(),
            recorded: case.then.clone(),
            now: now.clone(),
            input: minimal::example(judge, &case.recorded, &state, &holds),
        }
    }

    fn finish(self) -> Report {
        let mut report = self.report;
        report.evaluated = self.candidate.evaluated;
        if report.evidence.mismatched > 0 {
            let Report { candidate, rows, left_out, evidence, .. } = report;
            return Report {
                candidate,
                rows,
                left_out,
                evidence,
                stopped: true,
                ..Report::default()
            };
        }
        report.changes = self.groups.into_values().collect();
        report.changes.sort_by_key(|change| (change.class, std::cmp::Reverse(change.count)));
        report
    }
}

/// Why a row holds no decision that can be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrepeatable {
    /// The gateway itself acted, or denied all messages in a lockdown.
    Gateway,
    /// The message never came to policy.
    Undecided,
    /// What was decided last may be a message inside the message, which the row does not hold.
    Companion,
}

impl Unrepeatable {
    /// Why this row does not; `None` when it does.
    #[must_use]
    pub fn of(row: &Row) -> Option<Self> {
        let by_gateway =
            row.stage == Stage::Gateway.as_str() || row.matched_rule.as_deref() == Some("lockdown");
        if by_gateway {
            Some(Self::Gateway)
        } else if row.policy_revision.is_none() {
            Some(Self::Undecided)
        } else {
            is_of_a_companion(row).then_some(Self::Companion)
        }
    }
}

/// Whether what was decided last may be a message inside the message (2026-07-28): each resource of a subscription, or a
/// question of the server in an answer.
fn is_of_a_companion(row: &Row) -> bool {
    const QUESTIONS: [&str; 4] =
        ["ping", "roots/list", "sampling/createMessage", "elicitation/create"];
    let of_the_server =
        QUESTIONS.contains(&&*row.method) || row.method.starts_with("notifications/");
    row.method == "subscriptions/listen"
        || row.stage == Stage::ServerRequest.as_str() && !of_the_server
        || row.error.as_deref().is_some_and(|error| error.contains("denied as `"))
}

#[cfg(test)]
mod tests;
