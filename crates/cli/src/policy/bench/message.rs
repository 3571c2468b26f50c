//! A message as the gateway would ask policy about it, made of the document `input`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use domain::{
    Agent, ContextView, Identity, PolicyInput, ServerView, SessionState, SessionView, Stage,
    ToolView, Transport,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a [`PolicyInput`] borrows from.
#[derive(Debug)]
pub(super) struct Message {
    document: Document,
    stage: Stage,
    transport: Transport,
    size: usize,
    identity: Arc<Identity>,
    state: Arc<SessionState>,
    tool: Option<ToolView>,
    headers: Vec<(Box<str>, Box<str>)>,
}

#[derive(Debug, Deserialize)]
struct Document {
    stage: String,
    #[serde(default)]
    method: String,
    tool: Option<String>,
    resource: Option<String>,
    prompt: Option<String>,
    arguments: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    #[serde(default)]
    request: Request,
    agent: Arc<Agent>,
    identity: WrittenIdentity,
    session: Session,
    server: Server,
    context: Context,
}

#[derive(Debug, Default, Deserialize)]
struct Request {
    id: Option<Box<RawValue>>,
    params: Option<Box<RawValue>>,
    size: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct WrittenIdentity {
    verified: bool,
    method: Arc<str>,
    did: Arc<str>,
}

impl Default for WrittenIdentity {
    fn default() -> Self {
        Self { verified: false, method: "".into(), did: "".into() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Session {
    id: Option<String>,
    request_count: Option<u64>,
    started_at: Option<Moment>,
    protocol_version: Option<String>,
    client: Client,
    cumulative_reads: u64,
    cumulative_writes: u64,
    tools_used: BTreeMap<Arc<str>, u64>,
    taints: BTreeSet<Arc<str>>,
    bytes_out: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Client {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Server {
    name: String,
    transport: String,
    url: Option<String>,
    tool: Option<Tool>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    description: Option<Box<str>>,
    annotations: Option<Box<RawValue>>,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    changed: bool,
}

#[derive(Debug, Deserialize)]
struct Context {
    timestamp: Moment,
    source_ip: Option<IpAddr>,
    environment: String,
    transport: String,
    #[serde(default)]
    headers: BTreeMap<Box<str>, Box<str>>,
}

/// A time in RFC 3339.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Moment(SystemTime);

impl TryFrom<String> for Moment {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse::<Timestamp>().map(|at| Self(at.into()))
    }
}

fn raw(json: &Option<Box<RawValue>>) -> Option<&str> {
    json.as_deref().map(RawValue::get)
}

impl Message {
    /// The message of a document that was completed as for `policy eval`.
    ///
    /// # Errors
    ///
    /// Nothing that the gateway asks looks like this.
    pub(super) fn of(input: &str) -> anyhow::Result<Self> {
        let mut document: Document =
            serde_json::from_str(input).context("the input is no message of the gateway")?;
        let stage = Stage::ALL.into_iter().find(|it| it.as_str() == document.stage);
        let transport =
            Transport::ALL.into_iter().find(|it| it.as_str() == document.context.transport);
        let WrittenIdentity { verified, method, did } = std::mem::take(&mut document.identity);
        let session = &mut document.session;
        let state = SessionState {
            cumulative_reads: session.cumulative_reads,
            cumulative_writes: session.cumulative_writes,
            tools_used: std::mem::take(&mut session.tools_used),
            taints: std::mem::take(&mut session.taints),
            bytes_out: session.bytes_out,
        };
        let tool = document.server.tool.take().map(|tool| ToolView {
            description: tool.description,
            annotations: tool.annotations.map(|json| json.get().into()),
            digest: tool.digest.into(),
            changed: tool.changed,
        });
        Ok(Self {
            stage: stage.with_context(|| format!("`{}` is no stage", document.stage))?,
            transport: transport.with_context(|| {
                format!("`{}` is no transport of a client", document.context.transport)
            })?,
            size: document.request.size.unwrap_or(input.len()),
            identity: Arc::new(Identity { verified, method, did }),
            state: Arc::new(state),
            tool,
            headers: std::mem::take(&mut document.context.headers).into_iter().collect(),
            document,
        })
    }

    /// What policy is asked.
    pub(super) fn input(&self) -> PolicyInput<'_> {
        let Document { request, session, server, context, .. } = &self.document;
        PolicyInput {
            stage: self.stage,
            method: &self.document.method,
            id: raw(&request.id),
            tool: self.document.tool.as_deref(),
            resource: self.document.resource.as_deref(),
            prompt: self.document.prompt.as_deref(),
            arguments: raw(&self.document.arguments),
            params: raw(&request.params),
            size: self.size,
            result: raw(&self.document.result),
            agent: &self.document.agent,
            identity: &self.identity,
            session: SessionView {
                id: session.id.as_deref(),
                request_count: session.request_count,
                started_at: session.started_at.map(|at| at.0),
                protocol_version: session.protocol_version.as_deref(),
                client_name: session.client.name.as_deref(),
                client_version: session.client.version.as_deref(),
                state: &self.state,
            },
            server: ServerView {
                name: &server.name,
                transport: &server.transport,
                url: server.url.as_deref(),
                tool: self.tool.as_ref(),
            },
            context: ContextView {
                timestamp: context.timestamp.0,
                source_ip: context.source_ip,
                environment: &context.environment,
                transport: self.transport,
                headers: &self.headers,
            },
        }
    }
}

#[cfg(test)]
mod tests;
