//! Every client with every server: list the tools, call one, get the right answer in the expected revision.
//!
//! A client that speaks 2026-07-28 must agree on it whatever the server speaks, and a legacy client on its own: no
//! downgrade goes unseen.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Score;
use crate::clients::{Client, Everything, OPEN_POLICY, RMCP_PEER, stdio};
use crate::gateway::{Gateway, endpoint};
use crate::process::{Server, free_port};
use crate::tree;

/// Servers with one tool, `echo`, over Streamable HTTP: name, program and arguments before the port.
const SERVERS: [(&str, &str, &[&str]); 6] = [
    ("python-1", "mcp1", &["sdk"]),
    ("python-2", "mcp2", &["sdk"]),
    ("fastmcp", "mcp2", &["fastmcp"]),
    ("fastmcp-stateless", "mcp2", &["fastmcp-stateless"]),
    ("rmcp", RMCP_PEER, &["server"]),
    ("typescript-2-modern", "node", &[]),
];

/// Runs all of them. A client runs beside the others, a server after the other.
///
/// # Errors
/// When a server or a gateway does not start.
pub(super) fn run(binary: &Path, folder: &Path, score: &mut Score) -> anyhow::Result<()> {
    let command = stdio("server-everything", &["stdio"]);
    let upstream = json!({ "transport": "stdio", "command": command });
    row(binary, folder, ("everything-stdio", &upstream), score)?;
    for transport in ["http", "sse"] {
        let server = Everything::start(transport, folder)?;
        let upstream = json!({ "url": server.url, "transport": transport });
        row(binary, folder, (&format!("everything-{transport}"), &upstream), score)?;
    }
    for (name, program, args) in SERVERS {
        let port = free_port()?;
        let _server = Server::start(name, &mut command_of(program, args, port), port, folder)?;
        let upstream = json!({ "url": endpoint(port, "http"), "transport": "http" });
        row(binary, folder, (name, &upstream), score)?;
    }
    Ok(())
}

fn command_of(program: &str, args: &[&str], port: u16) -> Command {
    let port = port.to_string();
    match program {
        "mcp1" | "mcp2" => {
            let mut command = Command::new(tree::python(program));
            command.arg(tree::clients().join("server.py")).args(args).arg(port);
            command
        }
        "node" => {
            let mut command = Command::new(tree::node());
            command.arg(tree::at("scripts/conformance/server.mjs"));
            command.env("PORT", port).env("ERA", "modern");
            command
        }
        _ => {
            let mut command = Command::new(tree::at(program));
            command.args(args).arg(port);
            command
        }
    }
}

/// Every client with one server.
fn row(
    binary: &Path,
    folder: &Path,
    (name, upstream): (&str, &Value),
    score: &mut Score,
) -> anyhow::Result<()> {
    let policy = json!({ "policy_dir": tree::at(OPEN_POLICY) });
    let folder = folder.join("matrix").join(name);
    let gateway = Gateway::start(binary, &folder, upstream, &policy)?;
    let url = gateway.url("http");
    let outcomes: Vec<(Client, anyhow::Result<()>)> = std::thread::scope(|scope| {
        let url = &url;
        let runs = Client::ALL.map(|client| (client, scope.spawn(move || echoes(client, url))));
        let ended = |run: std::thread::ScopedJoinHandle<'_, _>| {
            run.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the run panicked")))
        };
        runs.into_iter().map(|(client, run)| (client, ended(run))).collect()
    });
    for (client, outcome) in outcomes {
        score.note(&format!("{} with {name}", client.as_str()), outcome);
    }
    gateway.stop().with_context(|| format!("in front of {name}"))?;
    Ok(())
}

fn echoes(client: Client, url: &str) -> anyhow::Result<()> {
    let answer = client.call(url, "echo", &json!({ "message": "hello" }))?;
    let tools = answer.get("tools").and_then(Value::as_array);
    let listed = tools.is_some_and(|tools| tools.contains(&json!("echo")));
    ensure!(listed, "`echo` is not listed: {answer}");
    let text = answer.pointer("/content/0/text");
    ensure!(text == Some(&json!("Echo: hello")), "another answer: {answer}");
    if let Some(revision) = client.revision() {
        ensure!(answer.get("revision") == Some(&json!(revision)), "not in {revision}: {answer}");
    }
    Ok(())
}
