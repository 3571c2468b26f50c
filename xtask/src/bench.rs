//! The benchmarks in `benches`: times by criterion, instructions by valgrind.

use std::env;
use std::path::Path;

use anyhow::Context as _;

use crate::process::{cargo, must};
use crate::{setup, tree};

/// Runs every benchmark.
///
/// # Errors
/// When valgrind is missing, or a build or a benchmark fails.
pub(crate) fn run() -> anyhow::Result<()> {
    setup::says(Path::new("valgrind"), "--version").context(
        "valgrind is needed to count instructions; install it, for example `apt-get install valgrind`",
    )?;
    // The benchmark finds its runner on the PATH.
    setup::gungraun_runner()?;
    let inherited = env::var_os("PATH").unwrap_or_default();
    let tools = [tree::at("target/tools/bin")];
    let path = env::join_paths(tools.into_iter().chain(env::split_paths(&inherited)))?;
    must(cargo(["bench", "--package", "benches"]).env("PATH", path))
}
