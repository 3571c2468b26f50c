//! Installs what the checks and tests need. Quick when all is there; what cannot be installed fails, with what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::process::{cargo, must};
use crate::tree;

const CARGO_DENY: &str = "0.20.2";
/// The version of the library, which takes no other.
const GUNGRAUN_RUNNER: &str = "0.19.4";

/// Installs everything.
///
/// # Errors
/// When something is missing that cannot be installed.
pub(crate) fn run() -> anyhow::Result<()> {
    let (deny, runner) = (cargo_deny()?, gungraun_runner()?);
    clients()?;
    println!("setup: {}, {} and the official clients are there", deny.display(), runner.display());
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

/// The `cargo-deny` of our version.
///
/// # Errors
/// When it cannot be installed.
pub(crate) fn cargo_deny() -> anyhow::Result<PathBuf> {
    tool("cargo-deny", CARGO_DENY)
}

/// What counts instructions for `benches`, with valgrind.
///
/// # Errors
/// When it cannot be installed.
pub(crate) fn gungraun_runner() -> anyhow::Result<PathBuf> {
    tool("gungraun-runner", GUNGRAUN_RUNNER)
}

/// A program from the registry in our version: one on the PATH, else our own.
fn tool(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let own = tree::at("target/tools/bin").join(name);
    for candidate in [own.as_path(), Path::new(name)] {
        let said = says(candidate, "--version").unwrap_or_default();
        if said.split_whitespace().last() == Some(version) {
            return Ok(candidate.to_owned());
        }
    }
    // Unoptimised: it builds in a fraction of the time, and does little itself.
    must(
        cargo(["install", name, "--version", version, "--locked", "--debug", "--force"])
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
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn says(program: &Path, argument: &str) -> anyhow::Result<String> {
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
