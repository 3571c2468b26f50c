//! The opening of a session that the server knows nothing of: `server/discover` read as the answer to
//! `initialize`.

use std::future::Future;

use domain::{ErrorKind, Failure};
use protocol::{Era, Kind, Message, Method, ProtocolVersion, meta, object};
use tokio::time::timeout;

use crate::eras::{SILENCE, names};
use crate::notifications::{self, LISTS, List, quoted};

/// What a stateless server offers a client.
#[derive(Debug)]
pub(super) struct Offer {
    /// Raw JSON, as a server with sessions would declare them.
    pub(super) capabilities: String,
    /// `serverInfo`, raw JSON.
    info: Option<String>,
    /// A JSON string.
    instructions: Option<String>,
    /// Whether the server speaks a revision with sessions too.
    pub(super) has_sessions: bool,
    /// Whether resources can be subscribed to.
    pub(super) has_subscriptions: bool,
    /// The lists whose changes are announced.
    changes: Vec<List>,
}

/// The revision of the session: the client's where it has sessions, else the newest that has.
pub(super) fn settle(initialize: &Message) -> ProtocolVersion {
    let offered = initialize.protocol_version();
    offered
        .and_then(|version| ProtocolVersion::from_str(&version))
        .filter(|version| version.era() == Era::Legacy)
        .unwrap_or(ProtocolVersion::LATEST_LEGACY)
}

/// Waits no longer for an answer than a server behind a pipe may be silent.
pub(super) async fn in_time(
    asked: impl Future<Output = Result<Message, Failure>>,
) -> Result<Message, Failure> {
    timeout(SILENCE, asked).await.unwrap_or_else(|_| {
        let text = "the server did not say in time what it offers";
        Err(Failure::new(ErrorKind::UpstreamTimeout, text))
    })
}

impl Offer {
    /// Reads the answer to `server/discover`.
    ///
    /// # Errors
    ///
    /// `UpstreamError` when it is not the answer of a server of 2026-07-28.
    pub(super) fn read(answer: &Message) -> Result<Self, Failure> {
        let refused = || {
            let text = "the server does not say what it offers in MCP 2026-07-28";
            Failure::new(ErrorKind::UpstreamError, text)
        };
        let result = answer.result().filter(|_| answer.kind() == Kind::Response);
        let result = result.ok_or_else(refused)?;
        let versions = object::get(result, "supportedVersions");
        if versions.is_some_and(|versions| !names(versions, ProtocolVersion::V2026_07_28)) {
            return Err(refused());
        }
        let speaks = |version: &ProtocolVersion| {
            version.era() == Era::Legacy && versions.is_some_and(|all| names(all, *version))
        };
        let capabilities = object::get(result, "capabilities").unwrap_or("{}");
        let declares = |feature: &str, what: &str| {
            let feature = object::get(capabilities, feature);
            feature.and_then(|feature| object::get(feature, what)) == Some("true")
        };
        let changes = LISTS.into_iter().filter(|list| declares(list.feature, "listChanged"));
        let info = object::get(result, "_meta").and_then(|m| object::get(m, meta::SERVER_INFO));
        Ok(Self {
            // Log lines come when a request asks for them, declared or not.
            capabilities: object::edit(
                capabilities,
                &[("extensions", None), ("tasks", None), ("logging", Some("{}"))],
            ),
            info: info.map(str::to_owned),
            instructions: object::get(result, "instructions").map(str::to_owned),
            has_sessions: ProtocolVersion::ALL.iter().any(speaks),
            has_subscriptions: declares("resources", "subscribe"),
            changes: changes.collect(),
        })
    }

    /// The result of `initialize`; `name` is the server's where it does not name itself.
    pub(super) fn initialize_result(&self, version: ProtocolVersion, name: &str) -> String {
        let mut result = format!(
            r#"{{"protocolVersion":"{version}","capabilities":{},"serverInfo":"#,
            self.capabilities
        );
        match &self.info {
            Some(info) => result.push_str(info),
            None => {
                let name = quoted(name);
                result.push_str(&format!(r#"{{"name":{name},"version":"unknown"}}"#));
            }
        }
        if let Some(instructions) = &self.instructions {
            result.push_str(r#","instructions":"#);
            result.push_str(instructions);
        }
        result.push('}');
        result
    }

    /// The notifications of the lists whose changes are announced.
    pub(super) fn changes(&self) -> impl Iterator<Item = Method> {
        self.changes.iter().map(|list| list.changed)
    }

    /// The filter of `subscriptions/listen` (raw JSON); `None` when there is nothing to listen for.
    pub(super) fn filter<'a>(&self, uris: impl Iterator<Item = &'a str>) -> Option<String> {
        notifications::filter(&self.changes, uris)
    }
}
