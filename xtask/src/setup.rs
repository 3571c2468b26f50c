//! Installs what the checks and tests need. Quick when all is there; what cannot be installed fails, with what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::process::{cargo, must};
use crate::tree;

const CARGO_DENY: &str = "0.20.2";

/// Installs everything.
///
/// # Errors
/// When something is missing that cannot be installed.
pub(crate) fn run() -> anyhow::Result<()> {
    let deny = cargo_deny()?;
    clients()?;
    println!("setup: {} and the official clients are there", deny.display());
    Ok(())
}

/// The real clients and servers: npm packages, two Python environments, and a program on the Rust SDK.
///
/// # Errors
/// When npm or Python is missing, or an installation fails.
pub(crate) fn clients() -> anyhow::Result<()> {
    npm()?;
    python("mcp1")?;
    python("mcp2")?;
    must(&mut cargo([
        "build",
        "--quiet",
        "--locked",
        "--manifest-path=scripts/rmcp/Cargo.toml",
        "--target-dir=target/rmcp",
    ]))
}

/// The `cargo-deny` of our version: one on the PATH, else our own.
///
/// # Errors
/// When it cannot be installed.
pub(crate) fn cargo_deny() -> anyhow::Result<PathBuf> {
    let own = tree::at("target/tools/bin/cargo-deny");
    for candidate in [own.as_path(), Path::new("cargo-deny")] {
        let version = says(candidate, "--version").unwrap_or_default();
        if version.split_whitespace().last() == Some(CARGO_DENY) {
            return Ok(candidate.to_owned());
        }
    }
    // Unoptimised: it builds in a fraction of the time, and runs for a second.
    must(
        cargo(["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug", "--force"])
            .args(["--root", "target/tools"]),
    )?;
    Ok(own)
}

fn npm() -> anyhow::Result<()> {
    let folder = tree::scripts();
    let stamp = Stamp::of(&folder.join("package-lock.json"), &folder.join("node_modules"))?;
    if !stamp.holds() {
        says(Path::new("npm"), "--version").context(
            "npm is needed; install Node.js with npm, for example `apt-get install npm`",
        )?;
        must(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
                .current_dir(&folder),
        )?;
        stamp.set()?;
    }
    let version = says(&tree::node(), "--version");
    version.context("the package `node` brought no Node.js for this machine")?;
    Ok(())
}

fn python(environment: &str) -> anyhow::Result<()> {
    let folder = tree::at(".venv").join(environment);
    let requirements = tree::clients().join(format!("requirements-{environment}.txt"));
    let stamp = Stamp::of(&requirements, &folder)?;
    if stamp.holds() {
        return Ok(());
    }
    says(Path::new("python3"), "--version")
        .context("python3 is needed, 3.10 or newer; for example `apt-get install python3-venv`")?;
    must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    must(
        Command::new(tree::python(environment))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements),
    )?;
    stamp.set()
}

/// The first line that a program prints with this argument.
fn says(program: &Path, argument: &str) -> anyhow::Result<String> {
    let output = Command::new(program)
        .arg(argument)
        .output()
        .with_context(|| format!("cannot start `{}`", program.display()))?;
    if !output.status.success() {
        bail!("`{} {argument}` failed: {}", program.display(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// Remembers, inside what was installed, the file that says what to install.
struct Stamp {
    path: PathBuf,
    content: String,
}

impl Stamp {
    fn of(source: &Path, installed: &Path) -> anyhow::Result<Self> {
        let content = std::fs::read_to_string(source)
            .with_context(|| format!("cannot read `{}`", source.display()))?;
        Ok(Self { path: installed.join(".installed-from"), content })
    }

    fn holds(&self) -> bool {
        std::fs::read_to_string(&self.path).is_ok_and(|old| old == self.content)
    }

    fn set(&self) -> anyhow::Result<()> {
        std::fs::write(&self.path, &self.content)
            .with_context(|| format!("cannot write `{}`", self.path.display()))
    }
}

#[cfg(test)]
mod tests;
