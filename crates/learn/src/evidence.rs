//! How much speaks for an entry.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::message::Message;

/// Below these, an entry is marked for review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floors {
    /// Messages.
    pub events: u64,
    /// Sessions in which they were.
    pub sessions: u64,
}

impl Default for Floors {
    fn default() -> Self {
        Self { events: 5, sessions: 2 }
    }
}

/// Rows that are named.
const WITNESSES: usize = 3;

/// What speaks for one entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    events: u64,
    sessions: BTreeSet<usize>,
    days: BTreeSet<String>,
    first: String,
    last: String,
    witnesses: Vec<i64>,
}

impl Evidence {
    pub(crate) fn add(&mut self, message: &Message, session: usize) {
        self.events += 1;
        self.sessions.insert(session);
        self.days.insert(message.day().to_owned());
        if self.first.is_empty() {
            self.first.clone_from(&message.at);
        }
        self.last.clone_from(&message.at);
        if self.witnesses.len() < WITNESSES {
            self.witnesses.push(message.row);
        }
    }

    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    /// The evidence as it is written; `of` is the number of sessions of the agent.
    pub(crate) fn written(&self, of: usize) -> Value {
        let used = wilson(self.sessions.len() as f64, of as f64);
        json!({
            "events": self.events,
            "sessions": self.sessions.len(),
            "days": self.days.len(),
            "first": self.first,
            "last": self.last,
            "used_at_least": (used * 1000.0).floor() / 1000.0,
            "witnesses": self.witnesses,
        })
    }

    /// What is too little.
    pub(crate) fn lacks(&self, floors: Floors) -> Vec<String> {
        let lack = |what: &str, found: u64, floor: u64| {
            (found < floor).then(|| format!("{what}: {found}, fewer than {floor}"))
        };
        [
            lack("events", self.events, floors.events),
            lack("sessions", self.sessions.len() as u64, floors.sessions),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The lower bound of the 95 % Wilson interval of a proportion: at least this share of an agent's sessions use the entry.
pub(crate) fn wilson(found: f64, of: f64) -> f64 {
    const Z: f64 = 1.959_964;
    if of <= 0.0 {
        return 0.0;
    }
    let (share, z2) = (found / of, Z * Z);
    let centre = share + z2 / (2.0 * of);
    let margin = Z * (share * (1.0 - share) / of + z2 / (4.0 * of * of)).sqrt();
    ((centre - margin) / (1.0 + z2 / of)).max(0.0)
}

#[cfg(test)]
mod tests;
