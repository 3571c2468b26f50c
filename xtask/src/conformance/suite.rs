//! The pinned official suites, and what a run of one says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};

use crate::tree;

/// The scenarios that passed, each with how many of its checks did.
pub(super) type Passed = BTreeMap<String, usize>;

/// Server scenarios of one revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suite {
    /// Its name in our output.
    pub(super) name: &'static str,
    package: &'static str,
    args: &'static [&'static str],
}

/// Every suite of server scenarios.
pub(super) const SUITES: [Suite; 4] = [
    Suite { name: "stable", package: "conformance-stable", args: &[] },
    Suite {
        name: "2025-06-18",
        package: "conformance-next",
        args: &["--suite", "all", "--spec-version", "2025-06-18"],
    },
    Suite {
        name: "2025-11-25",
        package: "conformance-next",
        args: &["--requirements", "2025-11-25"],
    },
    Suite {
        name: "2026-07-28",
        package: "conformance-next",
        args: &["--requirements", "2026-07-28"],
    },
];

impl Suite {
    /// Runs it against the server at `url`; the raw results go to `results`.
    ///
    /// # Errors
    /// When the suite does not start.
    pub(super) fn run(&self, url: &str, results: &Path) -> anyhow::Result<Passed> {
        let mut command = runner(self.package);
        command.args(["server", "--url", url]).args(self.args).arg("--output-dir").arg(results);
        let output = run(&mut command)?;
        Ok(passed(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// The client scenarios that need no authorization, by revision.
pub(super) const CLIENT_SCENARIOS: [(&str, &str); 13] = [
    ("2025-11-25", "initialize"),
    ("2025-11-25", "tools_call"),
    ("2025-11-25", "elicitation-sep1034-client-defaults"),
    ("2025-11-25", "sse-retry"),
    ("2025-11-25", "json-schema-2020-12-preservation"),
    ("2026-07-28", "tools_call"),
    ("2026-07-28", "request-metadata"),
    ("2026-07-28", "sep-2322-client-request-state"),
    ("2026-07-28", "http-standard-headers"),
    ("2026-07-28", "http-custom-headers"),
    ("2026-07-28", "http-invalid-tool-headers"),
    ("2026-07-28", "json-schema-ref-no-deref"),
    ("2026-07-28", "json-schema-2020-12-preservation"),
];

/// Runs every client scenario with our client, through the gateway that `environment` describes to it, if any.
///
/// # Errors
/// When the suite does not start.
pub(super) fn clients(environment: &[(&str, String)], results: &Path) -> anyhow::Result<Passed> {
    let (node, client) = (tree::node(), tree::at("scripts/conformance/client.mjs"));
    let client = format!("{} {}", node.display(), client.display());
    let mut all = Passed::new();
    for (revision, scenario) in CLIENT_SCENARIOS {
        let output = run(runner("conformance-next")
            .args(["client", "--command", &client, "--scenario", scenario])
            .args(["--spec-version", revision, "--output-dir"])
            .arg(results)
            .envs(environment.iter().map(|(name, value)| (name, value))))?;
        // The summary goes to either, as the scenario's own output does.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if let (true, Some(checks)) = (output.status.success(), checks(&said)) {
            all.insert(format!("{revision} {scenario}"), checks);
        }
    }
    Ok(all)
}

fn runner(package: &str) -> Command {
    let mut command = Command::new(tree::node());
    command.arg(tree::scripts().join("node_modules").join(package).join("dist/index.js"));
    command
}

fn run(command: &mut Command) -> anyhow::Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot start the official suite; run `make setup`")?;
    ensure!(output.status.code().is_some(), "the official suite was killed: {}", output.status);
    Ok(output)
}

/// Reads the summary of server scenarios: a line `✓ NAME: N passed, 0 failed` for each that passed.
fn passed(summary: &str) -> Passed {
    let scenario = |line: &str| {
        let (name, rest) = line.strip_prefix("✓ ")?.split_once(": ")?;
        let checks = rest.split_once(" passed")?.0.parse().ok()?;
        (checks > 0).then(|| (name.to_owned(), checks))
    };
    summary.lines().filter_map(scenario).collect()
}

/// Reads the summary of one client scenario: `Passed: N/N, 0 failed`. `None` when nothing was checked.
fn checks(summary: &str) -> Option<usize> {
    let passed = summary.lines().rev().find_map(|line| line.strip_prefix("Passed: "))?;
    let checks = passed.split_once('/')?.0.parse().ok()?;
    (checks > 0).then_some(checks)
}

#[cfg(test)]
mod tests;
