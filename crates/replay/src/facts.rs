//! What a row names instead of holding it: the facts of its session and of its tool.

use std::sync::Arc;
use std::time::SystemTime;

use audit::Row;
use domain::{Agent, Identity, ToolView};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Who asked whom, in which session.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) agent: Arc<Agent>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) session_id: Option<String>,
    pub(crate) started_at: Option<SystemTime>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) client_name: Option<String>,
    pub(crate) client_version: Option<String>,
    pub(crate) server: String,
    pub(crate) server_transport: String,
    pub(crate) server_url: Option<String>,
    /// Whether this is all that policy saw. Rows of releases that kept no facts have but their columns.
    pub(crate) whole: bool,
}

/// The column `json` of `audit_facts`.
#[derive(Deserialize)]
struct Written {
    agent: Agent,
    identity: WrittenIdentity,
    session: WrittenSession,
    server: WrittenServer,
}

#[derive(Deserialize)]
struct WrittenIdentity {
    verified: bool,
    method: Arc<str>,
    did: Arc<str>,
}

#[derive(Deserialize)]
struct WrittenSession {
    id: Option<String>,
    started_at: Option<String>,
    protocol_version: Option<String>,
    #[serde(default)]
    client: WrittenClient,
}

#[derive(Default, Deserialize)]
struct WrittenClient {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct WrittenServer {
    name: String,
    transport: String,
    url: Option<String>,
}

#[derive(Deserialize)]
struct WrittenTool {
    description: Option<Box<str>>,
    annotations: Option<Box<RawValue>>,
    digest: Arc<str>,
    changed: bool,
}

impl Facts {
    /// The facts as they were written.
    pub(crate) fn read(json: &str) -> serde_json::Result<Self> {
        let Written { agent, identity, session, server } = serde_json::from_str(json)?;
        let WrittenIdentity { verified, method, did } = identity;
        let started_at = session.started_at.map(|text| text.parse::<Timestamp>()).transpose();
        Ok(Self {
            agent: Arc::new(agent),
            identity: Arc::new(Identity { verified, method, did }),
            session_id: session.id,
            started_at: started_at.map_err(serde::de::Error::custom)?.map(SystemTime::from),
            protocol_version: session.protocol_version,
            client_name: session.client.name,
            client_version: session.client.version,
            server: server.name,
            server_transport: server.transport,
            server_url: server.url,
            whole: true,
        })
    }

    /// What the columns of a row say themselves.
    pub(crate) fn of_columns(row: &Row) -> Self {
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
        Self {
            agent: Arc::new(Agent {
                id: (*row.agent_id).into(),
                name: text(&row.agent_name),
                capabilities: serde_json::from_str(row.capabilities.as_str()).unwrap_or_default(),
                model: "".into(),
                publisher: "".into(),
                tags: Vec::new(),
                roles: Vec::new(),
            }),
            identity: Arc::new(Identity {
                verified: row.identity_verified,
                method: "".into(),
                did: text(&row.did),
            }),
            session_id: row.session_id.clone(),
            started_at: None,
            protocol_version: row.protocol_version.clone(),
            client_name: None,
            client_version: None,
            server: row.server.clone().unwrap_or_default(),
            server_transport: String::new(),
            server_url: None,
            whole: false,
        }
    }
}

/// What was known of a tool.
pub(crate) fn tool(json: &str) -> serde_json::Result<ToolView> {
    let WrittenTool { description, annotations, digest, changed } = serde_json::from_str(json)?;
    let annotations = annotations.map(|raw| raw.get().into());
    Ok(ToolView { description, annotations, digest, changed })
}
