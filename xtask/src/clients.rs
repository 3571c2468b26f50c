//! The official SDK clients and servers of `scripts/real-clients`, as processes.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::gateway::endpoint;
use crate::process::{Server, free_port};
use crate::tree;

/// A policy under which everything passes, for what a gateway carries rather than decides.
pub(crate) const OPEN_POLICY: &str = "scripts/real-clients/policies/open";

/// An official SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sdk {
    /// TypeScript, version 1.
    TypeScript1,
    /// TypeScript, version 2, in its legacy mode.
    TypeScript2,
    /// Python.
    Python,
}

impl Sdk {
    /// Every SDK.
    pub(crate) const ALL: [Self; 3] = [Self::TypeScript1, Self::TypeScript2, Self::Python];

    /// Its name in our output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TypeScript1 => "typescript-v1",
            Self::TypeScript2 => "typescript-v2",
            Self::Python => "python",
        }
    }

    fn command(self) -> Command {
        let script = |runtime, name: &str| {
            let mut command = Command::new(runtime);
            command.arg(tree::clients().join(name));
            command
        };
        match self {
            Self::TypeScript1 | Self::TypeScript2 => {
                let mut command = script(tree::node(), "client.mjs");
                command.arg(if self == Self::TypeScript1 { "v1" } else { "v2" });
                command
            }
            Self::Python => script(tree::python("mcp1"), "client.py"),
        }
    }

    /// Takes the tour of a server: lists and calls twice, reads a resource, gets a prompt. Returns all answers.
    ///
    /// # Errors
    /// When the client does.
    pub(crate) fn tour(self, transport: &str, url: &str) -> anyhow::Result<Value> {
        self.ask(&[transport, url])
    }

    /// Calls one tool. Returns its result, or `{"error": …}`.
    ///
    /// # Errors
    /// When the client got no answer.
    pub(crate) fn call(
        self,
        transport: &str,
        url: &str,
        tool: &str,
        arguments: &Value,
    ) -> anyhow::Result<Value> {
        self.ask(&[transport, url, tool, &arguments.to_string()])
    }

    fn ask(self, args: &[&str]) -> anyhow::Result<Value> {
        let output = self
            .command()
            .args(args)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}; run `make setup`", self.as_str()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !matches!(output.status.code(), Some(0 | 1)) {
            bail!("{} got no answer from {}:\n{said}", self.as_str(), args.join(" "));
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} printed no JSON:\n{said}", self.as_str()))
    }
}

/// The script of an official package that npm installed.
pub(crate) fn package(name: &str) -> String {
    let script = format!("node_modules/@modelcontextprotocol/{name}/dist/index.js");
    tree::clients().join(script).display().to_string()
}

/// The argument vector of a package's server as a stdio child.
pub(crate) fn stdio(name: &str, args: &[&str]) -> Vec<String> {
    let mut command = vec![tree::node().display().to_string(), package(name)];
    command.extend(args.iter().map(|&a| a.to_owned()));
    command
}

/// `server-everything` on a port of its own, with its endpoint.
pub(crate) struct Everything {
    /// Keeps it running.
    _server: Server,
    /// Where clients connect.
    pub(crate) url: String,
}

impl Everything {
    /// Starts it with transport `http` or `sse`.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn start(transport: &str, folder: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mode = if transport == "http" { "streamableHttp" } else { "sse" };
        let mut command = Command::new(tree::node());
        command.arg(package("server-everything")).arg(mode).env("PORT", port.to_string());
        let name = format!("everything-{transport}");
        let server = Server::start(&name, &mut command, port, folder)?;
        Ok(Self { _server: server, url: endpoint(port, transport) })
    }
}
