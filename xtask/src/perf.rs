//! CPU time a request beside a bare pass-through, with our own load generator in `benches`.

use std::process::Command;

use crate::process::{cargo, must};
use crate::tree;

/// Builds everything in release and measures.
///
/// # Errors
/// When a build fails, an answer is wrong, or the audit log does not hold one row a request.
pub(crate) fn run() -> anyhow::Result<()> {
    must(&mut cargo(["build", "--release", "--bin", "mcp-proxy"]))?;
    must(&mut cargo(["build", "--release", "--package", "benches", "--bins"]))?;
    must(
        Command::new("target/release/perf")
            .args(["--gateway", "target/release/mcp-proxy", "--policies", "policies"])
            .arg("--audit-check")
            .current_dir(tree::root()),
    )
}
