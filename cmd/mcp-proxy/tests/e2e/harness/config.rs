//! The configuration of one gateway under test: a folder of its own, free
//! ports, one policy file, and whatever keys a test sets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::wait::free_port;

/// Allows all but deleting, and says why.
pub(crate) const NO_DELETE: &str = r#"package mcp.policy

default allow := true

violations contains {"msg": msg, "rule": "no_delete"} if {
	input.tool == "delete_file"
	msg := sprintf("nobody may delete %v", [object.get(input.arguments, "path", "anything")])
}
"#;

/// What a gateway is started with. The file is JSON, which is YAML too.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) dir: TempDir,
    pub(crate) tree: Value,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) port: u16,
    pub(crate) health: u16,
    pub(crate) metrics: u16,
}

impl Config {
    /// A gateway in front of `upstream`, with `NO_DELETE`, audit log, metrics and probes.
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        Self::of(json!({ "url": format!("http://{upstream}/mcp"), "transport": "http" }))
    }

    /// A gateway whose `upstream` section is given.
    pub(crate) fn of(upstream: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, health, metrics) = (free_port(), free_port(), free_port());
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let tree = json!({
            "server": { "listen": { "address": "127.0.0.1", "port": port } },
            "upstream": upstream,
            // A busy machine may stop a thread for longer than the time that an evaluation usually has.
            "policy": { "policy_dir": at("policies"), "evaluation": { "timeout": "2s" } },
            "audit": { "db_path": at("audit.db"), "flush_interval": "20ms" },
            "metrics": { "enabled": true, "address": "127.0.0.1", "port": metrics },
            "health": { "enabled": true, "address": "127.0.0.1", "port": health },
        });
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        let config = Self { dir, tree, env: Vec::new(), port, health, metrics };
        config.policy(NO_DELETE)
    }

    /// Sets one key, given by its dotted path.
    pub(crate) fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut place = &mut self.tree;
        for part in path.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = place.as_object_mut().unwrap().entry(part).or_insert(Value::Null);
        }
        *place = value.into();
        self
    }

    /// Takes one key away.
    pub(crate) fn unset(mut self, path: &str) -> Self {
        let (parent, leaf) = path.rsplit_once('.').unwrap_or(("", path));
        let pointer = if parent.is_empty() {
            String::new()
        } else {
            format!("/{}", parent.replace('.', "/"))
        };
        self.tree.pointer_mut(&pointer).unwrap().as_object_mut().unwrap().remove(leaf);
        self
    }

    /// Serves the pages of operators, on the port of the probes.
    pub(crate) fn operated(self) -> Self {
        let port = self.health;
        self.set("admin", json!({ "enabled": true, "port": port }))
    }

    /// Sets one variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes `text` the only policy file.
    pub(crate) fn policy(self, text: &str) -> Self {
        self.file("policies/main.rego", text)
    }

    /// Writes a file below the folder of this gateway.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        self.put(name, text);
        self
    }

    /// Writes a file below the folder of this gateway in one step, as an editor does.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let (path, new) = (self.at(name), self.at("new"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.at("audit.db")
    }

    /// Writes the configuration file and says where it is.
    pub(crate) fn write(&self) -> PathBuf {
        let path = self.at("proxy.yaml");
        std::fs::write(&path, serde_json::to_string_pretty(&self.tree).unwrap()).unwrap();
        path
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }
}
