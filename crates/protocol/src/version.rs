//! Revisions of MCP that the gateway speaks, and the two eras that they belong to.

use std::fmt;

/// How client and server know what they have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: a session, which `initialize` opens.
    Legacy,
    /// From 2026-07-28 on: no session; every request says in `params._meta` what it needs.
    Modern,
}

/// A revision of the specification, oldest first, so that `<` means older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// 2024-11-05: HTTP+SSE with two endpoints.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP, sessions, batches.
    V2025_03_26,
    /// 2025-06-18: version header, elicitation, structured content, no batches.
    V2025_06_18,
    /// 2025-11-25: resumable polling, tasks, URL elicitation.
    V2025_11_25,
    /// 2026-07-28: stateless, headers that repeat the body, input by round trips.
    V2026_07_28,
}

impl ProtocolVersion {
    /// Every revision, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// What `initialize` settles on when the other side leaves the choice: the newest revision that
    /// has sessions.
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;

    /// The era of the revision.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => {
                Era::Legacy
            }
            Self::V2026_07_28 => Era::Modern,
        }
    }

    /// The date that names the revision on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision that `name` names exactly; `None` when the gateway does not speak it.
    #[expect(
        clippy::should_implement_trait,
        reason = "an unknown revision is an ordinary answer here, not an error with a type"
    )]
    #[must_use]
    pub fn from_str(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == name)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
