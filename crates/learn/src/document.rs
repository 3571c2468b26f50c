//! The learned document, with a header that says what it was learned from.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::corpus::Account;
use crate::learn::Options;
use crate::pattern::FORMATS;

/// The document with what it says of itself.
pub(crate) struct Document<'a> {
    pub(crate) db: &'a Path,
    pub(crate) options: Options,
    pub(crate) account: &'a Account,
}

impl Document<'_> {
    /// The text of `learned.yaml`.
    pub(crate) fn text(&self, agents: Value) -> Result<String, Error> {
        let formats: Map<String, Value> =
            FORMATS.iter().map(|(name, pattern)| ((*name).to_owned(), json!(pattern))).collect();
        let document = json!({
            "learned": {
                "settings": { "review": "allow" },
                "corpus": self.corpus(),
                "formats": formats,
                "agents": agents,
            },
        });
        let body = serde_yaml::to_string(&document)
            .map_err(|error| Error::Unsound(format!("it cannot be written as YAML: {error}")))?;
        Ok(format!("{}{body}", self.header()))
    }

    fn header(&self) -> String {
        let Account { messages, rows, sessions, trained, first, last, .. } = self.account;
        format!(
            "# What agents were seen to do, learned from an audit log: all else is denied.\n\
             #\n\
             # Learned only from calls, resources and prompts that were allowed, forwarded and answered: {messages} of {rows} rows,\n\
             # from {first} to {last}. Never from what was denied, failed, or would have been denied\n\
             # by a rule that is watched. Nobody has said that this traffic was good: read the entries before they deny anything.\n\
             # The first {trained} of {sessions} sessions were learned from.\n\
             #\n\
             # Entries with too little evidence say why under `review`. They are granted, unless `settings.review` is `deny`.\n\
             # An entry holds for the definitions of the tool that it names; the number is that of calls.\n"
        )
    }

    fn corpus(&self) -> Value {
        let Account { rows, messages, sessions, trained, first, last, revisions, .. } =
            self.account;
        let since = self.options.since.and_then(|since| Timestamp::try_from(since).ok());
        json!({
            "db": self.db.file_name().map(|name| name.to_string_lossy()),
            "since": since.map(|since| since.to_string()),
            "rows": rows,
            "messages": messages,
            "first": first,
            "last": last,
            "sessions": sessions,
            "trained": trained,
            "train_share": self.options.train_share,
            "policy_revisions": revisions,
        })
    }
}
