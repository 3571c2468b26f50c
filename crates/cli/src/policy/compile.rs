//! `mcp-proxy policy compile`: what a JSON policy becomes.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{Exit, output};

/// Options of `policy compile`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy compile policies/json/office.json\n  \
    mcp-proxy policy compile office.json -o policies/office.rego\n\n\
    The gateway compiles `policies/json/*.json` by itself; this shows the Rego. See docs/json-policies.md.")]
pub(crate) struct CompileArgs {
    /// The JSON policy
    file: PathBuf,

    /// Write the Rego there instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn execute(args: &CompileArgs) -> anyhow::Result<Exit> {
    let name = args.file.display().to_string();
    let text =
        std::fs::read_to_string(&args.file).with_context(|| format!("cannot read `{name}`"))?;
    let compiled = json_policy::compile(&name, &text)?;
    match &args.output {
        None => output::data(&compiled.rego)?,
        Some(path) => std::fs::write(path, compiled.rego)
            .with_context(|| format!("cannot write `{}`", path.display()))?,
    }
    Ok(Exit::Done)
}
