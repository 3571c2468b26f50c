//! How a session began, so that it can begin again at a server that has forgotten it.

use std::sync::Mutex;

use bytes::Bytes;
use domain::{Failure, Handshake, Secret, lock};
use protocol::{Kind, Message, Method, ProtocolVersion, encode};

use crate::failure;
use crate::server::Shared;

/// What a server must be told before anything else, and what came of it.
#[derive(Default)]
pub(crate) struct Greeting(Mutex<Option<Opening>>);

struct Opening {
    words: Words,
    /// What the server settled on, if the gateway speaks it.
    version: Option<ProtocolVersion>,
}

/// The client's opening words.
#[derive(Clone)]
pub(crate) struct Words {
    /// Its `initialize`, which the server has answered.
    pub(crate) initialize: Message,
    /// Its `notifications/initialized`, once it was sent.
    pub(crate) initialized: Option<Bytes>,
}

impl Greeting {
    /// Of a session that was opened elsewhere.
    pub(crate) fn of(handshake: Option<&Handshake>) -> Self {
        let opening = handshake.and_then(|handshake| {
            let initialize = Message::parse(handshake.initialize.clone()).ok()?;
            let initialized = encode::notification(Method::Initialized.as_str(), None);
            let words = Words { initialize, initialized: Some(initialized) };
            Some(Opening { words, version: Some(handshake.server_version) })
        });
        Self(Mutex::new(opening))
    }

    /// Takes over what the server answered to `initialize`.
    ///
    /// # Errors
    ///
    /// The server settled on a revision older than `upstream.min_protocol_version`.
    pub(crate) fn answered(
        &self,
        shared: &Shared,
        initialize: &Message,
        answer: &Message,
    ) -> Result<(), Failure> {
        if answer.kind() != Kind::Response {
            return Ok(());
        }
        let settled = answer.protocol_version().unwrap_or_default();
        let asked = initialize.protocol_version().unwrap_or_default();
        // Dates compare as they are written.
        if settled < asked {
            shared.downgraded(&asked, &settled);
        }
        match &shared.config().min_protocol_version {
            Some(least) if *settled < **least => return Err(failure::too_old(&settled, least)),
            Some(_) | None => {}
        }
        let version = ProtocolVersion::from_str(&settled);
        let mut opening = lock(&self.0);
        let initialized = opening.take().and_then(|before| before.words.initialized);
        // Kept for long: it must not hold the buffer that it was read into.
        let words = Words { initialize: initialize.detached(), initialized };
        *opening = Some(Opening { words, version });
        Ok(())
    }

    /// Notes the client's `notifications/initialized`.
    pub(crate) fn initialized(&self, notification: &Message) {
        if let Some(opening) = &mut *lock(&self.0) {
            opening.words.initialized = Some(Bytes::copy_from_slice(notification.bytes()));
        }
    }

    /// What to repeat to a server that has forgotten; `None` before `initialize` succeeded.
    pub(crate) fn words(&self) -> Option<Words> {
        lock(&self.0).as_ref().map(|opening| opening.words.clone())
    }

    /// The revision that the server settled on.
    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        lock(&self.0).as_ref().and_then(|opening| opening.version)
    }

    /// What another replica needs to go on, with the server's session id if it minted one.
    pub(crate) fn handshake(&self, server_session: Option<String>) -> Option<Handshake> {
        let opening = lock(&self.0);
        let opening = opening.as_ref()?;
        let version = opening.version?;
        Some(Handshake {
            initialize: opening.words.initialize.bytes().clone(),
            version,
            server_session: server_session.map(Secret::new),
            server_version: version,
        })
    }
}
