//! The official suites, directly and through the gateway.
//!
//! A scenario that passes directly must pass through the gateway: with a server that speaks its revision, and, where
//! `exceptions.txt` names no sentence that forbids it, with a server of the other era too. Our server and our client
//! are in `scripts/conformance`.

mod suite;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, ensure};
use serde_json::json;

use crate::clients::OPEN_POLICY;
use crate::gateway::{Gateway, endpoint};
use crate::process::{Server, free_port};
use crate::tree;
use suite::{Passed, SUITES, Suite};
use verdict::{Exceptions, Rule, Score};

/// Suites that also run with a server of another era or transport than theirs: suite, era and transport of the server.
const CROSSED: [(&str, &str, &str); 4] = [
    ("2025-11-25", "legacy", "sse"),
    ("2025-11-25", "modern", "http"),
    ("2026-07-28", "legacy", "http"),
    ("2026-07-28", "legacy", "sse"),
];

/// Runs everything and prints one line a run, then `proxied N/M of direct M`.
///
/// # Errors
/// When a scenario is lost through the gateway, after all have run.
pub(crate) fn run(gateway: &Path) -> anyhow::Result<()> {
    crate::setup::clients()?;
    let bench = Bench { binary: tree::built(gateway)?, folder: tree::fresh_folder("conformance")? };
    let mut report = Report::default();
    let both = bench.reference("both")?;
    let between = bench.gateway("same-era", &both, "http")?;
    let mut baselines = Vec::new();
    for suite in SUITES {
        let direct = suite.run(&both.url("http"), &bench.folder.join("direct"))?;
        ensure!(!direct.is_empty(), "no scenario of {} passes directly", suite.name);
        let proxied = suite.run(&between.url("http"), &bench.folder.join("proxied"))?;
        report.same(suite.name, &direct, &proxied, &excused(suite.name, "both")?);
        baselines.push((suite, direct));
    }
    between.stop()?;
    clients(&bench, &mut report)?;
    for (name, era, transport) in CROSSED {
        let (suite, direct) =
            baselines.iter().find(|(suite, _)| suite.name == name).context("no such suite")?;
        crossed(&bench, &mut report, (suite, direct), era, transport)?;
    }
    report.close()
}

/// The client scenarios: the gateway stands between our client and the server of the scenario.
fn clients(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let command = json!([bench.binary, "run", "--upstream", "{url}"]).to_string();
    let policy = tree::at(OPEN_POLICY).display().to_string();
    let audit = bench.folder.join("clients.db").display().to_string();
    let between =
        [("GATEWAY", command), ("MCP_POLICY_POLICY_DIR", policy), ("MCP_AUDIT_DB_PATH", audit)];
    // Each scenario has a server and a gateway of its own, so both sides can run at once.
    let (direct, proxied) = std::thread::scope(|scope| {
        let direct = scope.spawn(|| suite::clients(&[], &bench.folder.join("direct")));
        let proxied = suite::clients(&between, &bench.folder.join("proxied"));
        (direct.join(), proxied)
    });
    let direct = direct.map_err(|_| anyhow!("the run without the gateway panicked"))??;
    let all = suite::CLIENT_SCENARIOS.len();
    ensure!(direct.len() == all, "only {} of {all} client scenarios pass directly", direct.len());
    report.same("clients", &direct, &proxied?, &Exceptions::new());
    Ok(())
}

/// A suite through the gateway to another server, against what passes with one that speaks its revision.
fn crossed(
    bench: &Bench,
    report: &mut Report,
    (suite, direct): (&Suite, &Passed),
    era: &str,
    transport: &str,
) -> anyhow::Result<()> {
    let what = format!("{} to a {era} server over {transport}", suite.name);
    let server = bench.reference(era)?;
    let between =
        bench.gateway(&format!("{}-{era}-{transport}", suite.name), &server, transport)?;
    let proxied = suite.run(&between.url("http"), &bench.folder.join("crossed"))?;
    let excused = excused(suite.name, era)?;
    report.note(&what, Rule::Passes, (direct, &proxied), &excused);
    between.stop()?;
    Ok(())
}

/// What `suite` may lose with a server of `era`, with the sentence of the specification that forbids it.
///
/// # Errors
/// When the list cannot be read.
pub(crate) fn excused(suite: &str, era: &str) -> anyhow::Result<Exceptions> {
    verdict::exceptions(&tree::at("scripts/conformance/exceptions.txt"), suite, era)
}

/// Our server for the suites, in one era or both.
struct Reference {
    _server: Server,
    port: u16,
}

impl Reference {
    fn url(&self, transport: &str) -> String {
        endpoint(self.port, transport)
    }
}

struct Bench {
    binary: PathBuf,
    folder: PathBuf,
}

impl Bench {
    fn reference(&self, era: &str) -> anyhow::Result<Reference> {
        let port = free_port()?;
        let mut command = Command::new(tree::node());
        command.arg(tree::at("scripts/conformance/server.mjs"));
        command.env("PORT", port.to_string()).env("ERA", era);
        let server = Server::start(&format!("server-{era}"), &mut command, port, &self.folder)?;
        Ok(Reference { _server: server, port })
    }

    fn gateway(&self, name: &str, to: &Reference, transport: &str) -> anyhow::Result<Gateway> {
        let upstream = json!({ "url": to.url(transport), "transport": transport });
        let policy = json!({ "policy_dir": tree::at(OPEN_POLICY) });
        Gateway::start(&self.binary, &self.folder.join(name), &upstream, &policy)
    }
}

/// What was kept and what was lost, printed as it comes.
#[derive(Default)]
struct Report {
    same_era: Score,
    wrong: usize,
}

impl Report {
    /// The server is the same: nothing may be missing.
    fn same(&mut self, what: &str, direct: &Passed, proxied: &Passed, excused: &Exceptions) {
        let score = self.note(what, Rule::SameChecks, (direct, proxied), excused);
        self.same_era.add(score);
    }

    fn note(
        &mut self,
        what: &str,
        rule: Rule,
        (direct, proxied): (&Passed, &Passed),
        excused: &Exceptions,
    ) -> Score {
        let (score, wrong) = verdict::compare(rule, direct, proxied, excused);
        println!("{what}: {}/{}, {} excused", score.kept, score.direct, excused.len());
        for line in &wrong {
            println!("  FAIL {line}");
        }
        self.wrong += wrong.len();
        score
    }

    fn close(&self) -> anyhow::Result<()> {
        let Score { direct, kept } = self.same_era;
        println!("proxied {kept}/{direct} of direct {direct}");
        ensure!(
            self.wrong == 0,
            "{} scenarios failed; `target/conformance` has the checks",
            self.wrong
        );
        Ok(())
    }
}
