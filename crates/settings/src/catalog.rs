//! Every key of the configuration, as the schema of [`Settings`] declares it.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use crate::Settings;
use crate::kind::{Kind, is_nullable};

/// Environment variables of the ancestor whose names are not those of their keys.
const ALIASES: [(&str, &str); 3] = [
    ("MCP_SERVER_PORT", "server.listen.port"),
    ("MCP_SERVER_ADDRESS", "server.listen.address"),
    ("MCP_POLICY_RULES_DIR", "policy.policy_dir"),
];

/// A key with a value.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// `server.listen.port`.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    pub(crate) doc: String,
    pub(crate) default: Json,
}

/// A key with keys below it.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// `server.listen`; empty at the root.
    pub(crate) path: String,
    pub(crate) doc: String,
    pub(crate) children: Vec<(String, Node)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Section(Section),
    Leaf(Leaf),
}

impl Section {
    /// The whole configuration. A key whose schema is of no kind that is known here is left out, which a test forbids.
    pub(crate) fn root() -> Self {
        let mut settings = SchemaSettings::draft2020_12();
        settings.inline_subschemas = true;
        let schema: Json = settings.into_generator().into_root_schema_for::<Settings>().into();
        Self::from_schema(String::new(), &schema)
    }

    fn from_schema(path: String, schema: &Json) -> Self {
        let properties = schema.get("properties").and_then(Json::as_object);
        let children = properties.into_iter().flatten().filter_map(|(name, schema)| {
            let path = join(&path, name);
            let node = if schema.get("properties").is_some() {
                Node::Section(Self::from_schema(path, schema))
            } else {
                Node::Leaf(Leaf {
                    kind: Kind::from_schema(schema)?,
                    nullable: is_nullable(schema),
                    doc: doc(schema),
                    default: schema.get("default").cloned().unwrap_or_default(),
                    path,
                })
            };
            Some((name.clone(), node))
        });
        let children = children.collect();
        Self { path, doc: doc(schema), children }
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|(child, _)| child == name).map(|(_, node)| node)
    }

    /// Every key with a value, in the order of declaration.
    pub(crate) fn leaves(&self) -> Vec<&Leaf> {
        let mut leaves = Vec::new();
        for (_, node) in &self.children {
            match node {
                Node::Leaf(leaf) => leaves.push(leaf),
                Node::Section(section) => leaves.extend(section.leaves()),
            }
        }
        leaves
    }

    /// Every environment variable that is read, with its key.
    pub(crate) fn variables(&self) -> BTreeMap<String, &Leaf> {
        let named = |leaf| variables_of(leaf).into_iter().map(move |name| (name, leaf));
        self.leaves().into_iter().flat_map(named).collect()
    }
}

/// The environment variables of a key: its own, the spelling with `__` for dots, and those of the ancestor.
pub(crate) fn variables_of(leaf: &Leaf) -> Vec<String> {
    let mut names = vec![variable(&leaf.path)];
    let spelled = format!("MCP_{}", leaf.path.replace('.', "__").to_uppercase());
    if !names.contains(&spelled) {
        names.push(spelled);
    }
    names.extend(aliases_of(leaf).map(str::to_owned));
    names
}

/// The environment variables that the ancestor had for a key under another name.
pub(crate) fn aliases_of(leaf: &Leaf) -> impl Iterator<Item = &'static str> {
    ALIASES.iter().filter(|(_, path)| *path == leaf.path).map(|(name, _)| *name)
}

/// The environment variable of a path: `server.listen.port` is `MCP_SERVER_LISTEN_PORT`.
pub(crate) fn variable(path: &str) -> String {
    format!("MCP_{}", path.replace('.', "_").to_uppercase())
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The doc comment as one line.
fn doc(schema: &Json) -> String {
    let text = schema.get("description").and_then(Json::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
