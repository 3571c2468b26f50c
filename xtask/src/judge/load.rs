//! The shared load generator, which checks every answer: direct, pass-through, pass-through that parses, gateway.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Bench;
use crate::gateway::Gateway;
use crate::process::{Server, must};
use crate::tree;

/// Everything on one CPU, which makes CPU time repeatable; enough rounds to see the order, not a percent.
const ROUNDS: [&str; 8] = ["--floor", "hyper", "--pin", "1", "--rounds", "5", "--duration", "1.5"];

const UPSTREAM_PORT: u16 = 19_000;

/// Builds the tools, runs them, shows their table.
///
/// # Errors
/// When any answer is wrong. No figure fails it.
pub(super) fn run(bench: &Bench) -> anyhow::Result<()> {
    let tools = bench.copy_of("perf")?;
    must(Command::new("cargo").args(["build", "--release", "--quiet"]).current_dir(&tools))?;
    let folder = bench.fresh("perf")?;
    let upstream = start(&tools, &folder, UPSTREAM_PORT, "fake-upstream", &["--threads", "1"])?;
    let through = |port, mode| {
        let args = ["--mode", mode, "--upstream", "127.0.0.1:19000", "--threads", "2"];
        start(&tools, &folder, port, "passthrough", &args)
    };
    let hyper = through(19_002, "http")?;
    let inspect = through(19_003, "inspect")?;
    let gateway = Gateway::start(
        &bench.binary,
        &folder,
        &json!({ "url": "http://127.0.0.1:19000/mcp", "transport": "http" }),
        // Audit mode: the shipped policies decide, and no answer is missing.
        &json!({ "mode": "audit", "policy_dir": tree::at("policies") }),
    )?;

    let target = |name, port, id| format!("{name}=http://127.0.0.1:{port}/mcp,pid={id}");
    let status = Command::new("python3")
        .arg(tools.join("run.py"))
        .args(["--up", &upstream.id().to_string()])
        .args(ROUNDS)
        .arg(format!("direct=http://127.0.0.1:{UPSTREAM_PORT}/mcp"))
        .arg(target("hyper", 19_002, hyper.id()))
        .arg(target("inspect", 19_003, inspect.id()))
        .arg(target("ours", gateway.port(), gateway.id()))
        .status()
        .context("cannot start python3")?;
    ensure!(
        status.success(),
        "wrong answers under load; the gateway's log ends with:\n{}",
        gateway.log_end()
    );
    gateway.stop()?;
    println!("perf: every answer was right");
    Ok(())
}

fn start(
    tools: &Path,
    folder: &Path,
    port: u16,
    tool: &str,
    args: &[&str],
) -> anyhow::Result<Server> {
    let mut command = Command::new(tools.join("target/release").join(tool));
    command.args(["--listen", &format!("127.0.0.1:{port}")]).args(args);
    Server::start(&format!("{tool}-{port}"), &mut command, port, folder)
}
