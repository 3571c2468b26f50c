//! Reloading the policy while it decides.
//!
//! What can cause a reload: the files change ([`watch`]), a bundle comes ([`bundles`]), SIGHUP, a request to the port for operators, an approval of what
//! was held ([`crate::control`]). All of them end in one thread, which owns the [`keeper::Keeper`]; requests that come
//! while it works are answered together by the next reload. What serves messages never waits for it.
//!
//! What this deliberately does not do: reload the configuration. What is not policy takes a new start.

pub(crate) mod bundles;
pub(crate) mod keeper;
pub(crate) mod rehearsal;
pub(crate) mod status;
pub(crate) mod watch;
pub(crate) mod weaker;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use admin::{PolicyControl, Reloaded};
use domain::{BoxFuture, Clock};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::Error;
use crate::reload::keeper::{Cause, Keeper};
use crate::reload::status::Standing;

/// How often the files and the control folder are looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(500);
/// Requests that may wait.
const WAITING: usize = 64;
/// How long somebody waits for what becomes of a request.
const PATIENCE: Duration = Duration::from_secs(30);

enum Command {
    Reload(Cause, Option<oneshot::Sender<Reloaded>>),
    Stop,
}

/// Asks for reloads.
pub(crate) struct Reloads {
    commands: SyncSender<Command>,
    standing: Arc<Standing>,
}

impl Reloads {
    /// Starts the thread that owns `keeper`.
    pub(crate) fn start(keeper: Keeper) -> Result<(Arc<Self>, JoinHandle<()>), Error> {
        let (commands, orders) = sync_channel(WAITING);
        let standing = Arc::clone(&keeper.standing);
        let clock = Arc::clone(&keeper.clock);
        let thread = std::thread::Builder::new()
            .name("policy".to_owned())
            .spawn(move || work(keeper, &orders, &*clock))
            .map_err(Error::Thread)?;
        Ok((Arc::new(Self { commands, standing }), thread))
    }

    /// Has the files loaded again because the process was told to. When too many ask, one of them will be heard.
    pub(crate) fn signal(&self) {
        drop(self.commands.try_send(Command::Reload(Cause::Signal, None)));
    }

    /// Ends the thread once it has done what it is at.
    pub(crate) fn stop(&self) {
        drop(self.commands.send(Command::Stop));
    }
}

impl PolicyControl for Reloads {
    fn status(&self) -> Value {
        self.standing.json()
    }

    fn reload(&self) -> BoxFuture<'_, Reloaded> {
        let (reply, outcome) = oneshot::channel();
        let sent = self.commands.try_send(Command::Reload(Cause::Operator, Some(reply)));
        Box::pin(async move {
            if sent.is_err() {
                return Reloaded::Unavailable;
            }
            match tokio::time::timeout(PATIENCE, outcome).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Reloaded::Unavailable,
            }
        })
    }
}

/// Looks at every [`LOOK`], and reloads when asked, until told to stop.
fn work(mut keeper: Keeper, orders: &Receiver<Command>, clock: &dyn Clock) {
    let mut next = clock.monotonic() + LOOK;
    loop {
        let wait = next.saturating_duration_since(clock.monotonic());
        match orders.recv_timeout(wait) {
            Ok(Command::Reload(cause, reply)) => {
                let mut replies: Vec<_> = reply.into_iter().collect();
                let mut stop = false;
                // Whoever asked before the files are read gets the same answer.
                for order in orders.try_iter().take(WAITING) {
                    match order {
                        Command::Reload(_, reply) => replies.extend(reply),
                        Command::Stop => stop = true,
                    }
                }
                let outcome = keeper.reload(cause);
                let shown = keeper.standing.last();
                for reply in replies {
                    let shown = shown.clone();
                    // Whoever no longer waits needs no answer.
                    drop(reply.send(match outcome {
                        Ok(_) => Reloaded::Done(shown),
                        Err(_) => Reloaded::Refused(shown),
                    }));
                }
                if stop {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
        if clock.monotonic() >= next {
            keeper.look();
            next = clock.monotonic() + LOOK;
        }
    }
}

#[cfg(test)]
mod tests;
