//! The import rules between the crates, read from `cargo metadata`.
//!
//! Imports go downward only, never sideways. Outside crates that shape everything which touches them may be used
//! by the crates that own them alone.

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::process::cargo;

/// The crates from the bottom to the top; those of one line do not know each other.
const LAYERS: &[&[&str]] = &[
    &["protocol"],
    &["domain", "child", "demo", "mask", "json-policy"],
    &["rego", "bundle"],
    &["testkit"],
    &["session", "policy", "audit", "approval", "upstream", "bridge", "observability", "limits"],
    &["router", "replay"],
    &["transport-http", "transport-sse", "transport-stdio", "admin", "learn"],
    &["settings"],
    &["gateway"],
    &["cli"],
    &["mcp-proxy"],
];

/// May import every crate, and none may import them.
const FREE: &[&str] = &["benches", "xtask"];

/// For tests only: a dev-dependency of any crate, a dependency of the free ones.
const TESTS_ONLY: &str = "testkit";

/// Outside crates and who may import them.
const OWNED: &[(&str, &[&str])] = &[
    ("regorus", &["rego", "policy"]),
    ("rusqlite", &["audit", "approval", "benches"]),
    ("prometheus", &["observability"]),
    ("axum", &["transport-http", "transport-sse", "admin", "demo", "cli", "testkit", "benches"]),
];

/// One line of one crate's manifest: `from` depends on `to`.
#[derive(Clone, Copy, Debug)]
struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    dev: bool,
}

/// Checks the workspace.
///
/// # Errors
/// When a rule is broken, or a crate has no layer.
pub(crate) fn run() -> anyhow::Result<()> {
    let output = cargo(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", output.status);
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    let packages = packages.context("cargo metadata lists no packages")?;
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let edges: Vec<Edge<'_>> = packages.iter().flat_map(edges).collect();
    let broken = broken(&names, &edges);
    if !broken.is_empty() {
        bail!("the layers do not hold:\n  {}", broken.join("\n  "));
    }
    println!("layers: {} crates, {} edges", names.len(), edges.len());
    Ok(())
}

fn edges(package: &Value) -> impl Iterator<Item = Edge<'_>> {
    let from = package["name"].as_str().unwrap_or_default();
    package["dependencies"].as_array().into_iter().flatten().filter_map(move |dependency| {
        let to = dependency["name"].as_str()?;
        Some(Edge { from, to, dev: dependency["kind"] == "dev" })
    })
}

fn broken(crates: &[&str], edges: &[Edge<'_>]) -> Vec<String> {
    let homeless = crates.iter().filter(|name| layer(name).is_none() && !FREE.contains(name));
    let homeless =
        homeless.map(|name| format!("`{name}` has no layer; add it to xtask/src/layers.rs"));
    homeless
        .chain(edges.iter().filter_map(|&edge| inside(edge).or_else(|| outside(edge))))
        .collect()
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// What is wrong with an edge between two crates of the workspace.
fn inside(Edge { from, to, dev }: Edge<'_>) -> Option<String> {
    if FREE.contains(&to) {
        return Some(format!("`{from}` imports `{to}`, which is a tool"));
    }
    if FREE.contains(&from) || (dev && to == TESTS_ONLY) {
        return None;
    }
    let (above, below) = (layer(from)?, layer(to)?);
    if to == TESTS_ONLY {
        return Some(format!("`{from}` imports `{to}` outside its tests"));
    }
    match below.cmp(&above) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some(format!("`{from}` imports `{to}` beside it")),
        std::cmp::Ordering::Greater => Some(format!("`{from}` imports `{to}` above it")),
    }
}

/// What is wrong with an edge to a crate from outside.
fn outside(Edge { from, to, .. }: Edge<'_>) -> Option<String> {
    let (_, owners) = OWNED.iter().find(|(name, _)| *name == to)?;
    (!owners.contains(&from))
        .then(|| format!("`{from}` imports `{to}`, which belongs to {}", owners.join(", ")))
}

#[cfg(test)]
mod tests;
