//! What policy is asked about: the fields of `input`, borrowed from the message and its session.
//!
//! The view is cheap to build (no field is copied); the `policy` crate turns into Rego values only
//! the fields that the loaded rules read.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::{Agent, Identity, SessionState, Stage, Transport};

/// The document `input`, unevaluated. JSON members hold raw JSON text that has been validated.
#[derive(Clone, Debug)]
pub struct PolicyInput<'a> {
    /// `input.stage`.
    pub stage: Stage,
    /// `input.method` and `input.request.method`.
    pub method: &'a str,
    /// `input.request.id`, raw JSON; absent for notifications.
    pub id: Option<&'a str>,
    /// `input.tool` and `input.request.tool`: the tool of `tools/call`, or the entry at stage list.
    pub tool: Option<&'a str>,
    /// `input.resource` and `input.request.resource`: the URI of `resources/*`.
    pub resource: Option<&'a str>,
    /// `input.prompt` and `input.request.prompt`: the prompt of `prompts/get`.
    pub prompt: Option<&'a str>,
    /// `input.arguments` and `input.request.arguments`, raw JSON.
    pub arguments: Option<&'a str>,
    /// `input.request.params`, raw JSON.
    pub params: Option<&'a str>,
    /// `input.request.size`: bytes of the message.
    pub size: usize,
    /// `input.result` at stage response, raw JSON of the result or error.
    pub result: Option<&'a str>,
    /// `input.agent`.
    pub agent: &'a Arc<Agent>,
    /// `input.identity`.
    pub identity: &'a Arc<Identity>,
    /// `input.session`.
    pub session: SessionView<'a>,
    /// `input.server`.
    pub server: ServerView<'a>,
    /// `input.context`.
    pub context: ContextView<'a>,
}

/// `input.session`.
#[derive(Clone, Copy, Debug)]
pub struct SessionView<'a> {
    /// `id`: the public name of the session; absent for stateless clients, like the next two.
    pub id: Option<&'a str>,
    /// `request_count`: messages of the session so far, this one included.
    pub request_count: Option<u64>,
    /// `started_at`, given to policy in RFC 3339.
    pub started_at: Option<SystemTime>,
    /// `protocol_version`, once negotiated.
    pub protocol_version: Option<&'a str>,
    /// `client.name`, as the client calls itself.
    pub client_name: Option<&'a str>,
    /// `client.version`, as the client calls itself.
    pub client_version: Option<&'a str>,
    /// `cumulative_reads`, `cumulative_writes`, `tools_used`, `taints` and `bytes_out`.
    pub state: &'a Arc<SessionState>,
}

impl<'a> SessionView<'a> {
    /// What is known of a session where there is none: its state, which is `state`.
    #[must_use]
    pub const fn none(state: &'a Arc<SessionState>) -> Self {
        Self {
            id: None,
            request_count: None,
            started_at: None,
            protocol_version: None,
            client_name: None,
            client_version: None,
            state,
        }
    }
}

/// `input.server`.
#[derive(Clone, Copy, Debug)]
pub struct ServerView<'a> {
    /// `name`, as configured.
    pub name: &'a str,
    /// `transport`: `http`, `sse`, `websocket` or `stdio`.
    pub transport: &'a str,
    /// `url`, when it has one; without user, password and query.
    pub url: Option<&'a str>,
    /// `tool`: what the server says of the tool that is called or listed, once it was listed.
    pub tool: Option<&'a ToolView>,
}

/// `input.server.tool`: what a server said of a tool when it listed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolView {
    /// `description`, when it has one.
    pub description: Option<Box<str>>,
    /// `annotations`, raw JSON, when it has them.
    pub annotations: Option<Box<str>>,
    /// `digest`: SHA-256 over the definition in canonical form (RFC 8785), in hexadecimal.
    pub digest: Arc<str>,
    /// `changed`: whether the gateway has seen another definition of the tool since it was started.
    pub changed: bool,
}

/// `input.context`.
#[derive(Clone, Copy, Debug)]
pub struct ContextView<'a> {
    /// `timestamp`, given to policy in RFC 3339 UTC.
    pub timestamp: SystemTime,
    /// `source_ip`: the client's address without the port; absent for messages of the server.
    pub source_ip: Option<IpAddr>,
    /// `environment`, as configured under `policy.environment`.
    pub environment: &'a str,
    /// `transport`: how the message came in.
    pub transport: Transport,
    /// `headers`: those of the client's HTTP headers that `policy.headers` names, in lower case.
    pub headers: &'a [(Box<str>, Box<str>)],
}
