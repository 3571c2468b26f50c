//! The children of one owner: how many there are, and that nothing is left of those that ended.
//!
//! The process group of a child ends with it. What has left the group (`setsid`) is known by a mark
//! in its environment, which every process inherits, and is found in `/proc`. So this is for Linux;
//! elsewhere the group is all. Out of reach are processes that wipe their environment or run as
//! another user, and everything when the gateway itself is killed (SIGKILL): then a child learns of
//! it by the end of its input alone. Who must be sure gives the gateway a container, or a PID
//! namespace, of its own: nothing survives the end of that.

use std::fs;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use memchr::memmem;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Mutex;

/// The environment variable that holds the marks.
pub(crate) const VARIABLE: &str = "MCP_PROXY_CHILD";
/// Looks without a find that are believed. One is not enough: a process in the middle of `exec` shows
/// no environment, and one may start another behind the look and end before it.
const QUIET: usize = 3;
/// Looks at most.
const LOOKS: usize = 50;
/// How long things get to settle before the next look.
const PAUSE: Duration = Duration::from_millis(10);

/// What the environment of one child, and of all that it starts, contains, and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    /// A mark like no other.
    pub(crate) fn new() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)))
    }

    /// The value of [`VARIABLE`] for a child of a process that may be marked itself: who marked it
    /// finds the child as well.
    pub(crate) fn beside(&self, outer: Option<&str>) -> String {
        outer.map_or_else(|| self.0.clone(), |outer| format!("{outer},{}", self.0))
    }
}

/// The children of one owner.
#[derive(Default)]
pub struct Children {
    /// Shared by all children that are not buried yet.
    living: Arc<()>,
    /// Marks of those whose strays were not looked for yet.
    ended: SyncMutex<Vec<Mark>>,
    /// Held while somebody looks.
    looking: Mutex<()>,
}

impl Children {
    /// Counts a child in for as long as the result is held.
    pub(crate) fn count_in(&self) -> Arc<()> {
        Arc::clone(&self.living)
    }

    /// Children that were started and of which something is left.
    #[must_use]
    pub fn count(&self) -> usize {
        Arc::strong_count(&self.living) - 1
    }

    /// Kills what is left of a child that was reaped. Whoever comes while somebody looks waits, and
    /// the next look is for all of them: it costs as much for a thousand children as for one.
    pub(crate) async fn bury(&self, mark: Mark) {
        self.ended().push(mark);
        let _looking = self.looking.lock().await;
        let marks = std::mem::take(&mut *self.ended());
        if marks.is_empty() {
            return;
        }
        if let Err(error) = tokio::task::spawn_blocking(move || kill_all(&marks)).await {
            tracing::debug!(%error, "nobody looked for processes that outlived the child");
        }
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Mark>> {
        // A holder that panicked left the list whole.
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kills all processes that carry one of these marks, until there is none.
fn kill_all(marks: &[Mark]) {
    let mut quiet = 0;
    for _ in 0..LOOKS {
        quiet += 1;
        for process in carriers(marks) {
            quiet = 0;
            // It may have ended since, which is what is wanted; that its number names another by now
            // would take the kernel a round through all numbers.
            if let Err(error) = kill(process, Signal::SIGKILL) {
                tracing::trace!(%process, %error, "a stray process was gone");
            }
        }
        if quiet == QUIET {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    tracing::warn!("processes that the child started do not end");
}

/// The processes that carry one of these marks.
fn carriers(marks: &[Mark]) -> impl Iterator<Item = Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.map(Pid::from_raw).filter(|process| {
        // That of another user cannot be read, and that of a zombie is empty.
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        memmem::find(&environment, VARIABLE.as_bytes()).is_some()
            && marks.iter().any(|mark| memmem::find(&environment, mark.0.as_bytes()).is_some())
    })
}

#[cfg(test)]
mod tests;
