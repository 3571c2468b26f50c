//! What is granted, and nobody used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use audit::{Filter, Reader, Row};
use domain::{Stage, Verdict};
use policy::{PolicyEngine, decide_document};
use replay::Library;
use serde::Serialize;
use serde_json::{Value, json};

use crate::Error;

/// A tool that an agent may call, and did not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unused {
    /// The agent.
    pub agent: String,
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// Since when the agent is in the log: RFC 3339.
    pub since: String,
    /// How many messages it sent to the server since then.
    pub messages: u64,
}

/// An agent at a server.
type Pair = (String, String);

/// What the log knows.
#[derive(Default)]
struct Known {
    /// The newest row of each agent, when the first came, and how many there are.
    agents: BTreeMap<Pair, (Row, String, u64)>,
    /// By server and tool, the newest row with its definition, if there is one.
    tools: BTreeMap<Pair, Option<Row>>,
    /// What was forwarded.
    used: BTreeSet<(String, String, String)>,
}

/// Lists what agents in the log at `db` may call under the policies of `engine`, and did not since then (without it: in
/// the whole log). Asked at stage list, for each agent and each tool that the log names, or the data of the policies:
/// `tool_capabilities`, `tool_approval.tools` and `learned`.
///
/// # Errors
///
/// [`Error::Audit`] when the log cannot be read, [`Error::Replay`] when a row of it cannot.
pub fn unused(
    db: &Path,
    engine: &PolicyEngine,
    data: &Value,
    since: Option<SystemTime>,
) -> Result<Vec<Unused>, Error> {
    let reader = Reader::open(db)?;
    let filter = Filter { since, limit: u32::MAX, ..Filter::default() };
    let mut known = Known::default();
    reader.history(&filter, |row| known.add(row))?;
    let mut library = Library::new(&reader);
    let mut unused = Vec::new();
    for ((agent, server), (row, first, messages)) in &known.agents {
        let base = library.recorded(row)?.document();
        for tool in known.named(server).union(&of_data(data, server)) {
            let key = (agent.clone(), server.clone(), tool.clone());
            if known.used.contains(&key) {
                continue;
            }
            let listed = known.tools.get(&(server.clone(), tool.clone())).and_then(Option::as_ref);
            let definition = match listed {
                Some(row) => library.recorded(row)?.document().pointer("/server/tool").cloned(),
                None => None,
            };
            let entry = list_entry(base.clone(), tool, definition);
            if decide_document(engine, Stage::List, &entry).verdict == Verdict::Allow {
                let (agent, server, tool) = key;
                unused.push(Unused {
                    agent,
                    server,
                    tool,
                    since: first.clone(),
                    messages: *messages,
                });
            }
        }
    }
    Ok(unused)
}

impl Known {
    fn add(&mut self, row: Row) {
        // Acts of the gateway have no agent.
        let Some(server) = row.server.clone().filter(|_| row.stage != Stage::Gateway.as_str())
        else {
            return;
        };
        if row.method == "tools/call"
            && let Some(tool) = row.tool.clone()
        {
            if row.forwarded {
                self.used.insert((row.agent_id.clone(), server.clone(), tool.clone()));
            }
            let newest = self.tools.entry((server.clone(), tool)).or_default();
            if row.tool_facts_id.is_some() {
                *newest = Some(row.clone());
            }
        }
        let pair = (row.agent_id.clone(), server);
        let (first, count) = match self.agents.remove(&pair) {
            Some((_, first, count)) => (first, count + 1),
            None => (row.timestamp.clone(), 1),
        };
        self.agents.insert(pair, (row, first, count));
    }

    /// Tools of the server that the log names.
    fn named(&self, server: &str) -> BTreeSet<String> {
        let of_server = self.tools.keys().filter(|(of, _)| of == server);
        of_server.map(|(_, tool)| tool.clone()).collect()
    }
}

/// Tools that the data of the policies names.
fn of_data(data: &Value, server: &str) -> BTreeSet<String> {
    let learned = data.pointer("/learned/agents").and_then(Value::as_object);
    let learned = learned.into_iter().flat_map(|agents| agents.values());
    let tables = learned
        .filter_map(|servers| servers.get(server)?.get("tools"))
        .chain(data.get("tool_capabilities"))
        .chain(data.pointer("/tool_approval/tools").and_then(|servers| servers.get(server)));
    tables.filter_map(Value::as_object).flat_map(|table| table.keys().cloned()).collect()
}

/// The input for an entry of a list, made from another message of the agent.
fn list_entry(mut input: Value, tool: &str, definition: Option<Value>) -> Value {
    let message = json!({ "method": "tools/call", "tool": tool });
    let Value::Object(members) = &mut input else { return input };
    for name in ["resource", "prompt", "arguments"] {
        members.remove(name);
    }
    members.insert("stage".to_owned(), json!(Stage::List.as_str()));
    members.insert("method".to_owned(), json!("tools/call"));
    members.insert("tool".to_owned(), json!(tool));
    members.insert("request".to_owned(), message);
    if let Some(Value::Object(server)) = members.get_mut("server") {
        server.remove("tool");
        server.extend(definition.map(|definition| ("tool".to_owned(), definition)));
    }
    input
}

#[cfg(test)]
mod tests;
