//! Every test of the project.

use std::path::Path;
use std::process::Command;

use crate::process::{cargo, must};
use crate::{conformance, real_clients, tree};

/// Runs cargo's tests, the tests of the shipped policies, the real clients, and the official suites.
///
/// # Errors
/// At the first that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    must(&mut cargo(["build", "--bin", "mcp-proxy"]))?;
    must(&mut cargo(["test", "--workspace"]))?;
    let binary = Path::new("target/debug/mcp-proxy");
    must(
        Command::new(tree::built(binary)?)
            .args(["policy", "test", "policies"])
            .current_dir(tree::root()),
    )?;
    real_clients::run(binary)?;
    conformance::run(binary)
}
