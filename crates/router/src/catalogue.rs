//! What the server has said of its tools, so that a rule about a call can look at the tool that is called.
//!
//! Each `tools/list` answer is taken down before anything is hidden from the client. Invariants:
//!
//! - **A change stays known**: a tool that had another definition since the gateway was started counts as changed, also
//!   when the first one is back.
//! - **It is bounded**, in tools and in bytes. What has no room is not known, as if it had never been listed.
//! - **A look-up takes no lock.** Definitions rarely change, calls never wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;
use domain::{ToolView, lock};
use protocol::{ListEntry, encode, object};
use sha2::{Digest, Sha256};

use crate::canonical;

/// Most tools that are known.
const TOOLS: usize = 10_000;

/// Most bytes of definitions that are known.
const BYTES: usize = 64 << 20;

/// What is known of one tool.
#[derive(Debug)]
pub(crate) struct Listed {
    /// What policy sees.
    pub(crate) view: ToolView,
    /// The same as JSON, for the log.
    pub(crate) text: Arc<str>,
    /// Whether the server declares that calling it changes nothing.
    pub(crate) reads: bool,
    /// The definition as it was sent.
    raw: Box<str>,
}

/// The tools of the server.
#[derive(Default)]
pub(crate) struct Catalogue {
    known: ArcSwap<Known>,
    /// Held by who adds to it.
    adding: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    tools: HashMap<Box<str>, Arc<Listed>>,
    bytes: usize,
}

impl Catalogue {
    /// What is known of a tool.
    pub(crate) fn get(&self, tool: &str) -> Option<Arc<Listed>> {
        self.known.load().tools.get(tool).map(Arc::clone)
    }

    /// Takes down what the server says of its tools; gives each as it is known from now on, in the same order.
    pub(crate) fn note(&self, entries: &[ListEntry<'_>]) -> Vec<Arc<Listed>> {
        let known = self.known.load();
        let same = |entry: &ListEntry<'_>| {
            known.tools.get(&*entry.key).filter(|listed| *listed.raw == *entry.raw).map(Arc::clone)
        };
        if let Some(listed) = entries.iter().map(same).collect() {
            return listed;
        }
        let _adding = lock(&self.adding);
        let mut known = Known::clone(&self.known.load());
        let listed = entries.iter().map(|entry| known.note(entry)).collect();
        self.known.store(Arc::new(known));
        listed
    }
}

impl Known {
    fn note(&mut self, entry: &ListEntry<'_>) -> Arc<Listed> {
        let before = self.tools.get(&*entry.key);
        if let Some(same) = before.filter(|before| *before.raw == *entry.raw) {
            return Arc::clone(same);
        }
        let digest = digest(entry.raw);
        let changed = before.is_some_and(|it| it.view.changed || *it.view.digest != *digest);
        let listed = Arc::new(Listed::new(entry, digest, changed));
        let bytes = self.bytes - before.map_or(0, |it| it.raw.len()) + entry.raw.len();
        let room = bytes <= BYTES && (before.is_some() || self.tools.len() < TOOLS);
        if room {
            self.bytes = bytes;
            self.tools.insert(entry.key.as_ref().into(), Arc::clone(&listed));
        } else if let Some(gone) = self.tools.remove(&*entry.key) {
            // Better unknown than known for what it was.
            self.bytes -= gone.raw.len();
        }
        listed
    }
}

impl Listed {
    fn new(entry: &ListEntry<'_>, digest: Arc<str>, changed: bool) -> Self {
        let string = |text: &str| {
            let mut out = String::with_capacity(text.len() + 2);
            encode::string(&mut out, text);
            out
        };
        let description = entry.description.as_deref().map(string);
        let text = object::edit(
            "{}",
            &[
                ("description", description.as_deref()),
                ("annotations", entry.annotations),
                ("digest", Some(&string(&digest))),
                ("changed", Some(if changed { "true" } else { "false" })),
            ],
        );
        let hint = entry.annotations.and_then(|it| object::get(it, "readOnlyHint"));
        Self {
            view: ToolView {
                description: entry.description.as_deref().map(Box::from),
                annotations: entry.annotations.map(Box::from),
                digest,
                changed,
            },
            text: text.into(),
            reads: hint == Some("true"),
            raw: entry.raw.into(),
        }
    }
}

/// SHA-256 over the canonical form of a definition, in hexadecimal.
fn digest(raw: &str) -> Arc<str> {
    HEXLOWER.encode(&Sha256::digest(canonical::form(raw))).into()
}

#[cfg(test)]
mod tests;
