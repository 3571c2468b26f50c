//! What CI looks at before the tests.

use std::process::Command;

use crate::process::{cargo, must};
use crate::{docs, layers, setup, sizes, tree};

/// Runs every check, the quick ones first.
///
/// # Errors
/// At the first that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    must(&mut cargo(["fmt", "--all", "--check"]))?;
    layers::run()?;
    sizes::run()?;
    let deny = setup::cargo_deny()?;
    must(
        Command::new(deny).args(["check", "bans", "licenses", "sources"]).current_dir(tree::root()),
    )?;
    must(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    must(cargo(["doc", "--no-deps", "--workspace", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    docs::fresh()
}
