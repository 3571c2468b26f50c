//! The real clients and servers of `scripts`, as processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::gateway::endpoint;
use crate::process::{Server, free_port};
use crate::tree;

/// A policy under which everything passes, for what a gateway carries rather than decides.
pub(crate) const OPEN_POLICY: &str = "scripts/real-clients/policies/open";

/// A real client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// TypeScript SDK, version 1.
    TypeScript1,
    /// TypeScript SDK, version 2, in its legacy mode.
    TypeScript2,
    /// TypeScript SDK, version 2, probing for 2026-07-28.
    TypeScript2Modern,
    /// Python SDK, version 1.
    Python1,
    /// Python SDK, version 2, in its legacy mode.
    Python2,
    /// Python SDK, version 2, probing for 2026-07-28.
    Python2Modern,
    /// TypeScript SDK over stdio to `mcp-remote`, which speaks HTTP.
    Remote,
    /// The command line of MCP Inspector.
    Inspector,
    /// Rust SDK, with `initialize`.
    Rust,
    /// Rust SDK, with `server/discover`.
    RustModern,
}

impl Client {
    /// Every client.
    pub(crate) const ALL: [Self; 10] = [
        Self::TypeScript1,
        Self::TypeScript2,
        Self::TypeScript2Modern,
        Self::Python1,
        Self::Python2,
        Self::Python2Modern,
        Self::Remote,
        Self::Inspector,
        Self::Rust,
        Self::RustModern,
    ];

    /// One client of each implementation that opens sessions and has a tour.
    pub(crate) const TOURISTS: [Self; 3] = [Self::TypeScript1, Self::TypeScript2, Self::Python1];

    /// Its name in our output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TypeScript1 => "typescript-1",
            Self::TypeScript2 => "typescript-2",
            Self::TypeScript2Modern => "typescript-2-modern",
            Self::Python1 => "python-1",
            Self::Python2 => "python-2",
            Self::Python2Modern => "python-2-modern",
            Self::Remote => "mcp-remote",
            Self::Inspector => "inspector",
            Self::Rust => "rmcp",
            Self::RustModern => "rmcp-modern",
        }
    }

    /// The revision that it must have agreed on, where it says.
    pub(crate) const fn revision(self) -> Option<&'static str> {
        match self {
            Self::TypeScript1 | Self::TypeScript2 | Self::Python1 | Self::Python2 | Self::Rust => {
                Some("2025-11-25")
            }
            Self::TypeScript2Modern | Self::Python2Modern | Self::RustModern => Some("2026-07-28"),
            Self::Remote | Self::Inspector => None,
        }
    }

    /// Takes the tour of a server: lists and calls twice, reads a resource, gets a prompt. Returns all answers.
    ///
    /// # Errors
    /// When the client does.
    pub(crate) fn tour(self, transport: &str, url: &str) -> anyhow::Result<Value> {
        self.answer(self.script(transport).arg(url))
    }

    /// Lists the tools over Streamable HTTP and calls one. Returns `revision`, the names of the `tools` and the
    /// `content` of the result, or `error`.
    ///
    /// # Errors
    /// When the client got no answer.
    pub(crate) fn call(self, url: &str, tool: &str, arguments: &Value) -> anyhow::Result<Value> {
        if self == Self::Inspector {
            return self.inspect(url, tool, arguments);
        }
        let transport = if self == Self::Remote { "remote" } else { "http" };
        self.answer(self.script(transport).arg(url).args([tool, &arguments.to_string()]))
    }

    /// The program, with everything before the address.
    fn script(self, transport: &str) -> Command {
        let script = |runtime: PathBuf, name, args: [&str; 2]| {
            let mut command = Command::new(runtime);
            command.arg(tree::clients().join(name)).args(args);
            command
        };
        let node = |sdk| script(tree::node(), "client.mjs", [sdk, transport]);
        let python =
            |environment, era| script(tree::python(environment), "client.py", [era, transport]);
        let rust = |era| {
            let mut command = Command::new(tree::at(RMCP_PEER));
            command.args(["client", era]);
            command
        };
        match self {
            Self::TypeScript1 => node("v1"),
            Self::TypeScript2 | Self::Remote => node("v2"),
            Self::TypeScript2Modern => node("v2-modern"),
            Self::Python1 => python("mcp1", "legacy"),
            Self::Python2 => python("mcp2", "legacy"),
            Self::Python2Modern => python("mcp2", "modern"),
            Self::Rust => rust("legacy"),
            Self::RustModern => rust("modern"),
            Self::Inspector => {
                let mut command = Command::new(tree::node());
                command.arg(module(INSPECTOR)).arg("--cli");
                command
            }
        }
    }

    /// The Inspector does one thing a run.
    fn inspect(self, url: &str, tool: &str, arguments: &Value) -> anyhow::Result<Value> {
        let run = |args: &[&str]| {
            let transport = [url, "--transport", "http", "--method"];
            self.answer(self.script("http").args(transport).args(args))
        };
        let listed = run(&["tools/list"])?;
        let mut args = vec!["tools/call".to_owned(), "--tool-name".to_owned(), tool.to_owned()];
        for (name, value) in arguments.as_object().into_iter().flatten() {
            let value = value.as_str().context("the Inspector takes only texts")?;
            args.extend(["--tool-arg".to_owned(), format!("{name}={value}")]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let called = run(&args)?;
        let tools = listed.get("tools").and_then(Value::as_array).into_iter().flatten();
        let names: Vec<Option<&Value>> = tools.map(|tool| tool.get("name")).collect();
        Ok(json!({ "tools": names, "content": called.get("content") }))
    }

    fn answer(self, command: &mut Command) -> anyhow::Result<Value> {
        let output = command
            .env("MCP_REMOTE_CONFIG_DIR", tree::at("target/mcp-remote"))
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}; run `make setup`", self.as_str()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !matches!(output.status.code(), Some(0 | 1)) {
            bail!("{} got no answer:\n{said}", self.as_str());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} printed no JSON:\n{said}", self.as_str()))
    }
}

/// Where `setup` builds client and server of the Rust SDK.
pub(crate) const RMCP_PEER: &str = "target/rmcp/debug/rmcp-peer";

const INSPECTOR: &str = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";

/// A script that npm installed.
fn module(script: &str) -> PathBuf {
    tree::scripts().join("node_modules").join(script)
}

/// The script of an official package that npm installed.
pub(crate) fn package(name: &str) -> String {
    let script = format!("@modelcontextprotocol/{name}/dist/index.js");
    module(&script).display().to_string()
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
