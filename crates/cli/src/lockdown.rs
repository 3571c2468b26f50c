//! `mcp-proxy lockdown`: denies everything but ping, at once.

use std::path::PathBuf;

use anyhow::Context as _;
use gateway::ControlFolder;

use crate::{Exit, config, output};

/// Options of `lockdown`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy lockdown on --config config/proxy.yaml\n  \
    mcp-proxy lockdown status\n\n\
    The lockdown is a file beside the audit log. Every gateway that writes that log, served or wrapped, looks for it: \
    it holds at once, and also after a restart, until it is switched off. Each gateway records it in its log.\n\
    `status` exits 0 when everything is served, 1 when it is not.")]
pub(crate) struct LockdownArgs {
    /// What to do
    #[arg(value_enum)]
    action: Action,

    /// The configuration file of the gateway; without one, `MCP_*` and the defaults say where its audit log is
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Deny everything but ping
    On,
    /// Let policy decide again
    Off,
    /// Say which of the two holds
    Status,
}

pub(crate) fn execute(args: &LockdownArgs) -> anyhow::Result<Exit> {
    act(&ControlFolder::of(&config::load(args.config.as_deref())?.settings), args.action)
}

fn act(folder: &ControlFolder, action: Action) -> anyhow::Result<Exit> {
    let place = folder.path().display().to_string();
    let cannot = || format!("cannot reach the control folder `{place}`");
    let state = |on| if on { "on: everything but ping is denied" } else { "off: policy decides" };
    if action == Action::Status {
        let on = folder.is_locked_down().with_context(cannot)?;
        output::line(&format!("lockdown {}", state(on)))?;
        return Ok(if on { Exit::No } else { Exit::Done });
    }
    let on = action == Action::On;
    let changed = folder.set_lockdown(on).with_context(cannot)?;
    let already = if changed { "" } else { "already " };
    output::note(&format!("lockdown {already}{} (control folder `{place}`)", state(on)));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
