//! Real clients, through the gateway, to real servers.
//!
//! What a client sees through the gateway must equal what it sees directly, and the audit log must hold exactly one
//! row for each message. Beyond that, every client must work with every server ([`matrix`]).

mod matrix;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::clients::{Client, Everything, OPEN_POLICY, stdio};
use crate::gateway::{Gateway, rows};
use crate::tree;

const TRANSPORTS: [&str; 2] = ["http", "sse"];

/// The messages of one tour, by method.
const TOUR: [(&str, usize); 8] = [
    ("initialize", 1),
    ("notifications/initialized", 1),
    ("tools/list", 2),
    ("tools/call", 2),
    ("resources/list", 1),
    ("resources/read", 1),
    ("prompts/list", 1),
    ("prompts/get", 1),
];

const DENIED: i64 = -31_001;

/// Runs the whole matrix and the denied write, and prints one line for each.
///
/// # Errors
/// When any of them fails, after all have run.
pub(crate) fn run(gateway: &Path) -> anyhow::Result<()> {
    crate::setup::clients()?;
    let binary = tree::built(gateway)?;
    let folder = tree::fresh_folder("real-clients")?;
    let mut score = Score::default();
    let http = Everything::start("http", &folder)?;
    let sse = Everything::start("sse", &folder)?;
    let direct = direct(&http.url, &sse.url)?;
    let upstreams = [
        ("http", json!({ "url": http.url, "transport": "http" })),
        ("sse", json!({ "url": sse.url, "transport": "sse" })),
        (
            "stdio",
            json!({ "transport": "stdio", "command": stdio("server-everything", &["stdio"]) }),
        ),
    ];
    for (name, upstream) in &upstreams {
        let policy = json!({ "policy_dir": tree::at(OPEN_POLICY) });
        let rows =
            Gateway::start(&binary, &folder.join(name), upstream, &policy).and_then(|gateway| {
                for (client, transport, expected) in &direct {
                    let what =
                        format!("{} over {transport} to everything over {name}", client.as_str());
                    score.note(&what, same_tour(&gateway, *client, transport, expected));
                }
                rows(&gateway.stop()?)
            });
        let what = format!("one row a message, everything over {name}");
        score.note(&what, rows.and_then(|rows| one_row_each(&rows, direct.len())));
    }
    for mode in ["enforce", "audit"] {
        let what = format!("a forbidden write, {mode} mode");
        score.note(&what, forbidden_write(&binary, &folder.join(mode), mode));
    }
    matrix::run(&binary, &folder, &mut score)?;
    score.close()
}

/// What every client gets without the gateway.
fn direct(http: &str, sse: &str) -> anyhow::Result<Vec<(Client, &'static str, Value)>> {
    let mut tours = Vec::new();
    for client in Client::TOURISTS {
        for transport in TRANSPORTS {
            let url = if transport == "http" { http } else { sse };
            let tour = client.tour(transport, url).context("without the gateway")?;
            ensure!(tour.get("error").is_none(), "without the gateway: {tour}");
            tours.push((client, transport, tour));
        }
    }
    Ok(tours)
}

fn same_tour(
    gateway: &Gateway,
    client: Client,
    wire: &str,
    expected: &Value,
) -> anyhow::Result<()> {
    let found = client
        .tour(wire, &gateway.url(wire))
        .with_context(|| format!("the gateway's log ends with:\n{}", gateway.log_end()))?;
    match difference("", expected, &found) {
        Some(difference) => bail!("not what the server said: {difference}"),
        None => Ok(()),
    }
}

/// The first place where two values differ.
fn difference(at: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let gone = a.keys().find(|key| !b.contains_key(*key));
            let new = b.keys().find(|key| !a.contains_key(*key));
            if let Some(key) = gone {
                return Some(format!("`{at}.{key}` is gone"));
            }
            if let Some(key) = new {
                return Some(format!("`{at}.{key}` is new"));
            }
            a.iter().find_map(|(key, a)| difference(&format!("{at}.{key}"), a, b.get(key)?))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| difference(&format!("{at}[{i}]"), a, b)),
        _ if expected == found => None,
        _ => Some(format!("`{at}` is {found}, expected {expected}")),
    }
}

/// Exactly the rows of so many tours: no message lost, none recorded twice.
fn one_row_each(rows: &[Value], tours: usize) -> anyhow::Result<()> {
    for (method, each) in TOUR {
        let found = rows.iter().filter(|row| row["method"] == method).count();
        ensure!(found == each * tours, "{found} rows of `{method}`, expected {}", each * tours);
    }
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["method"] == "tools/call") {
        ensure!(row["tool"] == "echo", "a call without its tool: {row}");
        ensure!(row["decision"] == "allow" && row["forwarded"] == 1, "not allowed: {row}");
        *calls.entry(row["session_id"].as_str().unwrap_or_default()).or_default() += 1;
    }
    ensure!(calls.len() == tours, "{} sessions, expected {tours}", calls.len());
    ensure!(calls.values().all(|&n| n == 2), "calls by session: {calls:?}, expected two each");
    Ok(())
}

/// Policy forbids to write anywhere but in `drafts`; the filesystem server would write it all.
fn forbidden_write(binary: &Path, folder: &Path, mode: &str) -> anyhow::Result<()> {
    let files = folder.join("files");
    std::fs::create_dir_all(files.join("drafts"))?;
    let root = files.display().to_string();
    let upstream =
        json!({ "transport": "stdio", "command": stdio("server-filesystem", &[root.as_str()]) });
    let policy = json!({ "mode": mode, "policy_dir": tree::clients().join("policies/drafts") });
    let gateway = Gateway::start(binary, folder, &upstream, &policy)?;
    for (n, client) in Client::TOURISTS.into_iter().enumerate() {
        let url = gateway.url("http");
        let forbidden = files.join(format!("secret-{n}.txt"));
        let answer = write(client, &url, &forbidden)?;
        if mode == "enforce" {
            denied(&answer)?;
            ensure!(!forbidden.exists(), "denied, and yet `{}` was written", forbidden.display());
        } else {
            ensure!(forbidden.is_file(), "audit mode did not write: {answer}");
        }
        let permitted = files.join(format!("drafts/note-{n}.txt"));
        let answer = write(client, &url, &permitted)?;
        ensure!(permitted.is_file(), "a permitted write failed: {answer}");
    }
    let rows = rows(&gateway.stop()?)?;
    let calls: Vec<&Value> = rows.iter().filter(|row| row["method"] == "tools/call").collect();
    ensure!(calls.len() == 2 * Client::TOURISTS.len(), "{} rows of calls", calls.len());
    for pair in calls.chunks(2) {
        let [forbidden, permitted] = pair else { bail!("rows come in pairs") };
        row_says(forbidden, mode, "deny", i32::from(mode == "audit"))?;
        ensure!(forbidden["reasons"].to_string().contains("drafts"), "no reason: {forbidden}");
        row_says(permitted, mode, "allow", 1)?;
    }
    Ok(())
}

fn write(client: Client, url: &str, path: &Path) -> anyhow::Result<Value> {
    client.call(url, "write_file", &json!({ "path": path, "content": "x" }))
}

fn denied(answer: &Value) -> anyhow::Result<()> {
    let code = answer.pointer("/error/code").and_then(Value::as_i64);
    ensure!(code == Some(DENIED), "not denied: {answer}");
    let reasons = answer.pointer("/error/data/reasons").map(Value::to_string).unwrap_or_default();
    ensure!(reasons.contains("drafts"), "no reason: {answer}");
    Ok(())
}

fn row_says(row: &Value, mode: &str, decision: &str, forwarded: i32) -> anyhow::Result<()> {
    ensure!(
        row["mode"] == mode && row["decision"] == decision && row["forwarded"] == forwarded,
        "expected {decision}, forwarded {forwarded}, in {mode} mode: {row}"
    );
    Ok(())
}

/// Counts, and prints as it goes.
#[derive(Default)]
struct Score {
    passed: usize,
    failed: usize,
}

impl Score {
    fn note(&mut self, what: &str, outcome: anyhow::Result<()>) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok    {what}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL  {what}: {error:#}");
            }
        }
    }

    fn close(&self) -> anyhow::Result<()> {
        println!("real-clients: {} passed, {} failed", self.passed, self.failed);
        ensure!(self.failed == 0, "{} of the real-client tests failed", self.failed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
