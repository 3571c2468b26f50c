//! `mcp-proxy policy …`: policies without a gateway, with the flags of OPA where OPA has the thing.

mod approve;
mod bench;
mod bundle;
mod check;
mod compile;
mod eval;
mod explain;
mod learn;
mod question;
mod replay;
mod steps;
mod test;

use std::path::{Path, PathBuf};

use policy::Sources;

use crate::Exit;

/// The commands below `policy`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say everything that is wrong with a folder
    Check(check::CheckArgs),
    /// Run the tests of a folder
    Test(test::TestArgs),
    /// Say what the gateway would decide on an input
    Eval(eval::EvalArgs),
    /// Say why a recorded message was decided as it was, or what the rules read
    Explain(explain::ExplainArgs),
    /// Measure how long a decision takes
    Bench(bench::BenchArgs),
    /// Print the Rego that a JSON policy becomes
    Compile(compile::CompileArgs),
    /// Say what other policies would have decided
    Replay(replay::ReplayArgs),
    /// Pack a folder into a bundle
    Bundle(bundle::BundleArgs),
    /// Sign a bundle
    Sign(bundle::SignArgs),
    /// Make a least-privilege policy of what is in the log
    Learn(learn::LearnArgs),
    /// Let a weaker set be served that the gateway holds back
    Approve(approve::ApproveArgs),
}

pub(crate) fn execute(command: PolicyCommand) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::Check(args) => check::execute(&args),
        PolicyCommand::Compile(args) => compile::execute(&args),
        PolicyCommand::Approve(args) => approve::execute(&args),
        PolicyCommand::Replay(args) => replay::execute(&args),
        PolicyCommand::Test(args) => test::execute(&args),
        PolicyCommand::Eval(args) => eval::execute(&args),
        PolicyCommand::Explain(args) => explain::execute(&args),
        PolicyCommand::Bundle(args) => bundle::execute(&args),
        PolicyCommand::Sign(args) => bundle::sign(&args),
        PolicyCommand::Learn(args) => learn::execute(&args),
        PolicyCommand::Bench(args) => bench::execute(&args),
    }
}

/// The policies and data at these paths.
///
/// # Errors
///
/// What cannot be read or compiled is named with its file.
fn sources(paths: &[PathBuf]) -> anyhow::Result<Sources> {
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    Ok(Sources::from_paths(&paths)?)
}
