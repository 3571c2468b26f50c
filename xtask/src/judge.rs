//! The independent judges: the corpus and tools that lie beside the work tree, against the gateway.
//!
//! They are no part of the project, which builds and tests without them. They run in copies below `target/judge`.

mod corpus;
mod load;
mod smoke;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::process::{cargo, must};
use crate::tree;

/// One judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// JSON that must be refused, and JSON that must not
    Corpus,
    /// CPU time beside a bare pass-through
    Perf,
    /// Reference server and official suites
    Conformance,
}

/// Runs these judges, or all of them.
///
/// # Errors
/// When the shared folder is missing or a judge finds against the gateway.
pub(crate) fn run(shared: &Path, gateway: Option<&Path>, parts: &[Part]) -> anyhow::Result<()> {
    let shared = tree::at(shared);
    if !shared.join("tools").is_dir() {
        bail!("no `{}/tools`; set MCP_PROXY_SHARED to the shared folder", shared.display());
    }
    crate::setup::clients()?;
    let bench = Bench { binary: binary(gateway)?, folder: tree::at("target/judge"), shared };
    let parts = if parts.is_empty() { Part::value_variants() } else { parts };
    for part in parts {
        match part {
            Part::Corpus => corpus::run(&bench),
            Part::Perf => load::run(&bench),
            Part::Conformance => smoke::run(&bench),
        }?;
    }
    Ok(())
}

fn binary(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return tree::built(given);
    }
    must(&mut cargo(["build", "--profile", "quick", "--bin", "mcp-proxy"]))?;
    tree::built(Path::new("target/quick/mcp-proxy"))
}

/// What every judge needs.
struct Bench {
    /// The gateway.
    binary: PathBuf,
    /// Where copies and logs go.
    folder: PathBuf,
    /// The folder with the tools and the corpus.
    shared: PathBuf,
}

impl Bench {
    /// A copy of one of the shared tools. What an earlier run built or installed in it stays.
    fn copy_of(&self, tool: &str) -> anyhow::Result<PathBuf> {
        let to = self.folder.join(tool);
        copy(&self.shared.join("tools").join(tool), &to)?;
        Ok(to)
    }

    /// An empty folder for what one run leaves.
    fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        tree::fresh_folder(&format!("judge/run-{name}"))
    }
}

/// Copies a folder, and makes the copies writable, which their originals need not be.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    let entries =
        std::fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
            continue;
        }
        let bytes = std::fs::read(&source)
            .with_context(|| format!("cannot read `{}`", source.display()))?;
        // An unchanged file keeps its time, so that an unchanged tool is not built again.
        if std::fs::read(&target).is_ok_and(|old| old == bytes) {
            continue;
        }
        std::fs::write(&target, bytes)
            .with_context(|| format!("cannot write `{}`", target.display()))?;
        make_writable(&source, &target)?;
    }
    Ok(())
}

fn make_writable(source: &Path, target: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = source.metadata()?.permissions();
    permissions.set_mode(permissions.mode() | 0o200);
    Ok(std::fs::set_permissions(target, permissions)?)
}

#[cfg(test)]
mod tests;
