//! Counters and taints of sessions as they would have become under other policies.

use std::collections::HashMap;
use std::sync::Arc;

use domain::SessionState;
use serde_json::Value;

use crate::recorded::Recorded;

/// The sessions of a replay; stateless clients of one agent share one.
#[derive(Default)]
pub(crate) struct Counters {
    sessions: HashMap<String, Arc<SessionState>>,
}

impl Counters {
    /// The state before the message: recomputed, else what the row says; blank for the first message of a session;
    /// `None` when the session began before what is replayed and nothing of it was recorded.
    pub(crate) fn before(
        &mut self,
        session: &str,
        recorded: &Recorded,
    ) -> Option<Arc<SessionState>> {
        if let Some(state) = self.sessions.get(session) {
            return Some(Arc::clone(state));
        }
        let first = recorded.request_count.is_some_and(|count| count <= 1);
        let state = recorded.state.clone().or_else(|| first.then(Arc::default))?;
        self.sessions.insert(session.to_owned(), Arc::clone(&state));
        Some(state)
    }

    /// Attaches taints.
    pub(crate) fn taint(&mut self, session: &str, labels: &[Arc<str>]) {
        if labels.is_empty() {
            return;
        }
        if let Some(state) = self.sessions.get_mut(session) {
            Arc::make_mut(state).taints.extend(labels.iter().cloned());
        }
    }

    /// Counts a message that leaves for the server.
    pub(crate) fn forwarded(&mut self, session: &str, recorded: &Recorded) {
        let Some(state) = self.sessions.get_mut(session) else { return };
        let read = match &*recorded.method {
            "resources/read" => Some(true),
            "tools/call" => Some(only_reads(recorded)),
            _ => None,
        };
        let (tool, bytes) = (recorded.tool.as_deref(), recorded.size as u64);
        Arc::make_mut(state).note_forwarded(tool, read, bytes);
    }
}

/// Whether the server declares that the tool only reads.
fn only_reads(recorded: &Recorded) -> bool {
    let annotations = recorded.tool_view.as_ref().and_then(|tool| tool.annotations.as_deref());
    let annotations = annotations.and_then(|raw| serde_json::from_str::<Value>(raw).ok());
    annotations.is_some_and(|known| known.get("readOnlyHint") == Some(&Value::Bool(true)))
}
