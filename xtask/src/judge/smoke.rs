//! The reference server with the official clients and suites, directly and through the gateway.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Bench;
use crate::gateway::{Gateway, endpoint};
use crate::process::{Server, free_port, must};
use crate::{clients, tree};

/// A client of the harness: its runtime, and what comes before and after transport and address.
const CLIENTS: [(&str, &str, &str, &[&str]); 10] = [
    ("v1", "http", "node", &[]),
    ("v1", "sse", "node", &[]),
    ("v2", "http", "node", &["auto"]),
    ("v2", "http", "node", &["legacy"]),
    ("v2", "sse", "node", &[]),
    ("mcp1", "http", "python", &[]),
    ("mcp1", "sse", "python", &[]),
    ("mcp2", "http", "python", &["--mode", "auto"]),
    ("mcp2", "http", "python", &["--mode", "legacy"]),
    ("mcp2", "sse", "python", &[]),
];

/// The suites of revisions that the gateway speaks.
const SUITES: &str = "2025-06-18 2025-11-25";

/// Runs the clients, then the suites, whose result is only shown.
///
/// # Errors
/// When a client that works directly does not work through the gateway.
pub(super) fn run(bench: &Bench) -> anyhow::Result<()> {
    let harness = bench.copy_of("conformance")?;
    must(npm_install().current_dir(&harness))?;
    let folder = bench.fresh("conformance")?;
    let port = free_port()?;
    let mut command = Command::new(tree::node());
    command.arg("reference-server.mjs").env("PORT", port.to_string()).current_dir(&harness);
    let _reference = Server::start("reference-server", &mut command, port, &folder)?;
    let gateway = Gateway::start(
        &bench.binary,
        &folder,
        &json!({ "url": endpoint(port, "http"), "transport": "http" }),
        &json!({ "policy_dir": tree::at(clients::OPEN_POLICY) }),
    )?;

    let (mut direct, mut proxied) = (0, 0);
    for client in CLIENTS {
        let transport = client.1;
        if !answered(&harness, client, &endpoint(port, transport))? {
            continue;
        }
        direct += 1;
        proxied += usize::from(answered(&harness, client, &gateway.url(transport))?);
    }
    println!("smoke proxied {proxied}/{direct} of direct {direct}");
    ensure!(direct > 0, "no client of the harness works directly");
    ensure!(
        proxied == direct,
        "lost through the gateway; its log ends with:\n{}",
        gateway.log_end()
    );

    suites(&harness, &endpoint(port, "http"), &gateway.url("http"))?;
    gateway.stop()?;
    Ok(())
}

fn npm_install() -> Command {
    let mut command = Command::new("npm");
    command.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    command
}

fn answered(
    harness: &Path,
    (sdk, transport, runtime, extra): (&str, &str, &str, &[&str]),
    url: &str,
) -> anyhow::Result<bool> {
    let mut command = if runtime == "node" {
        let mut command = Command::new(tree::node());
        command.args(["smoke.mjs", sdk]);
        command
    } else {
        let mut command = Command::new(tree::python(sdk));
        command.arg("smoke.py");
        command
    };
    let output = command
        .args([transport, url])
        .args(extra)
        .current_dir(harness)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {runtime}; run `make setup`"))?;
    let verdict = if output.status.success() { "ok  " } else { "FAIL" };
    println!("{verdict}  {url}  {}", String::from_utf8_lossy(&output.stdout).trim());
    Ok(output.status.success())
}

/// Shows the result of the official suites; a scenario lost there is work to do, not a broken build.
fn suites(harness: &Path, direct: &str, proxied: &str) -> anyhow::Result<()> {
    let out: PathBuf = harness.join("results");
    let status = Command::new(tree::node())
        .arg("run.mjs")
        .args([direct, proxied])
        .env("SUITES", SUITES)
        .env("OUT", out)
        .current_dir(harness)
        .stdin(Stdio::null())
        .status()
        .context("cannot start the official suites")?;
    println!("official suites {SUITES}: {status} (shown, not judged)");
    Ok(())
}
