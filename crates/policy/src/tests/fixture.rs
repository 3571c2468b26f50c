//! Inputs for tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::{
    Agent, ContextView, Decision, Identity, Policy, PolicyInput, ServerView, SessionState,
    SessionView, Stage, ToolView, Transport,
};

use crate::{Config, PolicyEngine, Sources};

/// One message, with defaults for what a test does not care about.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) stage: Stage,
    pub(crate) method: String,
    pub(crate) id: Option<String>,
    pub(crate) tool: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) arguments: Option<String>,
    pub(crate) params: Option<String>,
    pub(crate) result: Option<String>,
    pub(crate) server_tool: Option<ToolView>,
    pub(crate) agent: Arc<Agent>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) session: String,
    pub(crate) count: u64,
    pub(crate) state: Arc<SessionState>,
    pub(crate) headers: Vec<(Box<str>, Box<str>)>,
    pub(crate) environment: String,
    pub(crate) seconds: u64,
}

impl Ask {
    pub(crate) fn method(method: &str) -> Self {
        Self {
            stage: Stage::Request,
            method: method.to_owned(),
            id: Some("1".to_owned()),
            tool: None,
            resource: None,
            prompt: None,
            arguments: None,
            params: None,
            result: None,
            server_tool: None,
            agent: Arc::new(Agent { capabilities: vec!["read:*".into()], ..Agent::default() }),
            identity: Arc::new(Identity::configured()),
            session: "s-1".to_owned(),
            count: 1,
            state: Arc::default(),
            headers: Vec::new(),
            environment: String::new(),
            seconds: 1_700_000_000,
        }
    }

    pub(crate) fn call(tool: &str) -> Self {
        Self { tool: Some(tool.to_owned()), ..Self::method("tools/call") }
    }

    pub(crate) fn arguments(mut self, arguments: &str) -> Self {
        self.arguments = Some(arguments.to_owned());
        self
    }

    pub(crate) fn capabilities(mut self, capabilities: &[&str]) -> Self {
        let capabilities = capabilities.iter().map(|capability| Arc::from(*capability)).collect();
        self.agent = Arc::new(Agent { capabilities, ..(*self.agent).clone() });
        self
    }

    pub(crate) fn stage(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    pub(crate) fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    pub(crate) fn input(&self) -> PolicyInput<'_> {
        PolicyInput {
            stage: self.stage,
            method: &self.method,
            id: self.id.as_deref(),
            tool: self.tool.as_deref(),
            resource: self.resource.as_deref(),
            prompt: self.prompt.as_deref(),
            arguments: self.arguments.as_deref(),
            params: self.params.as_deref(),
            size: 123,
            result: self.result.as_deref(),
            agent: &self.agent,
            identity: &self.identity,
            session: SessionView {
                id: Some(&self.session),
                request_count: Some(self.count),
                started_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds - 60)),
                protocol_version: Some("2025-11-25"),
                client_name: Some("test client"),
                client_version: Some("1.0"),
                state: &self.state,
            },
            server: ServerView {
                name: "demo",
                transport: "http",
                url: Some("http://127.0.0.1:1/mcp"),
                tool: self.server_tool.as_ref(),
            },
            context: ContextView {
                timestamp: SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds),
                source_ip: Some([127, 0, 0, 1].into()),
                environment: &self.environment,
                transport: Transport::Http,
                headers: &self.headers,
            },
        }
    }

    pub(crate) fn decide(&self, engine: &PolicyEngine) -> Decision {
        engine.decide(&self.input())
    }
}

/// An engine for one file of Rego.
pub(crate) fn engine(rego: &str) -> PolicyEngine {
    engine_with(rego, &Config::default())
}

/// As configured, but with all the time in the world: a machine that builds is slow.
pub(crate) fn patient(config: &Config) -> Config {
    let mut config = config.clone();
    if config.evaluation.timeout == Config::default().evaluation.timeout {
        config.evaluation.timeout = domain::Span::secs(10);
    }
    config
}

pub(crate) fn engine_with(rego: &str, config: &Config) -> PolicyEngine {
    PolicyEngine::new(&Sources::from_texts(&[("test.rego", rego)]).unwrap(), &patient(config))
        .unwrap()
}

/// The messages of a decision's reasons.
pub(crate) fn messages(decision: &Decision) -> Vec<&str> {
    decision.reasons.iter().map(|reason| reason.message.as_str()).collect()
}
