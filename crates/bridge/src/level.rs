//! Log levels: what a session or one request asks for, and what one line has.

use domain::{ErrorKind, Failure};
use protocol::{Era, Message, meta, object};

/// The names on the wire, least first (RFC 5424).
const NAMES: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// A log level; greater is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level(usize);

impl Level {
    /// What a server with sessions sends before it is told a level.
    pub(crate) const INFO: Self = Self(1);

    /// The level from which on the client wants lines, for this request or (`logging/setLevel`) for
    /// its session; `None` when the request names none.
    ///
    /// # Errors
    ///
    /// `InvalidParams` when it is no level.
    pub(crate) fn asked(request: &Message) -> Result<Option<Self>, Failure> {
        let level = |name: &str| Self::named(name).ok_or_else(|| unknown(request));
        request.log_level().map(|name| level(&name)).transpose()
    }

    /// The level that `logging/setLevel` asks for.
    ///
    /// # Errors
    ///
    /// `InvalidParams` when there is none, or it is no level.
    pub(crate) fn set_by(request: &Message) -> Result<Self, Failure> {
        Self::asked(request)?.ok_or_else(|| unknown(request))
    }

    /// The level of a line (`notifications/message`).
    pub(crate) fn of(line: &Message) -> Option<Self> {
        let level = object::get(line.params()?, "level")?;
        Self::named(level.strip_prefix('"')?.strip_suffix('"')?)
    }

    /// The name as a JSON string.
    pub(crate) fn json(self) -> String {
        format!("\"{}\"", NAMES.get(self.0).copied().unwrap_or("debug"))
    }

    fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|level| *level == name).map(Self)
    }
}

fn unknown(request: &Message) -> Failure {
    let member = match request.era() {
        Era::Legacy => "params.level",
        Era::Modern => meta::LOG_LEVEL,
    };
    let text = format!("`{member}` is none of {}", NAMES.join(", "));
    Failure::new(ErrorKind::InvalidParams, text).unsent()
}
