//! The limits on files and crates. Nothing is exempt; tests are not counted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::tree;

const FILE_LINES: usize = 600;
const CRATE_LINES: usize = 5_000;

/// Checks every crate of the workspace.
///
/// # Errors
/// When a file or a crate is too long.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut crates = vec![tree::at("benches"), tree::at("xtask")];
    for folder in ["cmd", "crates"] {
        crates.extend(entries(&tree::at(folder))?);
    }
    let (mut wrong, mut total) = (Vec::new(), 0);
    for home in &crates {
        total += measure(home, &mut wrong)?;
    }
    if !wrong.is_empty() {
        bail!("too long, split at a seam:\n  {}", wrong.join("\n  "));
    }
    println!("sizes: {} crates, {total} lines without tests", crates.len());
    Ok(())
}

/// Counts a crate's lines without its tests, and notes what is over a limit.
fn measure(home: &Path, wrong: &mut Vec<String>) -> anyhow::Result<usize> {
    let mut total = 0;
    let mut folders = vec![home.join("src")];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if name != "tests" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let lines = count(&path)?;
                total += lines;
                if lines > FILE_LINES {
                    wrong.push(format!("{}: {lines} lines, limit {FILE_LINES}", path.display()));
                }
            }
        }
    }
    if total > CRATE_LINES {
        wrong.push(format!("{}: {total} lines, limit {CRATE_LINES}", home.display()));
    }
    Ok(total)
}

fn count(path: &Path) -> anyhow::Result<usize> {
    let text = fs::read_to_string(path).with_context(|| format!("reading `{}`", path.display()))?;
    Ok(text.lines().count())
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::read_dir(folder)
        .with_context(|| format!("reading `{}`", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

#[cfg(test)]
mod tests;
