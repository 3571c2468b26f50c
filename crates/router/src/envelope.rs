//! What a stateless message must bring (MCP 2026-07-28): its envelope in `_meta`, and over HTTP the
//! headers that repeat it.
//!
//! Headers decide nothing here: policy sees the body alone, and a header that says otherwise is an
//! error, so that whoever routes by headers in front of the gateway routes what was decided.

use domain::{ErrorKind, Failure};
use protocol::{Era, Kind, Message, Method, ProtocolVersion, encode, mirror, object};
use serde_json::json;

use crate::HttpTicket;

impl HttpTicket {
    /// Whether the headers say that the message is of the stateless era.
    pub(crate) fn era(&self) -> Era {
        self.known_version().map_or(Era::Legacy, ProtocolVersion::era)
    }

    fn known_version(&self) -> Option<ProtocolVersion> {
        self.version.as_deref().and_then(ProtocolVersion::from_str)
    }

    /// Checks a message of the eras with sessions: `MCP-Protocol-Version`, where there is one, names
    /// a revision that the gateway speaks.
    pub(crate) fn check_legacy(&self) -> Result<(), Failure> {
        self.version.as_deref().map_or(Ok(()), |version| named_version(version).map(drop))
    }

    /// Checks a stateless message against its headers ("Standard Request Headers").
    pub(crate) fn check_stateless(&self, message: &Message) -> Result<(), Failure> {
        if message.kind() != Kind::Request {
            return Ok(());
        }
        if message.era() == Era::Legacy {
            let text = "`params._meta` must carry `io.modelcontextprotocol/protocolVersion` and \
                        `io.modelcontextprotocol/clientCapabilities`";
            return Err(Failure::new(ErrorKind::InvalidParams, text));
        }
        let headers = mirror::Headers {
            version: self.version.as_deref(),
            method: self.method.as_deref(),
            name: self.name.as_deref(),
        };
        mirror::check(message, &headers)
            .map_err(|mismatch| Failure::new(ErrorKind::HeaderMismatch, mismatch))?;
        check_version(message)
    }
}

/// The revision that a header `MCP-Protocol-Version` names (2025-06-18, "Protocol Version Header").
///
/// # Errors
///
/// `BadTransport` when the gateway does not speak it.
pub fn named_version(header: &str) -> Result<ProtocolVersion, Failure> {
    ProtocolVersion::from_str(header).ok_or_else(|| {
        let known = ProtocolVersion::ALL.map(ProtocolVersion::as_str).join(", ");
        let text = format!("`MCP-Protocol-Version` names none of the known revisions: {known}");
        Failure::new(ErrorKind::BadTransport, text)
    })
}

/// Whether the gateway speaks the revision that the envelope names.
pub(crate) fn check_version(message: &Message) -> Result<(), Failure> {
    let Some(requested) = message.envelope_version() else { return Ok(()) };
    if spoken(message).is_some() {
        return Ok(());
    }
    // The others are not spoken without a session.
    let stateless = ProtocolVersion::ALL.iter().filter(|version| version.era() == Era::Modern);
    let supported: Vec<_> = stateless.map(|version| version.as_str()).collect();
    let text = format!(
        "revision `{requested}` is not spoken without a session; send one of {}",
        supported.join(", ")
    );
    let data = json!({ "supported": supported, "requested": requested }).to_string();
    Err(Failure::new(ErrorKind::UnsupportedVersion, text).data(data))
}

/// An `initialize` that asks for a revision which the gateway does not speak, or not with sessions,
/// as one that asks for the newest that it does: the server must not settle on what the gateway
/// then refuses. `None` when it may stay as it is ("Version Negotiation").
pub(crate) fn asking_for_known(message: &Message) -> Option<Message> {
    let opens = message.method() == Some(Method::Initialize) && message.kind() == Kind::Request;
    let (id, params) = (message.id()?, message.params().filter(|_| opens)?);
    let asked = ProtocolVersion::from_str(&message.protocol_version()?);
    if asked.is_some_and(|version| version.era() == Era::Legacy) {
        return None;
    }
    let newest = format!("\"{}\"", ProtocolVersion::LATEST_LEGACY);
    let params = object::edit(params, &[("protocolVersion", Some(&newest))]);
    let body = encode::request(id, Method::Initialize.as_str(), Some(&params));
    Message::parse(body).ok()
}

/// The revision of a stateless message, where the gateway speaks it.
pub(crate) fn spoken(message: &Message) -> Option<ProtocolVersion> {
    let version = ProtocolVersion::from_str(&message.envelope_version()?)?;
    (version.era() == Era::Modern).then_some(version)
}
