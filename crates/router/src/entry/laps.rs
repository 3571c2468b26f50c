//! Where the time of a message goes.

use std::time::{Duration, Instant};

use super::Entry;

/// What the time of the message is being spent on.
pub(super) enum Lap {
    /// What has no column of its own.
    Other,
    /// Waiting for the server, since then.
    Waiting(Instant),
    /// Looking into the answer, since then and with that much time spent on policy before.
    Inspecting(Instant, Duration),
}

impl Entry {
    /// From now on the time is the server's.
    pub(crate) fn wait(&mut self) {
        self.lap = Lap::Waiting(self.now());
    }

    /// The server's time is over, that of looking into its answer begins.
    pub(crate) fn waited(&mut self) {
        let now = self.now();
        self.end_lap(now);
        let policy = self.event().map_or(Duration::ZERO, |event| event.latency.policy);
        self.lap = Lap::Inspecting(now, policy);
    }

    /// From now on the time is the client's, who reads.
    pub(crate) fn rest(&mut self) {
        self.lap = Lap::Other;
    }

    /// Adds the time since the last change to where it belongs.
    pub(super) fn end_lap(&mut self, now: Instant) {
        let lap = std::mem::replace(&mut self.lap, Lap::Other);
        let Some(event) = self.event() else { return };
        let latency = &mut event.latency;
        match lap {
            Lap::Other => {}
            Lap::Waiting(from) => latency.upstream += now.duration_since(from),
            Lap::Inspecting(from, policy) => {
                let deciding = latency.policy.saturating_sub(policy);
                latency.inspect += now.duration_since(from).saturating_sub(deciding);
            }
        }
    }
}
