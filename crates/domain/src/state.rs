//! What a session has done so far, as policy sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Most tools that are counted by name.
const TOOLS: usize = 256;
/// Longest name in bytes that is counted by itself.
const TOOL_BYTES: usize = 128;
/// What all other tools are counted as.
const OTHER: &str = "*";

/// Counters and taints of one session; of all sessions of an agent for stateless clients. Part of
/// `input.session`. It counts what was forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// `cumulative_reads`: calls of tools that the server declares read-only, and `resources/read`.
    pub cumulative_reads: u64,
    /// `cumulative_writes`: calls of every other tool.
    pub cumulative_writes: u64,
    /// `tools_used`: how often each tool was called. Bounded; what comes after is counted as `*`.
    pub tools_used: BTreeMap<Arc<str>, u64>,
    /// `taints`: the labels that policy has attached.
    pub taints: BTreeSet<Arc<str>>,
    /// `bytes_out`: bytes of requests that left for the server.
    pub bytes_out: u64,
}

impl SessionState {
    /// Counts one message that left for the server: the tool that it calls, whether it reads (`false`: it writes; `None`
    /// for what does neither), and its length in bytes.
    pub fn note_forwarded(&mut self, tool: Option<&str>, read: Option<bool>, bytes: u64) {
        self.bytes_out = self.bytes_out.saturating_add(bytes);
        match read {
            Some(true) => self.cumulative_reads += 1,
            Some(false) => self.cumulative_writes += 1,
            None => {}
        }
        let Some(tool) = tool else { return };
        if let Some(count) = self.tools_used.get_mut(tool) {
            *count += 1;
            return;
        }
        let named = self.tools_used.len() < TOOLS && tool.len() <= TOOL_BYTES;
        let name = if named { tool } else { OTHER };
        *self.tools_used.entry(name.into()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests;
