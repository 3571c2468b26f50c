//! The keys that seal session ids and ids of questions, and the sealing itself: AES-256-GCM with a random nonce a seal.
//!
//! A sealed box is `version byte ‖ key id ‖ nonce ‖ ciphertext ‖ tag`. The key id, the first bytes of the key's
//! SHA-256, says which key to try, so that a forged box costs no cryptography; version and key id are authenticated
//! with the content. What is in the box is not this module's concern.

use aws_lc_rs::aead::{AES_256_GCM, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;

use crate::key_file::{self, KeyFile};
use crate::{Config, Error};

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 32;

/// The first byte of a box.
const VERSION: u8 = 1;

const KEY_ID_LEN: usize = 4;

/// Bytes in front of the nonce.
const HEAD_LEN: usize = 1 + KEY_ID_LEN;

/// How much longer a box is than its content.
pub(crate) const OVERHEAD: usize = HEAD_LEN + NONCE_LEN + MAX_TAG_LEN;

/// The keys that seal session ids: one seals, all open.
pub struct Keys {
    first: Key,
    others: Vec<Key>,
    durable: bool,
}

struct Key {
    head: [u8; HEAD_LEN],
    cipher: RandomizedNonceKey,
}

impl Keys {
    /// The keys of `session.key_file`, which is created with a random one when it does not exist. Without that setting
    /// a random key, for the life of the process.
    ///
    /// # Errors
    ///
    /// The file cannot be read or made, others can write to it, or a line of it is not a key.
    pub fn load(config: &Config) -> Result<Self, Error> {
        match &config.key_file {
            Some(path) => key_file::read(path),
            None => Ok(Self { durable: false, ..Self::new(&random_key()?, &[])? }),
        }
    }

    /// Looks at `session.key_file` as [`Keys::load`] does, without making it; `None` without that setting.
    ///
    /// # Errors
    ///
    /// The file is there, and [`Keys::load`] would fail with it.
    pub fn check(config: &Config) -> Result<Option<KeyFile>, Error> {
        config.key_file.as_deref().map(key_file::check).transpose()
    }

    pub(crate) fn new(first: &[u8; KEY_LEN], others: &[[u8; KEY_LEN]]) -> Result<Self, Error> {
        let others = others.iter().map(Key::new).collect::<Result<_, _>>();
        Ok(Self {
            first: Key::new(first).map_err(|_| Error::Cipher)?,
            others: others.map_err(|_| Error::Cipher)?,
            durable: true,
        })
    }

    /// Whether another process can have the same keys.
    pub(crate) fn durable(&self) -> bool {
        self.durable
    }

    /// Seals `content` to `context`, without which it cannot be opened; `None` when the cipher fails.
    pub(crate) fn seal(&self, context: &[u8], mut content: Vec<u8>) -> Option<Vec<u8>> {
        let Key { head, cipher } = &self.first;
        let nonce = cipher.seal_in_place_append_tag(bound(head, context), &mut content).ok()?;
        Some([head.as_slice(), nonce.as_ref().as_slice(), &content].concat())
    }

    /// What was sealed to `context`, if it was with one of the keys.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = sealed.split_first_chunk::<HEAD_LEN>()?;
        let key = std::iter::once(&self.first).chain(&self.others).find(|key| key.head == *head)?;
        let (nonce, content) = rest.split_first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut content = content.to_vec();
        let opened =
            key.cipher.open_in_place(nonce, bound(head, context), &mut content).ok()?.len();
        content.truncate(opened);
        Some(content)
    }
}

impl Key {
    fn new(bytes: &[u8; KEY_LEN]) -> Result<Self, Unspecified> {
        let digest = digest(&SHA256, bytes);
        let mut head = [VERSION; HEAD_LEN];
        for (byte, of_digest) in head.iter_mut().skip(1).zip(digest.as_ref()) {
            *byte = *of_digest;
        }
        Ok(Self { head, cipher: RandomizedNonceKey::new(&AES_256_GCM, bytes)? })
    }
}

/// What is authenticated beside the content.
fn bound(head: &[u8; HEAD_LEN], context: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([head, context].concat())
}

pub(crate) fn random_key() -> Result<[u8; KEY_LEN], Error> {
    let mut key = [0; KEY_LEN];
    rand::fill(&mut key).map_err(|_| Error::Cipher)?;
    Ok(key)
}

#[cfg(test)]
mod tests;
