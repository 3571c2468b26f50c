//! The map from tokens to sessions, in parts, so that no lock is shared by all.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use domain::SessionToken;

use crate::Session;

const SHARDS: usize = 16;

/// How many bytes of a token are hashed: its end, which is random in every token. A sealed one is long, and is looked up
/// with every message.
const HASHED: usize = 32;

pub(crate) type Shard = HashMap<SessionToken, Arc<Session>, Tail>;

#[derive(Default)]
pub(crate) struct Shards([RwLock<Shard>; SHARDS]);

impl Shards {
    pub(crate) fn read(&self, token: &str) -> RwLockReadGuard<'_, Shard> {
        read(self.of(token))
    }

    pub(crate) fn write(&self, token: &str) -> RwLockWriteGuard<'_, Shard> {
        self.of(token).write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All shards, one after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = RwLockReadGuard<'_, Shard>> {
        self.0.iter().map(read)
    }

    /// The shard that the first character of a token names: a random digit, which a sealed token takes over from the
    /// random one before it.
    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length")]
    fn of(&self, token: &str) -> &RwLock<Shard> {
        let digit = token.bytes().next().unwrap_or_default();
        &self.0[usize::from(digit) % SHARDS]
    }
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

/// Hashes the end of tokens, with keys of its own.
#[derive(Default)]
pub(crate) struct Tail(RandomState);

impl BuildHasher for Tail {
    type Hasher = TailHasher;

    fn build_hasher(&self) -> TailHasher {
        TailHasher(self.0.build_hasher())
    }
}

pub(crate) struct TailHasher(DefaultHasher);

impl Hasher for TailHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes.last_chunk::<HASHED>().map_or(bytes, <[u8; HASHED]>::as_slice));
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}
