//! The configuration written out: the commented file and the reference.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::catalog::{Leaf, Node, Section, aliases_of, variable};
use crate::kind::Kind;
use crate::unavailable;

const WIDTH: usize = 100;

const FILE_HEAD: &str = "\
# Configuration of mcp-proxy. Every key is here with its default; a key that is left out has it too.
# Each key is also an environment variable, which wins over the file: server.listen.port is
# MCP_SERVER_LISTEN_PORT. Values may refer to secrets: \"${env:NAME}\" and \"${file:/run/secrets/name}\".
#
# Written by `mcp-proxy config init`; docs/configuration.md has the same as tables.
";

const DOCS_HEAD: &str = "\
# Configuration

This page is generated from the code, as are [`config/proxy.yaml`](../config/proxy.yaml) (every key with its default)
and the JSON Schema that `mcp-proxy config schema` prints.

A value comes from the first of these that sets it: the environment, the file given with `--config`, the default. The
defaults are the safe ones. `mcp-proxy config validate` checks everything without serving, and `mcp-proxy config show`
prints every value and where it comes from.

- **File.** YAML, at most 1 MiB. Unknown keys, duplicate keys and values of another type stop the start with the file,
  line and key. A section without keys has its defaults.
- **Environment.** The variable of a key is `MCP_` and its path in capitals with `_` for the dots; `__` for the dots is
  read too (`MCP_SERVER__LISTEN__PORT`). Switches are `true`, `1`, `yes`, `on` or `false`, `0`, `no`, `off`; lists have
  commas between their items; an empty value is an empty text or list, or unsets a key that may be absent. Mappings
  cannot be set this way. A value that does not fit stops the start; a variable that begins with `MCP_` and is not
  listed here is a warning. Variables that Kubernetes sets for Services are not read.
- **Durations** are numbers with units: `100ms`, `30s`, `5m`, `1h30m`, `24h`.
- **Secrets.** `${env:NAME}` and `${file:/run/secrets/name}` in a value of the file are replaced when it is read, and
  are not shown by `config show`. `$${` stands for `${`; any other `${` stops the start.
";

/// The commented file with every key and its default: `config/proxy.yaml`.
#[must_use]
pub fn render_yaml() -> String {
    let mut out = FILE_HEAD.to_owned();
    for (name, node) in &Section::root().children {
        out.push('\n');
        yaml_node(&mut out, name, node, 0);
    }
    out
}

/// The reference with a table for each section: `docs/configuration.md`.
#[must_use]
pub fn render_docs() -> String {
    let mut out = DOCS_HEAD.to_owned();
    let root = Section::root();
    table(&mut out, "General", &root);
    for (name, node) in &root.children {
        if let Node::Section(section) = node {
            sections(&mut out, name, section);
        }
    }
    out.push_str("\n## Keys that this version refuses\n\n| key | instead |\n|---|---|\n");
    for (key, instead) in unavailable::KEYS {
        line(&mut out, format_args!("| `{key}` | {instead} |"));
    }
    out
}

/// A value on one line of YAML.
pub(crate) fn scalar(kind: &Kind, value: &Json) -> String {
    match (kind, value) {
        (Kind::Span | Kind::Choice(_), Json::String(text)) if reads_as_itself(text) => text.clone(),
        (Kind::List(_), Json::Array(items)) => {
            let items: Vec<String> = items.iter().map(Json::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        (_, value) => value.to_string(),
    }
}

/// Whether YAML reads the bare word as the same text.
fn reads_as_itself(text: &str) -> bool {
    serde_yaml::from_str::<serde_yaml::Value>(text).is_ok_and(|value| value.as_str() == Some(text))
}

fn yaml_node(out: &mut String, name: &str, node: &Node, depth: usize) {
    let indent = "  ".repeat(depth);
    match node {
        Node::Section(section) => {
            comment(out, &indent, &section.doc);
            line(out, format_args!("{indent}{name}:"));
            for (name, node) in &section.children {
                yaml_node(out, name, node, depth + 1);
            }
        }
        Node::Leaf(leaf) => {
            comment(out, &indent, &leaf.doc);
            if let Kind::Choice(names) = &leaf.kind {
                comment(out, &indent, &format!("One of: {}.", names.join(", ")));
            }
            let entry = format!("{name}: {}", scalar(&leaf.kind, &leaf.default));
            if matches!(leaf.kind, Kind::List(_)) {
                list(out, &indent, &entry);
            } else {
                line(out, format_args!("{indent}{entry}"));
            }
        }
    }
}

fn comment(out: &mut String, indent: &str, text: &str) {
    for row in rows(text, WIDTH.saturating_sub(indent.len() + 2)) {
        line(out, format_args!("{indent}# {row}"));
    }
}

/// A key with a list, which goes on in further rows when it is long.
fn list(out: &mut String, indent: &str, entry: &str) {
    for (index, row) in rows(entry, WIDTH.saturating_sub(indent.len() + 2)).iter().enumerate() {
        let more = if index == 0 { "" } else { "  " };
        line(out, format_args!("{indent}{more}{row}"));
    }
}

/// The words of the text in rows of at most that many characters, if no word is longer.
fn rows(text: &str, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in text.split_whitespace() {
        if !row.is_empty() && row.chars().count() + 1 + word.chars().count() > width {
            rows.push(std::mem::take(&mut row));
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    if !row.is_empty() {
        rows.push(row);
    }
    rows
}

/// A section with its own keys, then those below it.
fn sections(out: &mut String, name: &str, section: &Section) {
    table(out, &format!("`{name}`"), section);
    for (child, node) in &section.children {
        if let Node::Section(section) = node {
            sections(out, &format!("{name}.{child}"), section);
        }
    }
}

fn table(out: &mut String, title: &str, section: &Section) {
    line(out, format_args!("\n## {title}\n\n{}", section.doc));
    let leaves = section.children.iter().filter_map(|(_, node)| match node {
        Node::Leaf(leaf) => Some(leaf),
        Node::Section(_) => None,
    });
    for (index, leaf) in leaves.enumerate() {
        if index == 0 {
            out.push_str(
                "\n| key | type | default | environment | meaning |\n|---|---|---|---|---|\n",
            );
        }
        row(out, leaf);
    }
}

fn row(out: &mut String, leaf: &Leaf) {
    let environment = if matches!(leaf.kind, Kind::Map(_)) {
        "—".to_owned()
    } else {
        let names =
            std::iter::once(variable(&leaf.path)).chain(aliases_of(leaf).map(str::to_owned));
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let default = if leaf.default.is_null() {
        "—".to_owned()
    } else {
        format!("`{}`", scalar(&leaf.kind, &leaf.default))
    };
    let (kind, doc) = (leaf.kind.name(), leaf.doc.replace('|', "\\|"));
    line(out, format_args!("| `{}` | {kind} | {default} | {environment} | {doc} |", leaf.path));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    writeln!(out, "{text}").unwrap_or_default();
}

#[cfg(test)]
mod tests;
