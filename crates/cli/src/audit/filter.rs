//! The conditions of `audit query` and `audit tail`.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use audit::Filter;
use domain::{Clock, Outcome, Span};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Which rows are asked for. All conditions that are given must hold.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Conditions")]
pub(super) struct FilterArgs {
    /// Identifier of the agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Public name of the session
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Method, as `tools/call`
    #[arg(long)]
    method: Option<String>,

    /// Name of the tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,

    /// Configured name of the server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// What policy said; `error` when it never came to a decision
    #[arg(long, value_enum)]
    decision: Option<Decision>,

    /// Part of the name of the rule that decided
    #[arg(long, value_name = "TEXT")]
    rule: Option<String>,

    /// Part of the reasons
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Beginning of the request id or of the decision id
    #[arg(long, value_name = "ID", visible_aliases = ["request-id", "decision-id"])]
    id: Option<String>,

    /// Received since: so long ago (`30m`, `2h`, `7d`), or a date or time (UTC unless it says otherwise)
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,

    /// Received before; written like --since
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

/// [`Outcome`] as it is written on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Decision {
    Allow,
    Deny,
    WouldDeny,
    Error,
}

/// A point in time, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Ago(Duration),
    At(SystemTime),
}

impl FromStr for Moment {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if let Ok(span) = text.parse::<Span>() {
            return Ok(Self::Ago(span.duration()));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at.into()));
        }
        let at = text.parse::<DateTime>().ok().and_then(|at| at.to_zoned(TimeZone::UTC).ok());
        at.map(|at| Self::At(at.timestamp().into()))
            .context("write for example `30m`, `2h`, `2026-11-20` or `2026-11-20T10:40:00Z`")
    }
}

impl Moment {
    fn resolve(self, clock: &dyn Clock) -> SystemTime {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => clock.wall().checked_sub(span).unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

impl FilterArgs {
    /// The filter for the newest `limit` rows.
    pub(super) fn resolve(&self, clock: &dyn Clock, limit: u32) -> Filter {
        let args = self.clone();
        Filter {
            since: args.since.map(|moment| moment.resolve(clock)),
            until: args.until.map(|moment| moment.resolve(clock)),
            agent: args.agent,
            session: args.session,
            method: args.method,
            tool: args.tool,
            server: args.server,
            decision: args.decision.map(|decision| match decision {
                Decision::Allow => Outcome::Allow,
                Decision::Deny => Outcome::Deny,
                Decision::WouldDeny => Outcome::WouldDeny,
                Decision::Error => Outcome::Error,
            }),
            rule: args.rule,
            reason: args.reason,
            id: args.id,
            limit,
            descending: true,
        }
    }
}

#[cfg(test)]
mod tests;
