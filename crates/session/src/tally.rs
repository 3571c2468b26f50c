//! What a session has done so far: counters and taints that rules read.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::{Clock, ErrorKind, Failure, SessionState};

/// Most taints of one session.
const LABELS: usize = 64;

/// Longest taint in bytes.
const LABEL_BYTES: usize = 64;

/// What every session begins with: most never do more than read.
static BLANK: LazyLock<Arc<SessionState>> = LazyLock::new(Arc::default);

/// The counters and taints of one session, or of the stateless clients of one agent. Its size is bounded.
pub struct Tally {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Copied when it changes while somebody reads it.
    state: Arc<SessionState>,
    /// When it began, or was tainted last.
    renewed: Instant,
}

impl Tally {
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        let inner = Inner { state: Arc::clone(&BLANK), renewed: clock.monotonic() };
        Self { clock: Arc::clone(clock), inner: Mutex::new(inner) }
    }

    /// Counters and taints as they are now.
    pub fn state(&self) -> Arc<SessionState> {
        Arc::clone(&self.lock().state)
    }

    /// Counts one message, as [`SessionState::note_forwarded`].
    pub fn note_forwarded(&self, tool: Option<&str>, read: Option<bool>, bytes: u64) {
        Arc::make_mut(&mut self.lock().state).note_forwarded(tool, read, bytes);
    }

    /// Attaches a taint, for good.
    ///
    /// # Errors
    ///
    /// `PolicyError` when there is no room for it: the message that should have left it must not pass.
    pub fn taint(&self, label: &str) -> Result<(), Failure> {
        let mut inner = self.lock();
        if inner.state.taints.contains(label) {
            inner.renewed = self.clock.monotonic();
            return Ok(());
        }
        if label.is_empty() || label.len() > LABEL_BYTES {
            return Err(refused(format_args!(
                "the label of `taint` has {} bytes, not 1 to {LABEL_BYTES}",
                label.len()
            )));
        }
        if inner.state.taints.len() >= LABELS {
            return Err(refused(format_args!(
                "the session has {LABELS} taints already, so `{label}` cannot be added"
            )));
        }
        Arc::make_mut(&mut inner.state).taints.insert(label.into());
        inner.renewed = self.clock.monotonic();
        Ok(())
    }

    /// Whether it can be forgotten: it began, and was tainted last, `ttl` ago. A zero `ttl` is no limit.
    pub(crate) fn expired(&self, ttl: Duration) -> bool {
        let age = self.clock.monotonic().saturating_duration_since(self.lock().renewed);
        !ttl.is_zero() && age >= ttl
    }

    /// Whether rules have tainted it.
    pub(crate) fn is_tainted(&self) -> bool {
        !self.lock().state.taints.is_empty()
    }

    /// Whether nothing was counted or tainted.
    pub(crate) fn is_blank(&self) -> bool {
        Arc::ptr_eq(&self.lock().state, &BLANK)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(detail: std::fmt::Arguments<'_>) -> Failure {
    Failure::new(ErrorKind::PolicyError, "the policy could not be carried out").detail(detail)
}

#[cfg(test)]
mod tests;
