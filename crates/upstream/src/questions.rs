//! Questions of the server that wait for the client.
//!
//! While the server waits for an answer of the client (a person may be asked), the client is the one
//! who takes the time: the time-out of the server's own answer stands still. It is bounded, so
//! that a question which is never answered holds nothing for ever.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{BoxFuture, Inbox, lock};
use protocol::{Kind, Message, Method};
use tokio::time::{Instant, timeout_at};

/// How long a question may wait.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many questions of one session are watched. Further ones do not stop the time.
const MOST: usize = 1024;

/// The open questions of one session, by the server's ids.
#[derive(Default)]
pub(crate) struct Questions(Mutex<HashMap<Box<str>, Instant>>);

impl Questions {
    /// Notes a message of the server, if it is a question.
    pub(crate) fn asked(&self, message: &Message) {
        let Some(id) = message.id().filter(|_| message.kind() == Kind::Request) else { return };
        let mut open = lock(&self.0);
        if open.len() < MOST {
            open.insert(id.into(), Instant::now());
        }
    }

    /// Notes that the server gets its answer, from the client or instead of it.
    pub(crate) fn answered(&self, id: Option<&str>) {
        if let Some(id) = id {
            lock(&self.0).remove(id);
        }
    }

    /// Whether one waits that was asked since then.
    fn are_open(&self, since: Instant) -> bool {
        let mut open = lock(&self.0);
        open.retain(|_, asked| asked.elapsed() < PATIENCE);
        open.values().any(|asked| *asked >= since)
    }

    /// Waits for something of the server until `deadline`, and for `limit` more whenever the server
    /// is waiting for the client then. Only what was asked since the request, at `since`, can be why
    /// it is not answered. `None` when nothing came. Cancel-safe if `future` is.
    pub(crate) async fn within<T>(
        &self,
        since: Instant,
        mut deadline: Instant,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        loop {
            match timeout_at(deadline, future.as_mut()).await {
                Ok(item) => return Some(item),
                Err(_) if self.are_open(since) => deadline = Instant::now() + limit,
                Err(_) => return None,
            }
        }
    }
}

/// An inbox whose questions are watched.
pub(crate) struct Watched {
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) questions: Arc<Questions>,
}

impl Inbox for Watched {
    fn deliver(&self, message: Message) -> BoxFuture<'_, ()> {
        self.questions.asked(&message);
        if message.method() == Some(Method::Cancelled) {
            self.questions.answered(message.cancelled_id());
        }
        self.inbox.deliver(message)
    }

    fn has_reader(&self) -> bool {
        self.inbox.has_reader()
    }

    fn lost_session(&self, reopened: bool) {
        self.inbox.lost_session(reopened);
    }
}

#[cfg(test)]
mod tests;
