//! What a request of 2026-07-28 says in `params._meta` of the client that sends it.

use protocol::{Message, ProtocolVersion, meta, object};

/// Members of the capabilities of a client with sessions that no stateless server may use: the
/// client could not hold up its side through the gateway.
const SESSION_ONLY: [(&str, Option<&str>); 1] = [("tasks", None)];

/// What the gateway says of itself, where it asks on its own account.
pub(crate) const OWN_INFO: &str =
    concat!(r#"{"name":"mcp-proxy","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// One client's envelope, ready to be put around any number of requests.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    version: String,
    capabilities: String,
    info: Option<String>,
}

impl Envelope {
    /// The gateway's own: no capabilities.
    pub(crate) fn own() -> Self {
        Self::new("{}".to_owned(), Some(OWN_INFO.to_owned()))
    }

    /// That of the client that sent this `initialize`.
    pub(crate) fn of(initialize: &Message) -> Self {
        let capabilities = initialize.client_capabilities().unwrap_or("{}");
        Self::new(
            object::edit(capabilities, &SESSION_ONLY),
            initialize.client_info().map(str::to_owned),
        )
    }

    fn new(capabilities: String, info: Option<String>) -> Self {
        Self { version: format!("\"{}\"", ProtocolVersion::V2026_07_28), capabilities, info }
    }

    /// The capabilities, raw JSON.
    pub(crate) fn capabilities(&self) -> &str {
        &self.capabilities
    }

    /// `params` (raw JSON) with the envelope: other members of `meta`, its `_meta`, stay. `level` is
    /// a JSON string: the log lines that the client wants of this request. What only a retry of
    /// 2026-07-28 may carry is removed: no session speaks in a round that the gateway does not hold.
    pub(crate) fn around(
        &self,
        params: Option<&str>,
        meta: Option<&str>,
        level: Option<&str>,
    ) -> String {
        let meta = object::edit(
            meta.filter(|meta| meta.starts_with('{')).unwrap_or("{}"),
            &[
                (meta::PROTOCOL_VERSION, Some(&self.version)),
                (meta::CLIENT_INFO, self.info.as_deref()),
                (meta::CLIENT_CAPABILITIES, Some(&self.capabilities)),
                (meta::LOG_LEVEL, level),
            ],
        );
        let edits = [("_meta", Some(&*meta)), ("inputResponses", None), ("requestState", None)];
        object::edit(params.unwrap_or("{}"), &edits)
    }
}

/// `meta` (raw JSON) without some of its members; `None` when nothing is left.
pub(crate) fn without(meta: &str, is_dropped: impl Fn(&str) -> bool) -> Option<String> {
    let members = object::members(meta).ok()?;
    let dropped = members.iter().filter(|member| is_dropped(&member.key));
    let edits: Vec<(&str, Option<&str>)> = dropped.map(|member| (&*member.key, None)).collect();
    (edits.len() < members.len()).then(|| object::edit(meta, &edits))
}

#[cfg(test)]
mod tests;
