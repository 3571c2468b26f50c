//! The hash by which a question is recognised when it is asked again.
//!
//! Members may come in any order and with any white space; everything else counts, the spelling of numbers too: two
//! numbers that a reader may take for one (beyond 2^53, say) are never one here.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Deeper than this, JSON counts as it is written: each level is read again, and a client chooses how many there are.
const DEPTH: u32 = 8;

/// SHA-256 over the arguments in canonical form; of nothing when there are none.
pub(crate) fn of(arguments: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    if let Some(text) = arguments {
        add(text, DEPTH, &mut hash);
    }
    hash.finalize().into()
}

fn add(text: &str, depth: u32, hash: &mut Sha256) {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    match text.as_bytes().first() {
        Some(b'{') if depth > 0 => {
            match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
                Ok(members) => {
                    count(b'{', members.len(), hash);
                    for (name, value) in members {
                        leaf(b'"', &name, hash);
                        add(value.get(), depth - 1, hash);
                    }
                }
                Err(_) => leaf(b'?', text, hash),
            }
        }
        Some(b'[') if depth > 0 => match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(items) => {
                count(b'[', items.len(), hash);
                for item in items {
                    add(item.get(), depth - 1, hash);
                }
            }
            Err(_) => leaf(b'?', text, hash),
        },
        Some(b'"') => match serde_json::from_str::<String>(text) {
            Ok(text) => leaf(b'"', &text, hash),
            Err(_) => leaf(b'?', text, hash),
        },
        _ => leaf(b'?', text, hash),
    }
}

/// Adds a text with its kind and length, so that no two sequences of texts give the same bytes.
fn leaf(kind: u8, text: &str, hash: &mut Sha256) {
    count(kind, text.len(), hash);
    hash.update(text);
}

fn count(kind: u8, count: usize, hash: &mut Sha256) {
    hash.update([kind]);
    hash.update((count as u64).to_le_bytes());
}

#[cfg(test)]
mod tests;
