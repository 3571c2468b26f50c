//! What a session has to say with each message.

use domain::Handshake;
use http::{HeaderMap, HeaderValue};
use protocol::Message;

use crate::http::{PROTOCOL_VERSION, SESSION_ID};

/// What the server has given us to say with each message.
#[derive(Clone, Default)]
pub(super) enum Phase {
    /// Nothing yet; a stateless server is fine with that.
    #[default]
    Fresh,
    /// The answer to `initialize`.
    Open {
        /// The session id, where the server minted one.
        session: Option<HeaderValue>,
        /// The revision that the server settled on.
        version: Option<HeaderValue>,
    },
    /// The server says that it does not know the session.
    Forgotten,
}

impl Phase {
    /// After a good answer to `initialize`.
    pub(super) fn open(session: Option<HeaderValue>, answer: &Message) -> Self {
        let version = answer.protocol_version();
        let version = version.and_then(|version| HeaderValue::from_str(&version).ok());
        Self::Open { session, version }
    }

    /// Of a session that was opened elsewhere.
    pub(super) fn resumed(handshake: &Handshake) -> Self {
        let session = handshake.server_session.as_ref();
        let mut session = session.and_then(|id| HeaderValue::from_str(id.expose()).ok());
        if let Some(session) = &mut session {
            session.set_sensitive(true);
        }
        let version = HeaderValue::from_static(handshake.server_version.as_str());
        Self::Open { session, version: Some(version) }
    }

    /// The session id that the server minted.
    pub(super) fn session_id(&self) -> Option<String> {
        match self {
            Self::Open { session: Some(session), .. } => session.to_str().ok().map(str::to_owned),
            Self::Open { session: None, .. } | Self::Fresh | Self::Forgotten => None,
        }
    }

    /// Whether messages carry a session id.
    pub(super) fn has_session(&self) -> bool {
        matches!(self, Self::Open { session: Some(_), .. })
    }

    /// The headers of each message.
    pub(super) fn headers(&self) -> HeaderMap {
        // These, what the request adds, and `Host`.
        let mut headers = HeaderMap::with_capacity(6);
        if let Self::Open { session, version } = self {
            for (name, value) in [(SESSION_ID, session), (PROTOCOL_VERSION, version)] {
                if let Some(value) = value {
                    headers.insert(name, value.clone());
                }
            }
        }
        headers
    }
}
