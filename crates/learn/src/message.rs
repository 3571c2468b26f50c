//! One row of the log, as far as the learned rules look at a message.

use std::collections::{BTreeSet, HashMap};

use audit::{Reader, Row};
use domain::Stage;
use serde_json::{Map, Value, json};

use crate::Error;

/// A call, a resource or a prompt that was allowed, forwarded and answered.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) row: i64,
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) decision_id: String,
    /// What counts as one session: that of the client, else all that an agent does on one day.
    pub(crate) session: String,
    /// The policies that allowed it.
    pub(crate) revision: Option<String>,
    pub(crate) agent: String,
    pub(crate) server: String,
    pub(crate) method: String,
    pub(crate) subject: Subject,
}

/// What the message is about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Tool { name: String, digest: Option<String>, arguments: Option<Arguments> },
    Resource(String),
    Prompt(String),
}

/// Arguments as they were kept.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) value: Value,
    /// JSON pointers to what is secret; some of it is masked.
    pub(crate) secrets: BTreeSet<String>,
}

/// Why a row is not learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is no call, resource or prompt of a client.
    Other,
    /// It was denied, failed, or was allowed only because a rule is watched.
    NotAllowed,
    /// The row does not hold what it is about as policy saw it.
    NotRecorded,
}

impl Message {
    /// The day on which it came.
    pub(crate) fn day(&self) -> &str {
        self.at.get(..10).unwrap_or_default()
    }

    /// What policy sees of it, as far as the learned rules read it.
    pub(crate) fn document(&self) -> Value {
        self.subject.document(&self.agent, &self.server, &self.method)
    }
}

impl Subject {
    /// What policy sees of a message about this, as far as the learned rules read it.
    pub(crate) fn document(&self, agent: &str, server: &str, method: &str) -> Value {
        let (mut members, mut of_server) = (Map::new(), Map::new());
        of_server.insert("name".to_owned(), json!(server));
        let (name, value) = match self {
            Self::Tool { name, digest, arguments } => {
                if let Some(digest) = digest {
                    of_server.insert("tool".to_owned(), json!({ "digest": digest }));
                }
                if let Some(Arguments { value, .. }) = arguments {
                    members.insert("arguments".to_owned(), value.clone());
                }
                ("tool", name)
            }
            Self::Resource(uri) => ("resource", uri),
            Self::Prompt(name) => ("prompt", name),
        };
        let common = [
            ("stage", json!(Stage::Request.as_str())),
            ("method", json!(method)),
            ("agent", json!({ "id": agent })),
            ("server", Value::Object(of_server)),
            (name, json!(value)),
        ];
        common.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(members).collect()
    }
}

/// Reads rows; digests that many rows name are read once.
pub(crate) struct Rows<'r> {
    reader: &'r Reader,
    digests: HashMap<i64, Option<String>>,
}

impl<'r> Rows<'r> {
    pub(crate) fn new(reader: &'r Reader) -> Self {
        Self { reader, digests: HashMap::new() }
    }

    /// The message of a row, or why it says nothing of what is normal.
    pub(crate) fn message(&mut self, row: &Row) -> Result<Result<Message, Unfit>, Error> {
        let subject = match self.subject(row)? {
            Ok(subject) => subject,
            Err(unfit) => return Ok(Err(unfit)),
        };
        if row.decision != "allow" || !row.forwarded || row.error_kind.is_some() {
            return Ok(Err(Unfit::NotAllowed));
        }
        let day = row.timestamp.get(..10).unwrap_or_default();
        let session = row.session_id.clone();
        Ok(Ok(Message {
            row: row.id,
            at: row.timestamp.clone(),
            decision_id: row.decision_id.clone(),
            session: session.unwrap_or_else(|| format!("{} on {day}", row.agent_id)),
            revision: row.policy_revision.clone(),
            agent: row.agent_id.clone(),
            server: row.server.clone().unwrap_or_default(),
            method: row.method.clone(),
            subject,
        }))
    }

    fn subject(&mut self, row: &Row) -> Result<Result<Subject, Unfit>, Error> {
        let of_client = [Stage::Request, Stage::Response].map(Stage::as_str);
        if !of_client.contains(&&*row.stage) {
            return Ok(Err(Unfit::Other));
        }
        let list = row.redactions.as_ref().map_or("[]", |list| list.as_str());
        let changed: Vec<String> = serde_json::from_str(list).unwrap_or_default();
        let kept = |place: &str| !changed.iter().any(|pointer| pointer == place);
        if !kept("/method") || !kept("/tool") || !kept("/resource") || !kept("/prompt") {
            return Ok(Err(Unfit::NotRecorded));
        }
        Ok(match (&*row.method, &row.tool, &row.resource_uri, &row.prompt) {
            ("tools/call", Some(name), _, _) => Ok(Subject::Tool {
                name: name.clone(),
                digest: self.digest(row)?,
                arguments: arguments(row).filter(|_| kept("/arguments")),
            }),
            (_, _, Some(uri), _) => Ok(Subject::Resource(uri.clone())),
            (_, _, _, Some(name)) => Ok(Subject::Prompt(name.clone())),
            _ => Err(Unfit::Other),
        })
    }

    fn digest(&mut self, row: &Row) -> Result<Option<String>, Error> {
        let Some(id) = row.tool_facts_id else { return Ok(None) };
        if let Some(known) = self.digests.get(&id) {
            return Ok(known.clone());
        }
        let facts = self.reader.facts(id)?;
        let facts = facts.and_then(|json| serde_json::from_str::<Value>(&json).ok());
        let digest = facts.and_then(|facts| Some(facts.get("digest")?.as_str()?.to_owned()));
        self.digests.insert(id, digest.clone());
        Ok(digest)
    }
}

/// The arguments of a row; `None` when they were not kept. A call without arguments has none in it.
fn arguments(row: &Row) -> Option<Arguments> {
    let changed: Vec<String> = serde_json::from_str(row.redactions.as_ref()?.as_str()).ok()?;
    let Some(text) = row.arguments.as_ref().map(|json| json.as_str()) else {
        return Some(Arguments { value: Value::Object(Map::new()), secrets: BTreeSet::new() });
    };
    let masked = changed.iter().filter_map(|pointer| pointer.strip_prefix("/arguments"));
    let mut secrets: BTreeSet<String> = masked.map(str::to_owned).collect();
    secrets.extend(mask::places(text));
    Some(Arguments { value: serde_json::from_str(text).ok()?, secrets })
}
