//! What was seen, by agent, server and tool, resource or prompt.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::evidence::{Evidence, Floors};
use crate::ladder::Seen;
use crate::message::{Message, Subject};

/// Most entries; a client may invent names without end.
const ENTRIES: usize = 10_000;

/// All entries.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    agents: BTreeMap<String, Agent>,
    count: usize,
    /// Messages that came when there were too many entries.
    pub(crate) crowded: u64,
}

#[derive(Debug, Default)]
struct Agent {
    sessions: BTreeSet<usize>,
    servers: BTreeMap<String, Server>,
}

#[derive(Debug, Default)]
struct Server {
    tools: BTreeMap<String, Tool>,
    /// By scheme.
    resources: BTreeMap<String, Resource>,
    prompts: BTreeMap<String, Evidence>,
}

#[derive(Debug, Default)]
struct Tool {
    evidence: Evidence,
    /// Calls by the digest of the definition.
    definitions: BTreeMap<String, u64>,
    undefined: u64,
    arguments: Seen,
    /// Calls of which the arguments were not recorded.
    unrecorded: u64,
}

#[derive(Debug, Default)]
struct Resource {
    evidence: Evidence,
    uri: Seen,
}

/// How many entries there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) entries: usize,
    pub(crate) for_review: usize,
}

impl Entries {
    /// Adds a message of the session at that place.
    pub(crate) fn add(&mut self, message: &Message, session: usize) {
        if self.count >= ENTRIES && !self.knows(message) {
            self.crowded += 1;
            return;
        }
        let agent = self.agents.entry(message.agent.clone()).or_default();
        agent.sessions.insert(session);
        let server = agent.servers.entry(message.server.clone()).or_default();
        let evidence = match &message.subject {
            Subject::Tool { name, digest, arguments } => {
                let tool = server.tools.entry(name.clone()).or_default();
                match digest {
                    Some(digest) => *tool.definitions.entry(digest.clone()).or_default() += 1,
                    None => tool.undefined += 1,
                }
                match arguments {
                    Some(arguments) => tool.arguments.add(&arguments.value, &arguments.secrets),
                    None => tool.unrecorded += 1,
                }
                &mut tool.evidence
            }
            Subject::Resource(uri) => {
                let resource = server.resources.entry(scheme(uri).to_owned()).or_default();
                resource.uri.add(&json!(uri), &BTreeSet::new());
                &mut resource.evidence
            }
            Subject::Prompt(name) => server.prompts.entry(name.clone()).or_default(),
        };
        self.count += usize::from(evidence.events() == 0);
        evidence.add(message, session);
    }

    fn knows(&self, message: &Message) -> bool {
        let agent = self.agents.get(&message.agent);
        let server = agent.and_then(|agent| agent.servers.get(&message.server));
        server.is_some_and(|server| match &message.subject {
            Subject::Tool { name, .. } => server.tools.contains_key(name),
            Subject::Resource(uri) => server.resources.contains_key(scheme(uri)),
            Subject::Prompt(name) => server.prompts.contains_key(name),
        })
    }

    /// `data.learned.agents`, and how much is in it.
    pub(crate) fn written(&self, floors: Floors) -> (Value, Count) {
        let mut count = Count { entries: self.count, for_review: 0 };
        let mut agents = Map::new();
        for (id, agent) in &self.agents {
            let all = agent.sessions.len();
            let mut write = |evidence: &Evidence, lacks: Vec<String>, more: Value| {
                let mut entry = Map::new();
                entry.insert("evidence".to_owned(), evidence.written(all));
                let review = [evidence.lacks(floors), lacks].concat();
                if !review.is_empty() {
                    count.for_review += 1;
                    entry.insert("review".to_owned(), json!(review));
                }
                if let Value::Object(more) = more {
                    entry.extend(more);
                }
                Value::Object(entry)
            };
            let servers = agent.servers.iter();
            let servers: Map<String, Value> =
                servers.map(|(name, server)| (name.clone(), server.written(&mut write))).collect();
            agents.insert(id.clone(), Value::Object(servers));
        }
        (Value::Object(agents), count)
    }
}

impl Server {
    fn written(&self, write: &mut impl FnMut(&Evidence, Vec<String>, Value) -> Value) -> Value {
        let tools: Map<String, Value> = self
            .tools
            .iter()
            .map(|(name, tool)| {
                let more = json!({ "definitions": tool.definitions(), "arguments": tool.rung() });
                (name.clone(), write(&tool.evidence, tool.lacks(), more))
            })
            .collect();
        let resources: Map<String, Value> = self
            .resources
            .iter()
            .map(|(scheme, resource)| {
                let more = json!({ "uri": resource.uri.rung() });
                (scheme.clone(), write(&resource.evidence, Vec::new(), more))
            })
            .collect();
        let prompts: Map<String, Value> = self
            .prompts
            .iter()
            .map(|(name, evidence)| (name.clone(), write(evidence, Vec::new(), Value::Null)))
            .collect();
        let groups = [("tools", tools), ("resources", resources), ("prompts", prompts)];
        let there = groups.into_iter().filter(|(_, entries)| !entries.is_empty());
        there.map(|(name, entries)| (name.to_owned(), Value::Object(entries))).collect()
    }
}

impl Tool {
    /// Calls by digest; empty where no definition was ever known, and then any is as good.
    fn definitions(&self) -> BTreeMap<&str, u64> {
        let mut definitions: BTreeMap<&str, u64> =
            self.definitions.iter().map(|(digest, count)| (&**digest, *count)).collect();
        if !definitions.is_empty() && self.undefined > 0 {
            // What the module calls the digest of a tool that was not listed.
            definitions.insert("unknown", self.undefined);
        }
        definitions
    }

    fn rung(&self) -> Value {
        if self.arguments.count() == 0 {
            return json!({ "rung": "any" });
        }
        self.arguments.rung()
    }

    fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        match self.definitions.len() {
            0 => lacks.push("no definition of the tool was recorded; any will do".to_owned()),
            1 => {}
            several => lacks.push(format!("the tool had {several} definitions")),
        }
        if self.unrecorded > 0 {
            let Self { unrecorded, evidence, .. } = self;
            lacks.push(format!(
                "the arguments of {unrecorded} of {} calls were not recorded",
                evidence.events()
            ));
        }
        lacks
    }
}

/// What stands before the first colon, as the module cuts it.
fn scheme(uri: &str) -> &str {
    uri.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
