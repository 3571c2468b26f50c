//! The answer to `initialize`, read as the answer to `server/discover`.

use domain::{ErrorKind, Failure};
use protocol::{Era, Kind, Message, ProtocolVersion, meta, object};

/// What a server with sessions offers.
#[derive(Debug)]
pub(super) struct Opened {
    /// The revision that it settled on.
    pub(super) version: ProtocolVersion,
    /// What it calls itself, raw JSON.
    pub(super) info: Option<String>,
    /// The result of `server/discover`, raw JSON.
    pub(super) discovery: String,
    capabilities: String,
}

impl Opened {
    /// Reads the answer to `initialize`.
    ///
    /// # Errors
    ///
    /// `UpstreamError` when the server refused, or settled on a revision that has no sessions or is
    /// not known.
    pub(super) fn read(answer: &Message) -> Result<Self, Failure> {
        let refused = |detail: String| {
            let text = "the server refused to open a session";
            Failure::new(ErrorKind::UpstreamError, text).detail(detail).unsent()
        };
        let result = answer.result().filter(|_| answer.kind() == Kind::Response);
        let result = result.ok_or_else(|| {
            refused(format!("`initialize` was answered {}", answer.error().unwrap_or_default()))
        })?;
        let named = answer.protocol_version().unwrap_or_default();
        let version = ProtocolVersion::from_str(&named)
            .filter(|version| version.era() == Era::Legacy)
            .ok_or_else(|| refused(format!("the server settled on revision `{named}`")))?;
        // Lines come when a request asks for them; tasks are of another design.
        let capabilities = object::get(result, "capabilities").unwrap_or("{}");
        let capabilities = object::edit(capabilities, &[("tasks", None)]);
        let info = object::get(result, "serverInfo").map(str::to_owned);
        let discovery =
            discovery(&capabilities, info.as_deref(), object::get(result, "instructions"));
        Ok(Self { version, info, discovery, capabilities })
    }

    /// Whether the server has a feature (`logging`).
    pub(super) fn has(&self, feature: &str) -> bool {
        object::get(&self.capabilities, feature).is_some()
    }

    /// Whether a feature of the server has something (`resources`, `subscribe`).
    pub(super) fn declares(&self, feature: &str, what: &str) -> bool {
        let feature = object::get(&self.capabilities, feature);
        feature.and_then(|feature| object::get(feature, what)) == Some("true")
    }
}

/// Only 2026-07-28 is named: a client that reads this speaks it already.
fn discovery(capabilities: &str, info: Option<&str>, instructions: Option<&str>) -> String {
    let version = ProtocolVersion::V2026_07_28;
    let fixed = format!(
        r#"{{"resultType":"complete","supportedVersions":["{version}"],"capabilities":{capabilities},"ttlMs":0,"cacheScope":"private"}}"#
    );
    let meta = info.map(|info| object::edit("{}", &[(meta::SERVER_INFO, Some(info))]));
    object::edit(&fixed, &[("instructions", instructions), ("_meta", meta.as_deref())])
}
