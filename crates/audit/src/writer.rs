//! The thread that writes: collects what is queued, commits it in one transaction, and in between removes old rows.
//!
//! A batch that cannot be written is kept and tried again: the queue then fills, and messages are refused before they
//! are forwarded. Only a shutdown gives up on it.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use domain::{AuditEvent, Clock};

use crate::insert::Inserter;
use crate::log::Shared;
use crate::retention::Retention;
use crate::store::Store;
use crate::{Config, Error};

/// Most rows in one transaction.
const BATCH: usize = 1000;
/// A batch of fewer rows is no load: the next one is looked for sooner, so that a row is seen soon after its message.
const FEW: usize = 32;
/// How much sooner.
const SOON: Duration = Duration::from_millis(5);
/// Longest rest when nothing comes; what comes ends it.
const REST: Duration = Duration::from_secs(1);
/// Time before a failed batch is tried again: the first time, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often a batch is tried during a shutdown before its rows are given up.
const LAST_TRIES: u32 = 5;
/// Time between two looks at the slots that are out during a shutdown.
const CLOSING_INTERVAL: Duration = Duration::from_millis(5);

/// What the writer does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another turn at once.
    Turn,
    /// Another turn after this time, or when woken.
    Wait(Duration),
    /// Nothing: the log is closed.
    End,
}

/// The writing side of one log.
pub(crate) struct Writer {
    store: Store,
    inserter: Inserter,
    retention: Retention,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    receiver: Receiver<Box<AuditEvent>>,
    #[expect(clippy::vec_box, reason = "events arrive boxed, and moving a box moves eight bytes")]
    batch: Vec<Box<AuditEvent>>,
    flush_interval: Duration,
    backoff: Duration,
    /// Tries left for a batch during a shutdown.
    tries: u32,
    /// Looks left at the slots that are out during a shutdown.
    looks: u128,
}

impl Writer {
    pub(crate) fn new(
        config: &Config,
        store: Store,
        shared: Arc<Shared>,
        receiver: Receiver<Box<AuditEvent>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            inserter: Inserter::new(config.capture.clone()),
            retention: Retention::new(config.retention_days, clock.monotonic()),
            clock,
            shared,
            receiver,
            batch: Vec::with_capacity(BATCH),
            flush_interval: config.flush_interval.duration(),
            backoff: BACKOFF.0,
            tries: LAST_TRIES,
            looks: config.max_wait.duration().as_millis() / CLOSING_INTERVAL.as_millis(),
        }
    }

    /// Writes until the log is closed.
    pub(crate) fn run(self) {
        // Dropped last, when the queue is gone and what is left in it can be counted.
        let _ended = Ended(Arc::clone(&self.shared));
        let mut writer = self;
        loop {
            match writer.turn() {
                Next::Turn => {}
                Next::Wait(time) => std::thread::park_timeout(time),
                Next::End => break,
            }
        }
    }

    /// Writes one batch, or does one step of retention.
    pub(crate) fn turn(&mut self) -> Next {
        self.shared.rise();
        // Looked at before the queue: what is recorded later finds a slot that is out.
        let closing = self.shared.is_closing();
        let wanted = BATCH - self.batch.len();
        self.batch.extend(self.receiver.try_iter().take(wanted));
        let gathered = self.batch.len();
        let full = gathered == BATCH;
        if let Err(error) = self.flush() {
            self.shared.failed(&error);
            return self.after_failure(closing);
        }
        if closing {
            return self.after_last(full);
        }
        if self.sweep() || full { Next::Turn } else { self.pace(gathered) }
    }

    /// When to look again after a batch of so many rows.
    fn pace(&self, gathered: usize) -> Next {
        match gathered {
            0 if self.shared.rest() => Next::Wait(REST),
            0 => Next::Turn,
            few if few < FEW => Next::Wait(self.flush_interval.min(SOON)),
            _ => Next::Wait(self.flush_interval),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.store.with(|connection| self.inserter.insert(connection, &self.batch))?;
        self.shared.committed(self.batch.len());
        self.batch.clear();
        self.backoff = BACKOFF.0;
        Ok(())
    }

    fn after_failure(&mut self, closing: bool) -> Next {
        if closing {
            self.tries = self.tries.saturating_sub(1);
            if self.tries == 0 {
                return Next::End;
            }
        }
        let wait = self.backoff;
        self.backoff = BACKOFF.1.min(wait * 2);
        Next::Wait(wait)
    }

    fn after_last(&mut self, full: bool) -> Next {
        if full {
            return Next::Turn;
        }
        if self.shared.is_idle() || self.looks == 0 {
            return Next::End;
        }
        self.looks -= 1;
        Next::Wait(CLOSING_INTERVAL)
    }

    /// One step of retention, if any is due. Returns whether there is more to do at once.
    fn sweep(&mut self) -> bool {
        if !self.retention.is_due(&*self.clock) {
            return false;
        }
        let step = self.store.with(|connection| self.retention.step(connection, &*self.clock));
        step.unwrap_or_else(|error| {
            tracing::warn!(%error, "old rows of the audit log are kept; the next try is in an hour");
            false
        })
    }
}

/// Closes the log when the thread ends, by panic too: messages are refused then, not forwarded unrecorded.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended();
    }
}

#[cfg(test)]
mod tests;
