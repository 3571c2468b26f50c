//! The official server scenarios against an official server, directly and through the gateway.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::clients::{Everything, OPEN_POLICY, package};
use crate::gateway::Gateway;
use crate::tree;

/// Runs both and prints `proxied N/M of direct M`.
///
/// # Errors
/// When a scenario that passes directly does not pass through the gateway.
pub(crate) fn run(gateway: &Path) -> anyhow::Result<()> {
    let binary = tree::built(gateway)?;
    crate::setup::clients()?;
    let folder = tree::fresh_folder("conformance")?;
    let server = Everything::start("http", &folder)?;
    let upstream = json!({ "url": server.url, "transport": "http" });
    let policy = json!({ "policy_dir": tree::at(OPEN_POLICY) });
    let gateway = Gateway::start(&binary, &folder, &upstream, &policy)?;

    let direct = scenarios(&server.url, &folder.join("direct"))?;
    ensure!(!direct.is_empty(), "no scenario passes directly");
    let proxied = scenarios(&gateway.url("http"), &folder.join("proxied"))?;
    let lost: Vec<&str> = direct.difference(&proxied).map(String::as_str).collect();
    let kept = direct.len() - lost.len();
    println!("proxied {kept}/{} of direct {}", direct.len(), direct.len());
    ensure!(lost.is_empty(), "lost through the gateway: {}", lost.join(", "));
    gateway.stop()?;
    Ok(())
}

/// The names of the scenarios that a server passes.
fn scenarios(url: &str, results: &Path) -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new(tree::node())
        .arg(package("conformance"))
        .args(["server", "--url", url, "--output-dir"])
        .arg(results)
        .stdin(Stdio::null())
        .output()
        .context("cannot start the official suite; run `make setup`")?;
    Ok(passed(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads the summary: a line `✓ NAME: …` for each scenario that passed.
fn passed(summary: &str) -> BTreeSet<String> {
    let lines = summary.lines().filter_map(|line| line.strip_prefix("✓ "));
    lines.filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests;
