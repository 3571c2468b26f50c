//! The smallest input that still shows a difference: what is not needed for it is taken away, piece by piece.

use std::sync::Arc;

use domain::{Agent, SessionState};
use serde_json::{Map, Value};

use crate::document::{self, Wanted};
use crate::facts::Facts;
use crate::judge::{Judge, Retrial};
use crate::outcome::Outcome;
use crate::recorded::Recorded;

/// Most decisions that are made for one example.
const TRIES: u32 = 300;

/// Takes away what `holds` does not need; what is left is shown as far as the policies read it.
pub(crate) fn example(
    judge: &Judge,
    recorded: &Recorded,
    state: &SessionState,
    holds: &dyn Fn(&Recorded, &Arc<SessionState>) -> bool,
) -> Value {
    let mut smaller = Smaller {
        recorded: Recorded { state: Some(Arc::new(state.clone())), ..recorded.clone() },
        tries: TRIES,
        holds,
    };
    smaller.shrink();
    shown(judge, &smaller.recorded)
}

/// The document for people, as far as the policies read it.
fn shown(judge: &Judge, recorded: &Recorded) -> Value {
    let mut shown = projected(judge, recorded);
    prune(&mut shown);
    shown
}

/// The document, as far as the policies read it.
pub(crate) fn projected(judge: &Judge, recorded: &Recorded) -> Value {
    let reads = judge.reads.all();
    let wanted = |path: &[String]| {
        if reads.covers(path) {
            Wanted::All
        } else if reads.intersects(path) {
            Wanted::Below
        } else {
            Wanted::Nothing
        }
    };
    let document = recorded.document();
    document::project(&document, &mut Vec::new(), &wanted).unwrap_or_default()
}

/// Takes empty texts and objects away, which say nothing.
fn prune(value: &mut Value) {
    let Value::Object(members) = value else { return };
    members.values_mut().for_each(prune);
    members.retain(|_, member| {
        !matches!(member, Value::String(text) if text.is_empty())
            && !matches!(member, Value::Object(members) if members.is_empty())
    });
}

/// Whether a set says of an input what it said of the whole one: the same verdict by the same rule.
pub(crate) fn says(
    judge: &Judge,
    outcome: &Outcome,
    input: &Recorded,
    state: &Arc<SessionState>,
) -> bool {
    match judge.decide(input, state) {
        Retrial::Decided(now, _) => {
            now.allow == outcome.allow
                && now.rule() == outcome.rule()
                && now.error.is_some() == outcome.error.is_some()
        }
        Retrial::Undecidable(_) => false,
    }
}

struct Smaller<'h> {
    recorded: Recorded,
    tries: u32,
    holds: &'h dyn Fn(&Recorded, &Arc<SessionState>) -> bool,
}

impl Smaller<'_> {
    /// Makes a change if the difference stays.
    fn attempt(&mut self, change: impl FnOnce(&mut Recorded)) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let mut candidate = self.recorded.clone();
        change(&mut candidate);
        let state = candidate.state.clone().unwrap_or_default();
        let holds = (self.holds)(&candidate, &state);
        if holds {
            self.recorded = candidate;
        }
        holds
    }

    fn shrink(&mut self) {
        self.attempt(|it| it.arguments = None);
        self.attempt(|it| it.tool_view = None);
        self.attempt(|it| it.state = Some(Arc::default()));
        self.attempt(|it| it.tool = None);
        self.attempt(|it| it.resource = None);
        self.attempt(|it| it.prompt = None);
        self.attempt(|it| it.request_count = None);
        self.attempt(|it| it.source_ip = None);
        self.attempt(|it| it.environment.clear());
        self.facts();
        self.arguments();
    }

    fn facts(&mut self) {
        let facts: [fn(&mut Facts); 8] = [
            |it| it.session_id = None,
            |it| it.started_at = None,
            |it| it.protocol_version = None,
            |it| it.client_name = None,
            |it| it.client_version = None,
            |it| it.server_url = None,
            |it| it.server.clear(),
            |it| it.server_transport.clear(),
        ];
        for change in facts {
            self.attempt(|it| change(Arc::make_mut(&mut it.facts)));
        }
        let agent: [fn(&mut Agent); 7] = [
            |it| it.id = "".into(),
            |it| it.name = "".into(),
            |it| it.capabilities.clear(),
            |it| it.model = "".into(),
            |it| it.publisher = "".into(),
            |it| it.tags.clear(),
            |it| it.roles.clear(),
        ];
        for change in agent {
            self.attempt(|it| change(Arc::make_mut(&mut Arc::make_mut(&mut it.facts).agent)));
        }
        self.attempt(|it| {
            Arc::make_mut(&mut Arc::make_mut(&mut it.facts).identity).did = "".into()
        });
    }

    /// Members of the arguments, from the outside to the inside.
    fn arguments(&mut self) {
        let Some(text) = &self.recorded.arguments else { return };
        let Ok(whole) = serde_json::from_str::<Value>(text) else { return };
        let mut open = vec![Vec::new()];
        while let Some(path) = open.pop() {
            let members = at(&whole, &path).and_then(Value::as_object).map(Map::keys);
            for name in members.into_iter().flatten() {
                let member: Vec<String> = path.iter().chain([name]).cloned().collect();
                let dropped = self.attempt(|it| {
                    let arguments = it.arguments.as_deref().map(serde_json::from_str::<Value>);
                    if let Some(Ok(mut arguments)) = arguments {
                        document::remove(&mut arguments, &member);
                        it.arguments = Some(arguments.to_string());
                    }
                });
                if !dropped {
                    open.push(member);
                }
            }
        }
    }
}

fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| value.get(step))
}
