//! What is learned from: the sessions of a log in the order of their first messages, and where they are parted.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use audit::{Filter, Reader};
use serde::Serialize;

use crate::Error;
use crate::message::{Message, Rows, Unfit};

/// Fewer sessions are not parted.
const PARTED: usize = 4;

/// The rows of a log that say what is normal.
pub(crate) struct Corpus<'r> {
    reader: &'r Reader,
    since: Option<SystemTime>,
    /// The place of each session.
    sessions: HashMap<String, usize>,
    /// So many sessions are learned from; the others are held out.
    trained: usize,
    pub(crate) account: Account,
}

/// What the log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Rows read.
    pub rows: u64,
    /// Among them, calls, resources and prompts that were allowed, forwarded and answered: what can be learned from.
    pub messages: u64,
    /// Those that were denied, failed, or allowed only because a rule is watched.
    pub not_allowed: u64,
    /// Those of which the row does not hold what they are about.
    pub not_recorded: u64,
    /// Sessions with such messages. A client without sessions has one a day.
    pub sessions: usize,
    /// The first of them, which were learned from.
    pub trained: usize,
    /// When the first such message came.
    pub first: String,
    /// When the last came.
    pub last: String,
    /// The policies that allowed them, with the number of messages.
    pub revisions: BTreeMap<String, u64>,
}

/// Which sessions are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Training,
    Holdout,
}

impl<'r> Corpus<'r> {
    /// Reads the log once, and parts it.
    pub(crate) fn new(
        reader: &'r Reader,
        since: Option<SystemTime>,
        share: f64,
    ) -> Result<Self, Error> {
        let account = Account::default();
        let mut corpus = Self { reader, since, sessions: HashMap::new(), trained: 0, account };
        let (mut account, mut sessions) = (Account::default(), HashMap::new());
        corpus.read(&mut |message| {
            account.rows += 1;
            let message = match message {
                Ok(message) => message,
                Err(Unfit::NotAllowed) => return account.not_allowed += 1,
                Err(Unfit::NotRecorded) => return account.not_recorded += 1,
                Err(Unfit::Other) => return,
            };
            account.messages += 1;
            let next = sessions.len();
            sessions.entry(message.session).or_insert(next);
            if account.first.is_empty() {
                account.first.clone_from(&message.at);
            }
            account.last = message.at;
            let revision = message.revision.unwrap_or_else(|| "unknown".to_owned());
            *account.revisions.entry(revision).or_default() += 1;
        })?;
        let all = sessions.len();
        corpus.trained = if all < PARTED { all } else { part(all, share) };
        corpus.account = Account { sessions: all, trained: corpus.trained, ..account };
        corpus.sessions = sessions;
        Ok(corpus)
    }

    /// Gives the messages of a part, the oldest first, with the place of their session.
    pub(crate) fn each(
        &self,
        part: Part,
        mut each: impl FnMut(&Message, usize),
    ) -> Result<(), Error> {
        self.read(&mut |message| {
            let Ok(message) = message else { return };
            let Some(place) = self.sessions.get(&message.session) else { return };
            if (*place < self.trained) == (part == Part::Training) {
                each(&message, *place);
            }
        })
    }

    fn read(&self, each: &mut dyn FnMut(Result<Message, Unfit>)) -> Result<(), Error> {
        let filter = Filter { since: self.since, limit: u32::MAX, ..Filter::default() };
        let mut rows = Rows::new(self.reader);
        let mut failed = Ok(());
        self.reader.history(&filter, |row| {
            if failed.is_ok() {
                failed = rows.message(&row).map(&mut *each);
            }
        })?;
        failed
    }

    /// Why nothing was held out, if nothing was.
    pub(crate) fn unparted(&self) -> Option<String> {
        let Account { sessions, trained, .. } = self.account;
        if sessions < PARTED {
            return Some(format!(
                "all {sessions} sessions were learned from, because fewer than {PARTED} cannot be parted"
            ));
        }
        (trained == sessions).then(|| "all sessions were to be learned from".to_owned())
    }
}

/// How many of the sessions are learned from: at least one.
fn part(sessions: usize, share: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    let trained = (sessions as f64 * share + 1e-9).floor() as usize;
    trained.clamp(1, sessions)
}
