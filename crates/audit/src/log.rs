//! The audit log as the gateway holds it: room for events, their hand-over to the writer, and the state of both.
//!
//! Room is counted by a semaphore: a permit is taken when room is reserved and given back when the row is committed, so
//! the events that wait, the batch being written included, never exceed `audit.buffer_size`. Handing over an event
//! costs a push into a lock-free queue; the writer is woken for it only when it rests, or when the queue is half full.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{JoinHandle, Thread};

use domain::{
    AuditEvent, BoxFuture, Clock, ErrorKind, Failure, Health, Probe, Recorder, Slot, Span, lock,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::store::Store;
use crate::writer::Writer;
use crate::{Config, Error};

/// Opens the log that the configuration asks for; `None` when `audit.enabled` is off, and [`Disabled`] records then.
///
/// # Errors
///
/// As [`AuditLog::open`].
pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Option<Arc<AuditLog>>, Error> {
    config.enabled.then(|| AuditLog::open(config, clock).map(Arc::new)).transpose()
}

/// Writes events to the SQLite file of the configuration, in one thread of its own.
pub struct AuditLog {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the log has done so far, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events committed.
    pub written: u64,
    /// Events lost: only at shutdown, when the database took nothing, or recorded after it.
    pub dropped: u64,
    /// Transactions committed.
    pub flushes: u64,
    /// Events that wait to be committed.
    pub queued: u64,
}

/// What the log, its slots and its writer have in common.
pub(crate) struct Shared {
    room: Semaphore,
    capacity: usize,
    max_wait: Span,
    sender: SyncSender<Box<AuditEvent>>,
    queued: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
    flushes: AtomicU64,
    closing: AtomicBool,
    /// Whether the writer sleeps until it is woken, because nothing came for a while.
    resting: AtomicBool,
    /// Why nothing can be written, while that is so.
    trouble: Mutex<Option<String>>,
    writer: OnceLock<Thread>,
}

impl AuditLog {
    /// Opens or creates the file and starts the writer. A log of an older release is brought to the current schema.
    ///
    /// # Errors
    ///
    /// When the configuration or the file cannot be used; the message names the key or the file and the remedy.
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        config.validate()?;
        let store = Store::open(&config.db_path)?;
        let (shared, receiver) = Shared::new(config);
        let writer = Writer::new(config, store, Arc::clone(&shared), receiver, clock);
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())
            .map_err(Error::Thread)?;
        shared.writer.get_or_init(|| thread.thread().clone());
        Ok(Self { shared, writer: Mutex::new(Some(thread)) })
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Refuses further reservations, waits up to `audit.max_wait` for the slots that are still out, writes what is
    /// queued, and closes the file. Blocks; when the database takes nothing, gives up after some seconds, and counts
    /// and logs the rows that are lost. Calling it again does nothing.
    pub fn shutdown(&self) {
        self.shared.close();
        let writer = lock(&self.writer).take();
        if writer.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the audit log has panicked");
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Recorder for AuditLog {
    fn reserve(&self) -> BoxFuture<'_, Result<Box<dyn Slot>, Failure>> {
        match self.shared.try_slot() {
            Some(slot) => Box::pin(std::future::ready(Ok(slot))),
            None => Box::pin(self.shared.wait_for_slot()),
        }
    }
}

impl Probe for AuditLog {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn health(&self) -> Health {
        self.shared.health()
    }
}

impl Shared {
    pub(crate) fn new(config: &Config) -> (Arc<Self>, Receiver<Box<AuditEvent>>) {
        let (sender, receiver) = sync_channel(config.buffer_size);
        let shared = Self {
            room: Semaphore::new(config.buffer_size),
            capacity: config.buffer_size,
            max_wait: config.max_wait,
            sender,
            queued: AtomicU64::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            trouble: Mutex::new(None),
            writer: OnceLock::new(),
        };
        (Arc::new(shared), receiver)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            written: self.written.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            flushes: self.flushes.load(Relaxed),
            queued: self.queued.load(Relaxed),
        }
    }

    pub(crate) fn health(&self) -> Health {
        lock(&self.trouble).clone().map_or(Health::Up, Health::Down)
    }

    /// Whether the log is being shut down.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// Whether every slot is gone and every event committed.
    pub(crate) fn is_idle(&self) -> bool {
        self.room.available_permits() == self.capacity
    }

    /// Notes that `events` are committed, and gives their room back.
    pub(crate) fn committed(&self, events: usize) {
        let count = u64::try_from(events).unwrap_or(u64::MAX);
        self.queued.fetch_sub(count, Relaxed);
        if lock(&self.trouble).take().is_some() {
            tracing::info!("the audit log can be written again");
        }
        self.room.add_permits(events);
        self.flushes.fetch_add(1, Relaxed);
        self.written.fetch_add(count, Relaxed);
    }

    /// Notes why nothing can be written.
    pub(crate) fn failed(&self, error: &Error) {
        let reason = error.to_string();
        let mut trouble = lock(&self.trouble);
        if trouble.as_ref() != Some(&reason) {
            tracing::error!(queued = self.stats().queued, "{reason}");
            *trouble = Some(reason);
        }
    }

    /// Refuses everything from now on. Called once the receiver is gone: what is queued then is lost.
    pub(crate) fn ended(&self) {
        self.close();
        let lost = self.queued.swap(0, Relaxed);
        if lost > 0 {
            self.dropped.fetch_add(lost, Relaxed);
            tracing::error!(
                rows = lost,
                "the audit log was closed with rows that could not be written"
            );
        }
        lock(&self.trouble).get_or_insert_with(|| "the audit log is closed".to_owned());
    }

    fn close(&self) {
        self.room.close();
        self.closing.store(true, Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = self.writer.get() {
            thread.unpark();
        }
    }

    /// Room for one event, if there is some now.
    pub(crate) fn try_slot(self: &Arc<Self>) -> Option<Box<dyn Slot>> {
        self.room.try_acquire().ok().map(|permit| self.slot(permit))
    }

    fn slot(self: &Arc<Self>, permit: SemaphorePermit<'_>) -> Box<dyn Slot> {
        permit.forget();
        Box::new(Reserved { shared: Arc::clone(self), used: false })
    }

    async fn wait_for_slot(self: &Arc<Self>) -> Result<Box<dyn Slot>, Failure> {
        // The room that is taken may be that of events which wait for the next flush. While writing fails, the
        // writer keeps its own pace.
        if lock(&self.trouble).is_none() {
            self.wake();
        }
        match tokio::time::timeout(self.max_wait.duration(), self.room.acquire()).await {
            Ok(Ok(permit)) => Ok(self.slot(permit)),
            Ok(Err(_)) => Err(unavailable().detail("the audit log is closed")),
            Err(_) => Err(self.full()),
        }
    }

    fn full(&self) -> Failure {
        let reason = lock(&self.trouble).clone();
        unavailable().detail(format_args!(
            "no room for {} in the queue of {} events (`audit.max_wait`, `audit.buffer_size`): {}",
            self.max_wait,
            self.capacity,
            reason.as_deref().unwrap_or("events come faster than they can be written")
        ))
    }

    fn push(&self, event: Box<AuditEvent>) {
        let half = u64::try_from(self.capacity / 2).unwrap_or(u64::MAX).max(1);
        let queued = self.queued.fetch_add(1, SeqCst) + 1;
        // The queue is as large as the semaphore, so it is never full here; it is gone after the shutdown.
        if self.sender.try_send(event).is_err() {
            self.queued.fetch_sub(1, Relaxed);
            self.dropped.fetch_add(1, Relaxed);
            tracing::error!("an event was recorded after the audit log was closed; it is lost");
        } else if queued == half || self.resting.load(SeqCst) {
            self.wake();
        }
    }

    /// Lets the writer rest, unless an event came in the meantime. Whoever records the next one wakes it.
    pub(crate) fn rest(&self) -> bool {
        self.resting.store(true, SeqCst);
        self.queued.load(SeqCst) == 0
    }

    /// Notes that the writer works again.
    pub(crate) fn rise(&self) {
        self.resting.store(false, SeqCst);
    }
}

fn unavailable() -> Failure {
    Failure::new(
        ErrorKind::AuditUnavailable,
        "the audit log takes no more messages; try again later",
    )
}

/// Room for one event. Dropping it unused gives the room back.
struct Reserved {
    shared: Arc<Shared>,
    used: bool,
}

impl Slot for Reserved {
    fn record(mut self: Box<Self>, event: Box<AuditEvent>) {
        self.used = true;
        self.shared.push(event);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.used {
            self.shared.room.add_permits(1);
        }
    }
}

/// Records nothing: `audit.enabled: false`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disabled;

impl Recorder for Disabled {
    fn reserve(&self) -> BoxFuture<'_, Result<Box<dyn Slot>, Failure>> {
        Box::pin(std::future::ready(Ok(Box::new(Self) as Box<dyn Slot>)))
    }
}

impl Slot for Disabled {
    fn record(self: Box<Self>, _: Box<AuditEvent>) {}
}

#[cfg(test)]
mod tests;
