//! What a connection is waiting for, shared between the service, which knows it, and the socket, which keeps the
//! deadlines.
//!
//! One connection is one task, so that nothing here is ever contended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the client owes the gateway at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The first byte of a new connection.
    Fresh,
    /// The rest of a request's headers.
    Head,
    /// The rest of a request's body.
    Body,
    /// Nothing: the gateway owes an answer.
    Busy,
    /// The next request.
    Idle,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Fresh, Self::Head, Self::Body, Self::Busy, Self::Idle];
}

/// The phase of one connection. Each change has a number, so that a deadline is known to be of a former phase.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// `number of the change << 3 | phase`
    state: AtomicU64,
    expired: AtomicBool,
    linger: AtomicBool,
}

impl Progress {
    pub(crate) fn enter(&self, phase: Phase) {
        let number = (self.state.load(Ordering::Relaxed) >> 3).wrapping_add(1);
        self.state.store(number << 3 | phase as u64, Ordering::Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        let index = self.state.load(Ordering::Relaxed) & 7;
        Phase::ALL.into_iter().find(|phase| *phase as u64 == index).unwrap_or(Phase::Busy)
    }

    /// Names the stay in the current phase.
    pub(crate) fn stay(&self) -> u64 {
        self.state.load(Ordering::Relaxed)
    }

    /// Notes that the client let the deadline of the current phase pass.
    pub(crate) fn expire(&self) {
        self.expired.store(true, Ordering::Relaxed);
    }

    pub(crate) fn expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed)
    }

    /// Asks that the connection, when it is closed, waits for the client to read the answer: the client may still be
    /// sending what was refused, and a reset would take the answer from it.
    pub(crate) fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lingers(&self) -> bool {
        self.linger.load(Ordering::Relaxed)
    }
}

/// One request and its answer, up to the last byte given to the socket; then the connection is idle.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Progress>);

impl Turn {
    pub(crate) fn begin(progress: &Arc<Progress>) -> Self {
        progress.linger.store(false, Ordering::Relaxed);
        progress.enter(Phase::Busy);
        Self(Arc::clone(progress))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}
