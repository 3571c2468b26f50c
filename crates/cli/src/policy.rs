//! `mcp-proxy policy test|eval`: policies without a gateway, with the flags of OPA where OPA has the thing.

mod eval;
mod test;

use crate::Exit;

/// The commands below `policy`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyCommand {
    /// Run the tests of a folder
    Test(test::TestArgs),
    /// Say what the gateway would decide on an input
    Eval(eval::EvalArgs),
}

pub(crate) fn execute(command: PolicyCommand) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::Test(args) => test::execute(&args),
        PolicyCommand::Eval(args) => eval::execute(&args),
    }
}
