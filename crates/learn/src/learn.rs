//! From a log to a policy.

use std::path::Path;
use std::time::SystemTime;

use audit::Reader;
use policy::Sources;
use serde::Serialize;

use crate::corpus::{Account, Corpus, Part};
use crate::document::Document;
use crate::entry::Entries;
use crate::evidence::Floors;
use crate::trial::{self, Trial};
use crate::{Error, cases};

/// The fixed module.
pub(crate) const MODULE: &str = include_str!("learned.rego");

/// What is learned from, and when it is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Rows from this time on.
    pub since: Option<SystemTime>,
    /// The share of sessions to learn from, from the oldest on; the others are held out.
    pub train_share: f64,
    /// Less than this is marked for review.
    pub floors: Floors,
}

impl Default for Options {
    fn default() -> Self {
        Self { since: None, train_share: 0.7, floors: Floors::default() }
    }
}

/// What was learned, ready to be written.
#[derive(Clone, Debug)]
pub struct Learned {
    /// How much it is worth.
    pub report: Report,
    pub(crate) document: String,
    pub(crate) tests: String,
}

/// How much a learned policy is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the log holds.
    pub corpus: Account,
    /// Tools, resources by scheme, and prompts, each by agent and server.
    pub entries: usize,
    /// Those among them with too little evidence.
    pub for_review: usize,
    /// Messages that were not learned from, because there were too many entries.
    pub crowded: u64,
    /// What was learned, tried on what it was learned from.
    pub training: Trial,
    /// What was learned, tried on the sessions that were held out.
    pub holdout: Option<Trial>,
    /// Why there is none.
    pub no_holdout: Option<String>,
}

/// Learns from the log at `db`, and tries the outcome.
///
/// # Errors
///
/// [`Error::Audit`] when the log cannot be read, [`Error::Nothing`] when it holds nothing to learn, [`Error::Share`] for
/// a share that is none.
pub fn learn(db: &Path, options: Options) -> Result<Learned, Error> {
    let Options { since, train_share, floors } = options;
    if !(train_share > 0.0 && train_share <= 1.0) {
        return Err(Error::Share(train_share));
    }
    let reader = Reader::open(db)?;
    let corpus = Corpus::new(&reader, since, train_share)?;
    if corpus.account.messages == 0 {
        return Err(Error::Nothing { path: db.to_owned(), rows: corpus.account.rows });
    }
    let mut entries = Entries::default();
    corpus.each(Part::Training, |message, session| entries.add(message, session))?;
    let document = Document { db, options, account: &corpus.account };
    let (agents, count) = entries.written(floors);
    let tests = cases::tests(&agents);
    let document = document.text(agents)?;
    let texts =
        [("learned.rego", MODULE), ("learned.yaml", &*document), ("learned_test.rego", &*tests)];
    let sources = Sources::from_texts(&texts)?;
    let found = rego::check(&sources, true).diagnostics;
    if let Some(first) = found.first() {
        return Err(Error::Unsound(first.to_string()));
    }
    let engine = trial::engine(&sources)?;
    let training = Trial::of(&engine, &corpus, Part::Training)?;
    if let Some(denied) = training.denied.first().filter(|_| entries.crowded == 0) {
        return Err(Error::Unsound(format!(
            "it denies decision {}, from which it was learned: {}",
            denied.decision_id, denied.message
        )));
    }
    let no_holdout = corpus.unparted();
    let holdout = match no_holdout {
        None => Some(Trial::of(&engine, &corpus, Part::Holdout)?),
        Some(_) => None,
    };
    let report = Report {
        entries: count.entries,
        for_review: count.for_review,
        crowded: entries.crowded,
        training,
        holdout,
        no_holdout,
        corpus: corpus.account,
    };
    Ok(Learned { report, document, tests })
}

#[cfg(test)]
mod tests;
