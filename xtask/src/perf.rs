//! CPU time, memory and crossed answers beside a bare pass-through, with the tools in `benches`.

use std::process::Command;

use crate::process::{cargo, must};
use crate::tree;

/// One run of `perf` each: what it measures, and further arguments.
const MEASUREMENTS: [&[&str]; 6] = [
    &["calls", "--audit-check"],
    &["bridge"],
    &["bridge", "--bare"],
    &["idle"],
    &["crossed"],
    &["reload"],
];

/// Builds everything in release and measures.
///
/// # Errors
/// When a build fails, an answer is wrong or crossed, a stream is lost, or the audit log does not
/// hold one row a request.
pub(crate) fn run() -> anyhow::Result<()> {
    must(&mut cargo(["build", "--release", "--bin", "mcp-proxy"]))?;
    must(&mut cargo(["build", "--release", "--package", "benches", "--bins"]))?;
    for measurement in MEASUREMENTS {
        must(
            Command::new("target/release/perf")
                .args(measurement)
                .args(["--gateway", "target/release/mcp-proxy", "--policies", "policies"])
                .current_dir(tree::root()),
        )?;
    }
    Ok(())
}
