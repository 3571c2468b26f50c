//! One server, seen from either era.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{BoxFuture, Clock, Connection, Inbox, Party, ServerView, Upstream};
use protocol::Message;

use crate::eras::Eras;
use crate::link::Link;
use crate::tools::Tools;

/// A server that clients of both eras can talk to, over one that is spoken to in the era of each
/// message.
pub struct Bridge {
    shared: Arc<Shared>,
}

/// What all connections to one server share.
pub(crate) struct Shared {
    raw: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    eras: Eras,
    tools: Tools,
    /// Whether the log says already that sessions, or stateless requests, are translated.
    noted: [AtomicBool; 2],
}

/// Which way messages are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// A client with a session at a stateless server.
    LegacyToModern,
    /// A stateless client at a server with sessions.
    ModernToLegacy,
}

impl Bridge {
    /// A bridge to the server behind `raw`. No I/O happens before the first message.
    #[must_use]
    pub fn new(raw: Arc<dyn Upstream>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let shared = Shared {
            eras: Eras::new(&clock),
            tools: Tools::default(),
            noted: Default::default(),
            raw,
            clock,
        };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Upstream for Bridge {
    fn connect(&self, inbox: Arc<dyn Inbox>, party: Party) -> Arc<dyn Connection> {
        Arc::new(Link::new(&self.shared, inbox, party))
    }

    fn view(&self) -> ServerView<'_> {
        self.shared.raw.view()
    }
}

impl Shared {
    pub(crate) fn raw(&self) -> &Arc<dyn Upstream> {
        &self.raw
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn eras(&self) -> &Eras {
        &self.eras
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Whether messages travel with HTTP headers; over a pipe there are none.
    pub(crate) fn has_headers(&self) -> bool {
        self.raw.view().transport == "http"
    }

    /// Says in the log, once a direction, that messages are translated.
    pub(crate) fn note(&self, direction: Direction) {
        let (place, what) = match direction {
            Direction::LegacyToModern => (0, "clients with sessions reach a stateless server"),
            Direction::ModernToLegacy => (1, "stateless clients reach a server with sessions"),
        };
        if self.noted.get(place).is_some_and(|noted| !noted.swap(true, Ordering::Relaxed)) {
            tracing::info!(server = self.raw.view().name, "bridging: {what}");
        }
    }
}

/// Drops what answers no question of the gateway's.
pub(crate) struct Deaf;

impl Inbox for Deaf {
    fn deliver(&self, _: Message) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
