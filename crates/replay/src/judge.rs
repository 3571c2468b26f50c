//! Decides recorded inputs with one set of policies, through the same code that serves messages.
//!
//! Rows that agree in everything the policies read are decided once: the key is made of the columns that are read,
//! before any JSON in them is parsed. A row of which the policies read what it does not hold is not decided at all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use domain::{Obligation, Policy as _, SessionState, Stage};
use policy::{PolicyEngine, Reads};
use rego::written;

use crate::facts::Facts;
use crate::minimal;
use crate::outcome::Outcome;
use crate::recorded::{Recorded, STATE, never};

/// Most outcomes that are remembered.
const REMEMBERED: usize = 50_000;

/// What stands for a path where rules ask something that is no part of the input.
const CHANCE: &str = "the clock or chance";

/// A set of policies with what it reads.
#[derive(Clone)]
pub struct Judge {
    engine: Arc<PolicyEngine>,
    pub(crate) reads: Reads,
    columns: Columns,
    /// The first thing that is read and that no row holds.
    blind: Option<String>,
}

/// What a set makes of one row.
#[derive(Clone, Debug)]
pub(crate) enum Retrial {
    /// A decision, with the taints that it leaves on the session.
    Decided(Outcome, Vec<Arc<str>>),
    /// None: this path is read, and the row does not hold it.
    Undecidable(String),
}

/// Which columns of a row the policies read.
#[derive(Clone, Copy)]
struct Columns {
    method: bool,
    tool: bool,
    resource: bool,
    prompt: bool,
    arguments: bool,
    size: bool,
    facts: bool,
    tool_view: bool,
    request_count: bool,
    state: bool,
    at: bool,
    source_ip: bool,
    environment: bool,
    transport: bool,
}

impl Columns {
    fn of(reads: &Reads) -> Self {
        let any = |paths: &[&[&str]]| paths.iter().any(|path| reads.intersects(path));
        Self {
            method: any(&[&["method"], &["request", "method"]]),
            tool: any(&[&["tool"], &["request", "tool"]]),
            resource: any(&[&["resource"], &["request", "resource"]]),
            prompt: any(&[&["prompt"], &["request", "prompt"]]),
            arguments: any(&[&["arguments"], &["request", "arguments"]]),
            size: any(&[&["request", "size"]]),
            facts: any(&[
                &["agent"],
                &["identity"],
                &["session", "id"],
                &["session", "started_at"],
                &["session", "protocol_version"],
                &["session", "client"],
                &["server", "name"],
                &["server", "transport"],
                &["server", "url"],
            ]),
            tool_view: any(&[&["server", "tool"]]),
            request_count: any(&[&["session", "request_count"]]),
            state: any(&STATE),
            at: any(&[&["context", "timestamp"]]),
            source_ip: any(&[&["context", "source_ip"]]),
            environment: any(&[&["context", "environment"]]),
            transport: any(&[&["context", "transport"]]),
        }
    }
}

impl Judge {
    /// Decides with `engine`, whose set reads `reads`. Load the set with a time limit that a busy machine keeps: a
    /// decision that times out is an error here as anywhere.
    #[must_use]
    pub fn new(engine: Arc<PolicyEngine>, reads: Reads) -> Self {
        let unrecorded = || never().into_iter().find(|path| reads.intersects(path)).map(written);
        let blind = if reads.impure { Some(CHANCE.to_owned()) } else { unrecorded() };
        Self { engine, columns: Columns::of(&reads), reads, blind }
    }

    /// The name of the set.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.engine.revision().0
    }

    /// The engine that decides.
    #[must_use]
    pub fn engine(&self) -> &Arc<PolicyEngine> {
        &self.engine
    }

    /// Decides a recorded message again.
    ///
    /// # Errors
    ///
    /// The first path that the set reads and the row does not hold.
    pub fn again(&self, recorded: &Recorded) -> Result<Outcome, String> {
        if let Some(path) = self.gap(recorded, recorded.state.is_some()) {
            return Err(path);
        }
        match self.decide(recorded, &recorded.state.clone().unwrap_or_default()) {
            Retrial::Decided(outcome, _) => Ok(outcome),
            Retrial::Undecidable(path) => Err(path),
        }
    }

    /// Whether the set reads the counters and taints of the session.
    pub(crate) fn reads_state(&self) -> bool {
        self.columns.state
    }

    /// Whether the set looks at answers, of which rows without a decision on one say nothing.
    pub(crate) fn examines_answers(&self) -> bool {
        self.engine.examines(Stage::Response)
    }

    /// The first path that the set reads and the row does not hold.
    fn gap(&self, recorded: &Recorded, known_state: bool) -> Option<String> {
        if self.blind.is_some() {
            return self.blind.clone();
        }
        let state = |path: &[String]| STATE.iter().any(|known| path == *known);
        let missing =
            |path: &&Vec<String>| self.reads.intersects(path) && !(known_state && state(path));
        recorded.changed.iter().find(missing).map(|path| written(path))
    }

    /// Decides, whatever the row does not hold: those parts are undefined.
    pub(crate) fn decide(&self, recorded: &Recorded, state: &Arc<SessionState>) -> Retrial {
        let mut tainted = Vec::new();
        let mut decide = |recorded: &Recorded, stage, state: &Arc<SessionState>| {
            let decision = self.engine.decide(&recorded.input(stage, state));
            tainted.extend(taints(&decision.obligations));
            Outcome::of(&decision)
        };
        let answered = recorded.stage == Stage::Response;
        let stage = if answered { Stage::Request } else { recorded.stage };
        let outcome = if recorded.comes_in() && self.engine.examines(Stage::Connect) {
            let client = decide(&recorded.at_the_door(), Stage::Connect, &Arc::default());
            if client.allow { client.then(decide(recorded, stage, state)) } else { client }
        } else {
            decide(recorded, stage, state)
        };
        if !(outcome.allow && answered && self.examines_answers()) {
            return Retrial::Decided(outcome, tainted);
        }
        if self.reads.intersects(&["result"]) {
            return Retrial::Undecidable("input.result".to_owned());
        }
        let outcome = outcome.then(decide(recorded, Stage::Response, state));
        Retrial::Decided(outcome, tainted)
    }
}

fn taints(obligations: &[Obligation]) -> Vec<Arc<str>> {
    let taint = |obligation: &Obligation| match obligation {
        Obligation::Taint { label } => Some(Arc::from(&**label)),
        Obligation::Redact { .. }
        | Obligation::Strip { .. }
        | Obligation::RequireApproval { .. }
        | Obligation::Alert { .. }
        | Obligation::Log { .. }
        | Obligation::RateLimit(_)
        | Obligation::SetHeader { .. }
        | Obligation::DenyAs { .. } => None,
    };
    obligations.iter().filter_map(taint).collect()
}

/// A judge that remembers.
pub(crate) struct Memory<'j> {
    pub(crate) judge: &'j Judge,
    known: HashMap<Box<[u8]>, Arc<Retrial>>,
    /// What stands for facts in keys: facts that are alike in what is read have one number.
    facts: HashMap<usize, (Arc<Facts>, u64)>,
    alike: HashMap<Box<str>, u64>,
    /// The next such number; none is given twice.
    next: u64,
    key: Vec<u8>,
    /// Decisions that were made rather than remembered.
    pub(crate) evaluated: u64,
}

impl<'j> Memory<'j> {
    pub(crate) fn new(judge: &'j Judge) -> Self {
        Self {
            judge,
            known: HashMap::new(),
            facts: HashMap::new(),
            alike: HashMap::new(),
            next: 1,
            key: Vec::new(),
            evaluated: 0,
        }
    }

    /// What the judge makes of a row, given the state of its session as recorded or recomputed.
    pub(crate) fn retrial(
        &mut self,
        recorded: &Recorded,
        state: Option<&Arc<SessionState>>,
    ) -> Arc<Retrial> {
        if let Some(path) = self.judge.gap(recorded, state.is_some()) {
            return Arc::new(Retrial::Undecidable(path));
        }
        let blank = Arc::default();
        let state = state.unwrap_or(&blank);
        self.write_key(recorded, state);
        if let Some(known) = self.known.get(&*self.key) {
            return Arc::clone(known);
        }
        self.evaluated += 1;
        let retrial = Arc::new(self.judge.decide(recorded, state));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(self.key.as_slice().into(), Arc::clone(&retrial));
        retrial
    }

    fn write_key(&mut self, recorded: &Recorded, state: &SessionState) {
        let reads = self.judge.columns;
        let facts = if reads.facts { self.facts_number(recorded) } else { 0 };
        let mut key = Key(&mut self.key);
        key.0.clear();
        // The stage counts, read or not: it says which obligations can be carried out.
        key.text(Some(recorded.stage.as_str()));
        key.number(u64::from(recorded.comes_in()));
        key.text_if(reads.method, Some(&recorded.method));
        key.text_if(reads.tool, recorded.tool.as_deref());
        key.text_if(reads.resource, recorded.resource.as_deref());
        key.text_if(reads.prompt, recorded.prompt.as_deref());
        key.text_if(reads.arguments, recorded.arguments.as_deref());
        key.text_if(reads.environment, Some(&recorded.environment));
        key.text_if(reads.transport, Some(recorded.transport.as_str()));
        key.number(facts);
        key.number_if(reads.size, recorded.size as u64);
        if reads.tool_view {
            let view = recorded.tool_view.as_deref();
            key.text(view.map(|tool| &*tool.digest));
            key.text(view.and_then(|tool| tool.description.as_deref()));
            key.text(view.and_then(|tool| tool.annotations.as_deref()));
            key.number(u64::from(view.is_some_and(|tool| tool.changed)));
        }
        if reads.request_count {
            key.text(recorded.request_count.map(|_| ""));
            key.number(recorded.request_count.unwrap_or_default());
        }
        if reads.state {
            key.text(Some(&serde_json::json!(state).to_string()));
        }
        if reads.at {
            let since = recorded.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            key.number(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        }
        if reads.source_ip {
            key.text(recorded.source_ip.map(|ip| ip.to_string()).as_deref());
        }
    }

    fn facts_number(&mut self, recorded: &Recorded) -> u64 {
        let address = Arc::as_ptr(&recorded.facts) as usize;
        if let Some((_, number)) = self.facts.get(&address) {
            return *number;
        }
        let text = minimal::projected(self.judge, &recorded.facts_alone()).to_string();
        if self.facts.len() >= REMEMBERED {
            self.facts.clear();
            self.alike.clear();
        }
        let number = *self.alike.entry(text.into()).or_insert(self.next);
        self.next += 1;
        // Held, so that the address stays theirs.
        self.facts.insert(address, (Arc::clone(&recorded.facts), number));
        number
    }
}

/// A key in the making: every part with its length, so that no two sequences of parts give the same bytes.
struct Key<'k>(&'k mut Vec<u8>);

impl Key<'_> {
    fn text(&mut self, text: Option<&str>) {
        match text {
            None => self.0.push(0),
            Some(text) => {
                self.0.push(1);
                self.number(text.len() as u64);
                self.0.extend_from_slice(text.as_bytes());
            }
        }
    }

    fn text_if(&mut self, read: bool, text: Option<&str>) {
        if read {
            self.text(text);
        }
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn number_if(&mut self, read: bool, number: u64) {
        if read {
            self.number(number);
        }
    }
}

#[cfg(test)]
mod tests;
