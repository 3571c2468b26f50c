//! API documentation, and the files that are generated from the code.
//!
//! Each generated file has a test whose name contains `fresh`. It fails when the file is not what the code says, and
//! writes the file instead when `MCP_PROXY_UPDATE=1`.

use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::process::{cargo, must};

/// Runs those tests, in whichever crate they are.
const GENERATORS: [&str; 5] = ["test", "--quiet", "--workspace", "--", "fresh"];

/// Builds the documentation and writes every generated file anew.
///
/// # Errors
/// When either fails.
pub(crate) fn run() -> anyhow::Result<()> {
    must(cargo(["doc", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    must(cargo(GENERATORS).env("MCP_PROXY_UPDATE", "1"))
}

/// Checks that the generated files are what the code says.
///
/// # Errors
/// When one is not, or nothing was checked.
pub(crate) fn fresh() -> anyhow::Result<()> {
    println!("$ cargo {}", GENERATORS.join(" "));
    let output =
        cargo(GENERATORS).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    if !output.status.success() {
        bail!("generated files are stale; `make docs` writes them anew");
    }
    if passed(&said) == 0 {
        bail!("no freshness test ran");
    }
    Ok(())
}

/// How many tests passed, summed over cargo's closing lines.
fn passed(said: &str) -> usize {
    let lines = said.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    lines.filter_map(|line| line.split(' ').next()?.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests;
