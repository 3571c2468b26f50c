//! A question and its answer, as people see them.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use serde::Serialize;

/// What has become of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has answered yet.
    Pending,
    /// Granted, and good for at least one more message.
    Granted,
    /// Denied.
    Denied,
    /// Granted, and used as often as was granted.
    Used,
    /// Nobody answered in time, or the grant has run out.
    Expired,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Granted, Self::Denied, Self::Used, Self::Expired];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Used => "used",
            Self::Expired => "expired",
        }
    }
}

/// Which messages of the agent to the server a grant lets pass, besides the one that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The same method, tool or target, and arguments.
    Arguments,
    /// The same method and tool or target, with any arguments.
    Tool,
    /// The same method, with any tool or target.
    Agent,
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Arguments, Self::Tool, Self::Agent];

    /// The name on the command line and in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Tool => "tool",
            Self::Agent => "agent",
        }
    }
}

/// What a person grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which messages.
    pub scope: Scope,
    /// For how long from now.
    pub lasts: Duration,
    /// For how many messages; any number when there is no limit.
    pub uses: Option<NonZeroU32>,
    /// Who grants it.
    pub by: String,
    /// Why.
    pub note: Option<String>,
}

impl Grant {
    /// Exactly the message that was asked about, once, within the next hour.
    #[must_use]
    pub fn once(by: impl Into<String>) -> Self {
        let lasts = Duration::from_secs(60 * 60);
        Self {
            scope: Scope::Arguments,
            lasts,
            uses: Some(NonZeroU32::MIN),
            by: by.into(),
            note: None,
        }
    }
}

/// One question with what became of it. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Its name: the id of the decision that asked.
    pub id: String,
    /// What has become of it.
    pub state: State,
    /// When it was asked first.
    pub asked_at: String,
    /// Until when it can be answered; until when a denial stands.
    pub expires_at: String,
    /// Who asks.
    pub agent: String,
    /// The server that the message is for.
    pub server: String,
    /// The method.
    pub method: String,
    /// The tool of `tools/call`.
    pub tool: Option<String>,
    /// The URI or the prompt of other methods.
    pub target: Option<String>,
    /// The arguments, masked, and cut when they are long.
    pub arguments: Option<String>,
    /// What policy says to the person.
    pub message: Option<String>,
    /// What was granted.
    pub scope: Option<Scope>,
    /// Until when the grant is good.
    pub granted_until: Option<String>,
    /// Messages that the grant has let pass.
    pub uses: u32,
    /// Most messages that it lets pass.
    pub uses_limit: Option<u32>,
    /// When it was answered.
    pub decided_at: Option<String>,
    /// Who answered.
    pub decided_by: Option<String>,
    /// What they said.
    pub note: Option<String>,
}

/// Which questions are listed; the conditions that are set must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What has become of them.
    pub state: Option<State>,
    /// Who asks.
    pub agent: Option<String>,
    /// Answered after this time.
    pub decided_after: Option<SystemTime>,
}
