//! Ids of questions that say what they stand for, so that an answer counts at whichever replica it arrives.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::rand;
use data_encoding::BASE64URL_NOPAD;
use domain::SessionId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Parked;
use crate::keys::Keys;

/// Longest id, in bytes of JSON: it travels with every answer.
const MAX_ID: usize = 256;

/// Seals the questions of one session as one replica asks them.
pub(super) struct Sealing {
    keys: Arc<Keys>,
    session: SessionId,
    /// Tells the numbers given out here from those of other replicas, and of other lives of the session.
    issuer: u64,
}

/// What an id says.
pub(super) struct Opened {
    /// Its number, if it was given out here.
    pub(super) number: Option<u64>,
    /// The question.
    pub(super) parked: Parked,
}

/// The content of the box.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    #[serde(rename = "o")]
    issuer: u64,
    #[serde(rename = "n")]
    number: u64,
    #[serde(rename = "m", borrow)]
    method: Cow<'a, str>,
    #[serde(rename = "q", borrow)]
    upstream_id: &'a RawValue,
}

impl Sealing {
    /// `None` when the system has no random number.
    pub(super) fn new(keys: Arc<Keys>, session: SessionId) -> Option<Self> {
        let mut issuer = [0; 8];
        rand::fill(&mut issuer).ok()?;
        Some(Self { keys, session, issuer: u64::from_ne_bytes(issuer) })
    }

    /// The id, raw JSON, of the question with that number; `None` when it would be too long.
    pub(super) fn seal(&self, number: u64, parked: &Parked) -> Option<String> {
        let content = serde_json::to_vec(&Content {
            issuer: self.issuer,
            number,
            method: parked.method.as_str().into(),
            upstream_id: serde_json::from_str(&parked.upstream_id).ok()?,
        });
        let sealed = self.keys.seal(&self.context(), content.ok()?)?;
        let id = format!("\"{}\"", BASE64URL_NOPAD.encode(&sealed));
        (id.len() <= MAX_ID).then_some(id)
    }

    /// What the id says, if it was sealed for this session. A guess costs no cryptography.
    pub(super) fn open(&self, id: &str) -> Option<Opened> {
        if id.len() > MAX_ID {
            return None;
        }
        let sealed = id.strip_prefix('"')?.strip_suffix('"')?;
        let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let content = self.keys.open(&self.context(), &sealed)?;
        let content: Content<'_> = serde_json::from_slice(&content).ok()?;
        let upstream_id = content.upstream_id.get().to_owned();
        let parked = Parked { upstream_id, method: content.method.into_owned() };
        let number = (content.issuer == self.issuer).then_some(content.number);
        Some(Opened { number, parked })
    }

    /// Longer than that of any session token: the one cannot be taken for the other.
    fn context(&self) -> Vec<u8> {
        [b"question ", self.session.as_str().as_bytes()].concat()
    }
}
