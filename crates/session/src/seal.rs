//! Session ids that say how their session began, so that any gateway with the same key can go on with it.
//!
//! A sealed token is one character, which names its shard of the table, and a box of [`Keys`] in base64url. Only the
//! gateway can make one, and it is worth something only to the principal that it was made for.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use domain::{Handshake, Secret, SessionId, SessionToken};
use protocol::ProtocolVersion;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::keys::{Keys, OVERHEAD};

/// Longest token, in bytes: clients and proxies keep it in a header.
const MAX_TOKEN: usize = 4096;

/// How far the clock of the gateway that sealed may be ahead of ours.
const SKEW: Duration = Duration::from_secs(60);

/// What a sealed token says of its session.
#[derive(Debug)]
pub struct Sealed {
    /// The public name of the session.
    pub id: SessionId,
    /// When the session opened, on the wall clock of the gateway that opened it.
    pub started_at: SystemTime,
    /// How it began.
    pub handshake: Handshake,
}

/// The content of the box.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    #[serde(rename = "i", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "p", borrow)]
    principal: Cow<'a, str>,
    /// Milliseconds since 1970.
    #[serde(rename = "t")]
    started_at: u64,
    #[serde(rename = "v", borrow)]
    version: Cow<'a, str>,
    #[serde(rename = "w", borrow)]
    server_version: Cow<'a, str>,
    #[serde(rename = "s", borrow, skip_serializing_if = "Option::is_none")]
    server_session: Option<Cow<'a, str>>,
    #[serde(rename = "h", borrow)]
    initialize: &'a RawValue,
}

/// A session as it is sealed.
pub(crate) struct Subject<'a> {
    pub(crate) id: &'a SessionId,
    pub(crate) principal: &'a str,
    pub(crate) started_at: SystemTime,
    pub(crate) handshake: &'a Handshake,
}

/// The token for `subject` in the shard of `shard`; `None` when it would be too long.
pub(crate) fn seal(keys: &Keys, shard: char, subject: &Subject<'_>) -> Option<SessionToken> {
    let whole: &RawValue = serde_json::from_slice(&subject.handshake.initialize).ok()?;
    let content = match content(subject, whole)? {
        content if fits(&content) => content,
        _ => content(subject, &reduced(whole)?).filter(|content| fits(content))?,
    };
    let sealed = keys.seal(&context(shard)?, content)?;
    Some(format!("{shard}{}", BASE64URL_NOPAD.encode(&sealed)).into())
}

/// What the token says, if one of the keys sealed it for `principal`. A guess costs no cryptography.
pub(crate) fn unseal(keys: &Keys, token: &str, principal: &str) -> Option<Sealed> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let mut characters = token.chars();
    let shard = characters.next()?;
    let sealed = BASE64URL_NOPAD.decode(characters.as_str().as_bytes()).ok()?;
    let content = keys.open(&context(shard)?, &sealed)?;
    let content: Content<'_> = serde_json::from_slice(&content).ok()?;
    if content.principal != principal {
        return None;
    }
    Some(Sealed {
        id: SessionId::from(&*content.id),
        started_at: UNIX_EPOCH.checked_add(Duration::from_millis(content.started_at))?,
        handshake: Handshake {
            initialize: Bytes::copy_from_slice(content.initialize.get().as_bytes()),
            version: ProtocolVersion::from_str(&content.version)?,
            server_session: content.server_session.map(|id| Secret::new(id.into_owned())),
            server_version: ProtocolVersion::from_str(&content.server_version)?,
        },
    })
}

impl Sealed {
    /// How long the session has been open; `None` when it would begin in the future, or began longer ago than `ttl`. A
    /// zero `ttl` is no limit.
    pub(crate) fn age(&self, now: SystemTime, ttl: Duration) -> Option<Duration> {
        let age = match now.duration_since(self.started_at) {
            Ok(age) => age,
            Err(ahead) if ahead.duration() <= SKEW => Duration::ZERO,
            Err(_) => return None,
        };
        (ttl.is_zero() || age < ttl).then_some(age)
    }
}

fn content(subject: &Subject<'_>, initialize: &RawValue) -> Option<Vec<u8>> {
    let handshake = subject.handshake;
    let since_epoch = subject.started_at.duration_since(UNIX_EPOCH).ok()?;
    let content = Content {
        id: subject.id.as_str().into(),
        principal: subject.principal.into(),
        started_at: u64::try_from(since_epoch.as_millis()).ok()?,
        version: handshake.version.as_str().into(),
        server_version: handshake.server_version.as_str().into(),
        server_session: handshake.server_session.as_ref().map(|id| id.expose().into()),
        initialize,
    };
    serde_json::to_vec(&content).ok()
}

fn fits(content: &[u8]) -> bool {
    // One character names the shard.
    BASE64URL_NOPAD.encode_len(content.len() + OVERHEAD) < MAX_TOKEN
}

fn context(shard: char) -> Option<[u8; 1]> {
    u8::try_from(shard).ok().map(|shard| [shard])
}

/// `initialize` without what the server can do without: what stays is what the specification names.
fn reduced(initialize: &RawValue) -> Option<Box<RawValue>> {
    #[derive(Serialize, Deserialize)]
    struct Request<'a> {
        jsonrpc: &'a str,
        #[serde(borrow)]
        id: &'a RawValue,
        method: &'a str,
        #[serde(borrow)]
        params: Params<'a>,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        protocol_version: &'a RawValue,
        #[serde(borrow)]
        capabilities: &'a RawValue,
        #[serde(borrow)]
        client_info: ClientInfo<'a>,
    }

    #[derive(Serialize, Deserialize)]
    struct ClientInfo<'a> {
        #[serde(borrow)]
        name: &'a RawValue,
        #[serde(borrow)]
        version: &'a RawValue,
    }

    let request: Request<'_> = serde_json::from_str(initialize.get()).ok()?;
    serde_json::value::to_raw_value(&request).ok()
}

#[cfg(test)]
mod tests;
