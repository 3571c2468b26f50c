//! Who is calling: the agent as policy sees it, and how far that is proven.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The agent on whose behalf a client speaks: `input.agent` in policy.
///
/// It is also the `agent` section of the configuration: until a client proves another identity,
/// every caller is this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// Identifier of the agent, as policy (`input.agent.id`) and the audit log name it.
    pub id: Arc<str>,
    /// Human-readable name of the agent.
    pub name: Arc<str>,
    /// What the agent may do, in the form `read:*` or `write:files`; policy gives it meaning. An agent
    /// that nobody configured may read.
    pub capabilities: Vec<Arc<str>>,
    /// Model behind the agent, for policies that restrict data to certain models.
    pub model: Arc<str>,
    /// Publisher of the agent.
    pub publisher: Arc<str>,
    /// Free labels for policy.
    pub tags: Vec<Arc<str>>,
    /// Roles of the agent, for policies that grant by role.
    pub roles: Vec<Arc<str>>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            id: "anonymous".into(),
            name: "".into(),
            capabilities: vec!["read:*".into()],
            model: "".into(),
            publisher: "".into(),
            tags: Vec::new(),
            roles: Vec::new(),
        }
    }
}

/// How the agent's identity was established: `input.identity` in policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whether a credential proved the identity.
    pub verified: bool,
    /// How: `configured` when the agent is the one of the configuration.
    pub method: Arc<str>,
    /// Decentralised identifier of the agent; empty when it has none.
    pub did: Arc<str>,
}

impl Identity {
    /// The identity of every caller when none has to prove one.
    #[must_use]
    pub fn configured() -> Self {
        Self { verified: false, method: "configured".into(), did: "".into() }
    }
}
