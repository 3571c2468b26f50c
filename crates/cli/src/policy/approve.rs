//! `mcp-proxy policy approve`: lets a weaker set of policies be served that the gateway holds back.

use std::path::PathBuf;

use anyhow::Context as _;
use gateway::ControlFolder;

use crate::{Exit, config, output};

/// Options of `policy approve`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy approve 3f9c01d2a4b7\n\n\
    With `policy.reload.hold_weaker`, a changed set that allows what the present one denies is held back. The log, \
    `/ready` and `/api/v1/policy` name its revision. The approval is a file beside the audit log, which the gateway \
    looks for; it holds for that revision alone.")]
pub(crate) struct ApproveArgs {
    /// The revision that is held, or at least its first 12 digits
    revision: String,

    /// The configuration file of the gateway; without one, `MCP_*` and the defaults say where its audit log is
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn execute(args: &ApproveArgs) -> anyhow::Result<Exit> {
    let folder = ControlFolder::of(&config::load(args.config.as_deref())?.settings);
    let place = folder.path().display().to_string();
    folder.approve(&args.revision).with_context(|| format!("cannot approve in `{place}`"))?;
    output::note(&format!("approved {}; a gateway that holds it serves it now", args.revision));
    Ok(Exit::Done)
}
