//! What `policy eval` and `policy bench` ask: policies, and an input. What the gateway always says of a message is filled
//! in where the input leaves it out; what is given stays as it is.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use domain::{Clock, Identity, Stage, SystemClock, Transport};
use jiff::Timestamp;
use policy::Sources;
use serde_json::{Map, Value, json};
use settings::Settings;
use upstream::TransportKind;

use crate::config;

/// Policies and an input, as they are named on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct Question {
    /// A folder or file with policies or data; repeatable [default: as configured]
    #[arg(long, short, value_name = "PATH", conflicts_with = "config")]
    pub(super) data: Vec<PathBuf>,

    /// The document `input` as JSON; `-` reads standard input
    #[arg(long, short, value_name = "FILE")]
    pub(super) input: PathBuf,

    /// The configuration file whose policies decide; without one, `MCP_*` and the defaults do
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl Question {
    /// The policies, the settings under which they decide, and the whole input.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or is not what it should be.
    pub(super) fn resolve(&self) -> anyhow::Result<(Sources, Settings, String)> {
        let (sources, settings) = if self.data.is_empty() {
            let settings = config::load(self.config.as_deref())?.settings;
            (settings.policy.sources()?, settings)
        } else {
            (super::sources(&self.data)?, Settings::default())
        };
        let input = completed(read(&self.input)?, &settings, &SystemClock);
        Ok((sources, settings, input))
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Members that an input has twice: at its root and in `request`.
const MIRRORED: [&str; 5] = ["method", "tool", "resource", "prompt", "arguments"];

/// The input `text` with what it leaves out; as it is when it is no JSON object, for the evaluation to refuse.
fn completed(text: String, settings: &Settings, clock: &dyn Clock) -> String {
    let Ok(Value::Object(mut input)) = serde_json::from_str(&text) else { return text };
    mirror(&mut input);
    for (name, value) in defaults(settings, clock) {
        fill(&mut input, name, value);
    }
    Value::Object(input).to_string()
}

fn defaults(settings: &Settings, clock: &dyn Clock) -> [(&'static str, Value); 7] {
    let now = Timestamp::try_from(clock.wall()).map_or(Value::Null, |now| json!(now.to_string()));
    let identity = Identity::configured();
    let upstream = &settings.upstream;
    let transport = match (&upstream.url, upstream.transport) {
        (None, _) | (_, TransportKind::Stdio) => "stdio",
        (Some(_), TransportKind::Sse) => "sse",
        (Some(_), TransportKind::WebSocket) => "websocket",
        (Some(url), TransportKind::Auto) if url.starts_with("ws") => "websocket",
        (Some(_), TransportKind::Auto | TransportKind::Http) => "http",
    };
    [
        ("stage", json!(Stage::Request.as_str())),
        ("findings", json!([])),
        ("agent", json!(settings.agent)),
        (
            "identity",
            json!({ "verified": identity.verified, "method": identity.method, "did": identity.did }),
        ),
        ("session", json!({ "id": "policy-eval", "request_count": 1, "started_at": now })),
        ("server", json!({ "name": upstream.name, "transport": transport })),
        (
            "context",
            json!({
                "timestamp": now,
                "environment": settings.policy.environment,
                "transport": Transport::Http.as_str(),
            }),
        ),
    ]
}

/// Gives the root and `request` what only the other has.
fn mirror(input: &mut Map<String, Value>) {
    let mut request = match input.remove("request") {
        None => Map::new(),
        Some(Value::Object(request)) => request,
        Some(other) => {
            input.insert("request".to_owned(), other);
            return;
        }
    };
    for name in MIRRORED {
        if let Some(value) = input.get(name).or_else(|| request.get(name)).cloned() {
            input.entry(name).or_insert_with(|| value.clone());
            request.entry(name).or_insert(value);
        }
    }
    input.insert("request".to_owned(), Value::Object(request));
}

/// Sets `name` when it is missing, or the members that are missing in it.
fn fill(input: &mut Map<String, Value>, name: &str, value: Value) {
    match (input.get_mut(name), value) {
        (None, value) => {
            input.insert(name.to_owned(), value);
        }
        (Some(Value::Object(given)), Value::Object(members)) => {
            for (name, value) in members {
                given.entry(name).or_insert(value);
            }
        }
        (Some(_), _) => {}
    }
}

#[cfg(test)]
mod tests;
