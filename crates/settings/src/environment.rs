//! The environment as a layer of the configuration.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::catalog::{Leaf, Section, variable};
use crate::kind::Kind;
use crate::suggest::closest;
use crate::{Place, Problem, unavailable};

/// Variables that begin like ours and are for our tests and tasks, not for the gateway.
const NOT_SETTINGS: [&str; 2] = ["MCP_PROXY_SHARED", "MCP_PROXY_UPDATE"];

/// What a value that is not UTF-8 becomes in part.
const REPLACEMENT: char = '\u{fffd}';

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct EnvironmentLayer {
    pub(crate) tree: Json,
    /// The variable of each key that is set.
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<String>,
}

/// The environment of this process, for [`Settings::load`](crate::Settings::load).
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    })
}

/// Reads every variable that begins with `MCP_`.
pub(crate) fn read(catalog: &Section, env: &BTreeMap<String, String>) -> EnvironmentLayer {
    let variables = catalog.variables();
    let mut layer = EnvironmentLayer { tree: Json::Object(Map::new()), ..Default::default() };
    for (name, value) in env.iter().filter(|(name, _)| name.starts_with("MCP_")) {
        if NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        match variables.get(name) {
            Some(leaf) if of_kubernetes(name, value) => layer.warnings.push(format!(
                "environment variable `{name}` is ignored: `{value}` is what Kubernetes sets for a Service of that name; \
                 set `{}` for `{}`, or `enableServiceLinks: false` in the pod",
                variable(&leaf.path),
                leaf.path,
            )),
            Some(leaf) => layer.set(leaf, name, value),
            None if of_kubernetes(name, value) => {}
            None => layer.unknown(name, variables.keys().map(String::as_str)),
        }
    }
    layer
}

impl EnvironmentLayer {
    fn set(&mut self, leaf: &Leaf, name: &str, value: &str) {
        let path = &leaf.path;
        if let Some(other) = self.names.insert(path.clone(), name.to_owned()) {
            self.problem(name, format!("`{path}` is also set by `{other}`; unset one of them"));
            return;
        }
        let read = if value.contains(REPLACEMENT) {
            None
        } else if value.is_empty() && leaf.nullable {
            Some(Json::Null)
        } else {
            leaf.kind.parse(value)
        };
        match read {
            Some(value) => insert(&mut self.tree, path, value),
            None => self.problem(name, format!("`{path}`{}", misfit(leaf, value))),
        }
    }

    fn unknown<'a>(&mut self, name: &str, known: impl Iterator<Item = &'a str>) {
        if let Some(text) = unavailable::of_variable(name) {
            self.problem(name, text);
            return;
        }
        let hint = match closest(name, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "see docs/configuration.md for those that are read".to_owned(),
        };
        self.warnings.push(format!("environment variable `{name}` is not a setting; {hint}"));
    }

    fn problem(&mut self, name: &str, text: String) {
        self.problems.push(Problem { place: Place::Variable(name.to_owned()), text });
    }
}

/// Why the value is not one of the key, to stand behind its path.
fn misfit(leaf: &Leaf, value: &str) -> String {
    if matches!(leaf.kind, Kind::Map(_)) {
        return " is a mapping; write it in the file, with `${env:NAME}` for secrets".to_owned();
    }
    if value.contains(REPLACEMENT) {
        return ": the value is not UTF-8".to_owned();
    }
    let commas = if matches!(leaf.kind, Kind::List(_)) { " with commas between" } else { "" };
    format!(": expected {}{commas}, found `{}`", leaf.kind.expects(), value.escape_debug())
}

fn insert(tree: &mut Json, path: &str, value: Json) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
    let Json::Object(map) = tree else { return };
    match rest {
        None => {
            map.insert(first.to_owned(), value);
        }
        Some(rest) => {
            let below = map.entry(first).or_insert_with(|| Json::Object(Map::new()));
            insert(below, rest, value);
        }
    }
}

/// Whether Kubernetes sets such a variable for each Service of the namespace: of a Service `mcp-server`, for example
/// `MCP_SERVER_SERVICE_HOST`, `MCP_SERVER_PORT=tcp://…` and `MCP_SERVER_PORT_3000_TCP_ADDR`.
fn of_kubernetes(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && is_url)
        || name.split_once("_PORT_").is_some_and(|(_, rest)| {
            let mut parts = rest.split('_');
            let port = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
            port && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        })
}

#[cfg(test)]
mod tests;
