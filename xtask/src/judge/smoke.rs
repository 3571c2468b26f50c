//! The reference server with the official clients and suites, directly and through the gateway.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Bench;
use crate::gateway::{Gateway, endpoint};
use crate::process::{Server, free_port, must};
use crate::{clients, conformance, tree};

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

/// Every suite, by the name that the harness knows it by.
const ALL: &str = "stable 2025-06-18 2025-11-25 2026-07-28";

/// Suites that also run with a server of the other era behind the gateway: suite and era of the server.
const CROSSED: [(&str, &str); 2] = [("2025-11-25", "modern"), ("2026-07-28", "legacy")];

/// Runs the SDK clients, the official suites, the client scenarios, and the suites with a server of the other era.
///
/// # Errors
/// When something that works directly does not work through the gateway.
pub(super) fn run(bench: &Bench) -> anyhow::Result<()> {
    let harness = Harness {
        home: bench.copy_of("conformance")?,
        folder: bench.fresh("conformance")?,
        binary: &bench.binary,
    };
    must(npm_install().current_dir(&harness.home))?;
    let direct = harness.reference("both")?;
    let gateway = harness.gateway("both", &direct)?;
    smoke(&harness, &direct, &gateway)?;
    let lost = harness.suites(ALL, &direct, &gateway)?;
    ensure!(lost.is_empty(), "lost through the gateway: {lost:?}");
    gateway.stop()?;
    harness.client_scenarios()?;
    for (suite, era) in CROSSED {
        println!("-- suite {suite}, {era} server behind the gateway");
        let behind = harness.reference(era)?;
        let gateway = harness.gateway(era, &behind)?;
        let lost = harness.suites(suite, &direct, &gateway)?;
        let excused = conformance::excused(&format!("judge {suite}"), era)?;
        let excused: BTreeSet<String> = excused.into_keys().collect();
        ensure!(lost == excused, "lost {lost:?}, but listed as impossible are {excused:?}");
        gateway.stop()?;
    }
    Ok(())
}

/// The SDK clients, with the reference server and with the gateway in front of it.
fn smoke(harness: &Harness<'_>, direct: &Reference, gateway: &Gateway) -> anyhow::Result<()> {
    let (mut alone, mut proxied) = (0, 0);
    for client in CLIENTS {
        let transport = client.1;
        if !answered(&harness.home, client, &direct.url(transport))? {
            continue;
        }
        alone += 1;
        proxied += usize::from(answered(&harness.home, client, &gateway.url(transport))?);
    }
    println!("smoke proxied {proxied}/{alone} of direct {alone}");
    ensure!(alone > 0, "no client of the harness works directly");
    ensure!(
        proxied == alone,
        "lost through the gateway; its log ends with:\n{}",
        gateway.log_end()
    );
    Ok(())
}

/// A running reference server.
struct Reference {
    _server: Server,
    port: u16,
}

impl Reference {
    fn url(&self, transport: &str) -> String {
        endpoint(self.port, transport)
    }
}

/// The copy of the shared harness, and the gateway that it judges.
struct Harness<'a> {
    home: PathBuf,
    folder: PathBuf,
    binary: &'a Path,
}

impl Harness<'_> {
    fn reference(&self, era: &str) -> anyhow::Result<Reference> {
        let port = free_port()?;
        let mut command = Command::new(tree::node());
        command.arg("reference-server.mjs").env("PORT", port.to_string()).env("ERA", era);
        command.current_dir(&self.home);
        let name = format!("reference-server-{era}");
        Ok(Reference { _server: Server::start(&name, &mut command, port, &self.folder)?, port })
    }

    fn gateway(&self, name: &str, to: &Reference) -> anyhow::Result<Gateway> {
        Gateway::start(
            self.binary,
            &self.folder.join(name),
            &json!({ "url": to.url("http"), "transport": "http" }),
            &json!({ "policy_dir": tree::at(clients::OPEN_POLICY) }),
        )
    }

    /// Runs official suites against `direct` and through the gateway. Returns the scenarios that are lost there.
    fn suites(
        &self,
        suites: &str,
        direct: &Reference,
        gateway: &Gateway,
    ) -> anyhow::Result<BTreeSet<String>> {
        let output = Command::new(tree::node())
            .arg("run.mjs")
            .args([direct.url("http"), gateway.url("http")])
            .env("SUITES", suites)
            .env("OUT", self.folder.join("results"))
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start the official suites")?;
        let said = String::from_utf8_lossy(&output.stdout);
        print!("{said}");
        let lost = lost(&said);
        // It ends with 0 when nothing is lost and with 1 when something is; anything else is no result.
        let expected = i32::from(!lost.is_empty());
        ensure!(output.status.code() == Some(expected), "the official suites: {}", output.status);
        Ok(lost)
    }

    /// Runs the official client scenarios, each with a gateway of its own.
    fn client_scenarios(&self) -> anyhow::Result<()> {
        let gateway = format!(
            "env MCP_SERVER_LISTEN_PORT={{port}} '{}' run --upstream {{url}}",
            self.binary.display()
        );
        let status = Command::new("bash")
            .args(["run-client.sh", &gateway])
            .env("NODE", tree::node())
            .env("GATEWAY_PATH", "/mcp")
            .env("MCP_POLICY_POLICY_DIR", tree::at(clients::OPEN_POLICY))
            .env("MCP_AUDIT_DB_PATH", self.folder.join("clients.db"))
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .status()
            .context("cannot start bash")?;
        ensure!(status.success(), "client scenarios are lost through the gateway ({status})");
        Ok(())
    }
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

/// The scored scenarios that the harness marks as lost; a `*` follows the name of one that is not scored.
fn lost(said: &str) -> BTreeSet<String> {
    let marked = said.lines().filter(|line| line.contains("<-- lost through the proxy"));
    let names = marked.filter(|line| !line.contains(" * "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
