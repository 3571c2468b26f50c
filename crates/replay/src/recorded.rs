//! One row of the log as the input that policy was asked about.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use audit::{Reader, Row};
use domain::{
    ContextView, PolicyInput, ServerView, SessionState, SessionView, Stage, ToolView, Transport,
};
use rego::written;
use serde_json::Value;

use crate::facts::{self, Facts};
use crate::{Error, document};

/// The input of one recorded decision, as far as the log has it, and which of it the log does not have.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub(crate) stage: Stage,
    pub(crate) method: String,
    pub(crate) tool: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) prompt: Option<String>,
    /// Raw JSON.
    pub(crate) arguments: Option<String>,
    pub(crate) size: usize,
    pub(crate) facts: Arc<Facts>,
    pub(crate) tool_view: Option<Arc<ToolView>>,
    pub(crate) request_count: Option<u64>,
    pub(crate) state: Option<Arc<SessionState>>,
    pub(crate) at: SystemTime,
    pub(crate) source_ip: Option<IpAddr>,
    pub(crate) environment: String,
    pub(crate) transport: Transport,
    /// Paths below `input` that the row does not hold as policy saw them, besides those of [`never`].
    pub(crate) changed: Vec<Vec<String>>,
}

/// What no row holds.
pub(crate) fn never() -> [&'static [&'static str]; 3] {
    [&["request", "id"], &["request", "params"], &["context", "headers"]]
}

/// What rows without facts do not hold.
const WITHOUT_FACTS: [&[&str]; 11] = [
    &["agent", "model"],
    &["agent", "publisher"],
    &["agent", "tags"],
    &["agent", "roles"],
    &["identity", "method"],
    &["session", "request_count"],
    &["session", "started_at"],
    &["session", "client"],
    &["server", "transport"],
    &["server", "url"],
    &["server", "tool"],
];

/// What rows without a session state do not hold.
pub(crate) const STATE: [&[&str]; 5] = [
    &["session", "cumulative_reads"],
    &["session", "cumulative_writes"],
    &["session", "tools_used"],
    &["session", "taints"],
    &["session", "bytes_out"],
];

/// Members of `input` that stand in `request` too.
const TWICE: [&str; 5] = ["method", "tool", "resource", "prompt", "arguments"];

/// Reads the rows of one log; facts that many rows name are read once.
pub struct Library<'r> {
    reader: &'r Reader,
    facts: HashMap<i64, Arc<Facts>>,
    tools: HashMap<i64, Arc<ToolView>>,
}

/// Most facts that are held at a time.
const HELD: usize = 20_000;

impl<'r> Library<'r> {
    /// Reads from that log.
    #[must_use]
    pub fn new(reader: &'r Reader) -> Self {
        Self { reader, facts: HashMap::new(), tools: HashMap::new() }
    }

    /// The input of the decision that `row` records.
    ///
    /// # Errors
    ///
    /// [`Error::Audit`] when the log cannot be read, [`Error::Unreadable`] when the row, or what it names, is not what
    /// the gateway writes.
    pub fn recorded(&mut self, row: &Row) -> Result<Recorded, Error> {
        let wrong = |column: &'static str| Error::Unreadable { id: row.id, column };
        let facts = match row.facts_id {
            Some(id) => held(&mut self.facts, self.reader, id, Facts::read)?
                .ok_or_else(|| wrong("facts_id"))?,
            None => Arc::new(Facts::of_columns(row)),
        };
        let tool_view = match row.tool_facts_id {
            Some(id) => Some(
                held(&mut self.tools, self.reader, id, facts::tool)?
                    .ok_or_else(|| wrong("tool_facts_id"))?,
            ),
            None => None,
        };
        let state = row.session_state.as_ref().map(|json| serde_json::from_str(json.as_str()));
        let stage = Stage::ALL.into_iter().find(|stage| stage.as_str() == row.stage);
        let transport = Transport::ALL.into_iter().find(|it| it.as_str() == row.transport);
        let source_ip = row.source_ip.as_deref().map(str::parse).transpose();
        let micros = u64::try_from(row.timestamp_us).map_err(|_| wrong("timestamp_us"))?;
        let whole = facts.whole;
        let recorded = Recorded {
            stage: stage.ok_or_else(|| wrong("stage"))?,
            method: row.method.clone(),
            tool: row.tool.clone(),
            resource: row.resource_uri.clone(),
            prompt: row.prompt.clone(),
            arguments: row.arguments.as_ref().map(|json| json.as_str().to_owned()),
            size: usize::try_from(row.request_bytes).map_err(|_| wrong("request_bytes"))?,
            facts,
            tool_view,
            request_count: row.request_count.and_then(|count| u64::try_from(count).ok()),
            state: state.transpose().map_err(|_| wrong("session_state"))?.map(Arc::new),
            at: SystemTime::UNIX_EPOCH + Duration::from_micros(micros),
            source_ip: source_ip.map_err(|_| wrong("source_ip"))?,
            environment: row.environment.clone().unwrap_or_default(),
            transport: transport.ok_or_else(|| wrong("transport"))?,
            changed: changed(row, whole).ok_or_else(|| wrong("redactions"))?,
        };
        Ok(if recorded.stage == Stage::Connect { recorded.at_the_door() } else { recorded })
    }
}

/// What the log keeps under that number, from memory if it was read before; `None` when it is not there, or not what
/// `read` knows.
fn held<T>(
    known: &mut HashMap<i64, Arc<T>>,
    reader: &Reader,
    id: i64,
    read: fn(&str) -> serde_json::Result<T>,
) -> Result<Option<Arc<T>>, Error> {
    if let Some(found) = known.get(&id) {
        return Ok(Some(Arc::clone(found)));
    }
    let Some(Ok(found)) = reader.facts(id)?.map(|json| read(&json)) else { return Ok(None) };
    if known.len() >= HELD {
        known.clear();
    }
    let found = Arc::new(found);
    known.insert(id, Arc::clone(&found));
    Ok(Some(found))
}

/// What the row does not hold as policy saw it; `None` when the column `redactions` is not what the gateway writes.
fn changed(row: &Row, whole: bool) -> Option<Vec<Vec<String>>> {
    let pointers: Vec<String> = match &row.redactions {
        Some(list) => serde_json::from_str(list.as_str()).ok()?,
        None => vec!["/arguments".to_owned()],
    };
    let mut changed: Vec<Vec<String>> = Vec::new();
    for pointer in pointers {
        let path = steps(&pointer);
        if path.first().is_some_and(|first| TWICE.contains(&&**first)) {
            changed.push([&["request".to_owned()], &*path].concat());
        }
        changed.push(path);
    }
    let owned = |path: &[&str]| path.iter().map(|&step| step.to_owned()).collect();
    if !whole {
        changed.extend(WITHOUT_FACTS.iter().map(|path| owned(path)));
    }
    if row.session_state.is_none() {
        changed.extend(STATE.iter().map(|path| owned(path)));
    }
    Some(changed)
}

/// The steps of a JSON pointer (RFC 6901).
fn steps(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

impl Recorded {
    /// The input as the gateway asks policy about it.
    pub(crate) fn input<'a>(
        &'a self,
        stage: Stage,
        state: &'a Arc<SessionState>,
    ) -> PolicyInput<'a> {
        let facts = &*self.facts;
        PolicyInput {
            stage,
            method: &self.method,
            id: None,
            tool: self.tool.as_deref(),
            resource: self.resource.as_deref(),
            prompt: self.prompt.as_deref(),
            arguments: self.arguments.as_deref(),
            params: None,
            size: self.size,
            result: None,
            agent: &facts.agent,
            identity: &facts.identity,
            session: SessionView {
                id: facts.session_id.as_deref(),
                request_count: self.request_count,
                started_at: facts.started_at,
                protocol_version: facts.protocol_version.as_deref(),
                client_name: facts.client_name.as_deref(),
                client_version: facts.client_version.as_deref(),
                state,
            },
            server: ServerView {
                name: &facts.server,
                transport: &facts.server_transport,
                url: facts.server_url.as_deref(),
                tool: self.tool_view.as_deref(),
            },
            context: ContextView {
                timestamp: self.at,
                source_ip: self.source_ip,
                environment: &self.environment,
                transport: self.transport,
                headers: &[],
            },
        }
    }

    /// The input at stage connect, which holds nothing of the message.
    pub(crate) fn at_the_door(&self) -> Self {
        let facts = Facts {
            session_id: None,
            started_at: None,
            protocol_version: None,
            client_name: None,
            client_version: None,
            ..Facts::clone(&self.facts)
        };
        let unknown = |path: &&Vec<String>| {
            matches!(path.first().map(String::as_str), Some("agent" | "identity" | "server"))
        };
        Self {
            stage: Stage::Connect,
            size: 0,
            facts: Arc::new(facts),
            state: Some(Arc::default()),
            at: self.at,
            source_ip: self.source_ip,
            environment: self.environment.clone(),
            transport: self.transport,
            changed: self.changed.iter().filter(unknown).cloned().collect(),
            ..self.facts_alone()
        }
    }

    /// An input with the same facts and nothing else.
    pub(crate) fn facts_alone(&self) -> Self {
        Self {
            stage: Stage::Request,
            method: String::new(),
            tool: None,
            resource: None,
            prompt: None,
            arguments: None,
            size: 0,
            facts: Arc::clone(&self.facts),
            tool_view: None,
            request_count: None,
            state: None,
            at: SystemTime::UNIX_EPOCH,
            source_ip: None,
            environment: String::new(),
            transport: Transport::Internal,
            changed: Vec::new(),
        }
    }

    /// Whether policy is asked about the client first, under the same row: `initialize` over Streamable HTTP.
    pub(crate) fn comes_in(&self) -> bool {
        self.stage == Stage::Request
            && self.transport == Transport::Http
            && self.method == "initialize"
    }

    /// The input as a JSON document, without what the log does not have.
    #[must_use]
    pub fn document(&self) -> Value {
        let state = self.state.clone().unwrap_or_default();
        let mut document = document::of(&self.input(self.stage, &state));
        for path in &self.changed {
            document::remove(&mut document, path);
        }
        document
    }

    /// The paths (`input.arguments`) that the log does not have, or not as policy saw them.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let never = never();
        let mut paths: Vec<String> = never.iter().map(|path| written(path)).collect();
        paths.extend(self.changed.iter().map(|path| written(path)));
        if self.stage == Stage::Response {
            paths.push("input.result".to_owned());
        }
        paths
    }
}

#[cfg(test)]
mod tests;
