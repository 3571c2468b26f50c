//! The gateway under test: a binary, a configuration of its own, a folder for what it leaves.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::process::{Server, free_port};
use crate::tree;

/// A running gateway.
pub(crate) struct Gateway {
    server: Server,
    port: u16,
    audit_db: PathBuf,
}

impl Gateway {
    /// Starts `binary` with this `upstream` section and `policy` section; log, configuration and audit log go to `folder`.
    ///
    /// # Errors
    /// When it does not come up; the message shows the end of its log.
    pub(crate) fn start(
        binary: &Path,
        folder: &Path,
        upstream: &Value,
        policy: &Value,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        let port = free_port()?;
        let audit_db = folder.join("audit.db");
        let config = folder.join("gateway.yaml");
        // JSON is YAML.
        let text = json!({
            "server": { "listen": { "address": "127.0.0.1", "port": port } },
            "upstream": upstream,
            "policy": policy,
            "audit": { "db_path": audit_db },
        });
        std::fs::write(&config, text.to_string())
            .with_context(|| format!("cannot write `{}`", config.display()))?;
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(&config).current_dir(tree::root());
        let server = Server::start("gateway", &mut command, port, folder)?;
        Ok(Self { server, port, audit_db })
    }

    /// Where a client of this transport (`http` or `sse`) connects.
    pub(crate) fn url(&self, transport: &str) -> String {
        endpoint(self.port, transport)
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// The last lines of its log.
    pub(crate) fn log_end(&self) -> String {
        self.server.log_end()
    }

    /// Ends it as an operator would. Returns its audit log.
    ///
    /// # Errors
    /// When it does not end with exit code 0 within its grace.
    pub(crate) fn stop(self) -> anyhow::Result<PathBuf> {
        let log = self.server.log_end();
        let status = self.server.stop()?;
        if !status.success() {
            bail!("the gateway ended with {status}:\n{log}");
        }
        Ok(self.audit_db)
    }
}

/// The endpoint of a server on a loopback port. By name, because the official suite insists on it.
pub(crate) fn endpoint(port: u16, transport: &str) -> String {
    let path = if transport == "sse" { "sse" } else { "mcp" };
    format!("http://localhost:{port}/{path}")
}

/// Reads the rows of an audit log, oldest first, with a program that is not ours.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn rows(database: &Path) -> anyhow::Result<Vec<Value>> {
    let output = Command::new(tree::python("mcp1"))
        .arg(tree::clients().join("rows.py"))
        .arg(database)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start python; run `make setup`")?;
    if !output.status.success() {
        bail!("cannot read the audit log `{}`", database.display());
    }
    serde_json::from_slice(&output.stdout).context("rows.py printed no JSON")
}
