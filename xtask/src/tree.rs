//! Where things are in the work tree.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// A path below the root.
pub(crate) fn at(relative: impl AsRef<Path>) -> PathBuf {
    root().join(relative)
}

/// The folder where npm installs the official clients, servers and suites.
pub(crate) fn scripts() -> PathBuf {
    at("scripts")
}

/// The folder of our scripts for the official clients and servers.
pub(crate) fn clients() -> PathBuf {
    at("scripts/real-clients")
}

/// Node of the version that the clients need, as `setup` installs it.
pub(crate) fn node() -> PathBuf {
    scripts().join("node_modules/.bin/node")
}

/// Python of a virtual environment of `setup`: `mcp1` or `mcp2`.
pub(crate) fn python(environment: &str) -> PathBuf {
    at(".venv").join(environment).join("bin/python")
}

/// An empty folder below `target`.
///
/// # Errors
/// When the old one cannot be removed, or the new one not be made.
pub(crate) fn fresh_folder(relative: &str) -> anyhow::Result<PathBuf> {
    let folder = at("target").join(relative);
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => bail!("cannot remove `{}`: {e}", folder.display()),
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder)
}

/// Fails when a binary that a task needs was not built.
///
/// # Errors
/// When there is no such file.
pub(crate) fn built(binary: &Path) -> anyhow::Result<PathBuf> {
    let path = at(binary);
    if !path.is_file() {
        bail!("no `{}`; build it first, for example with `make build`", path.display());
    }
    Ok(path)
}
