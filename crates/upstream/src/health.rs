//! What is known of the server's health: the last evidence wins, but for one thing. A server that
//! can be connected to and does not speak MCP stays down until it does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Health, lock};

/// The last evidence, of a message or of a check.
pub(crate) struct LastSeen {
    server: String,
    /// Whether it ever spoke MCP: then what is not MCP is trouble that passes.
    spoke: AtomicBool,
    evidence: Mutex<Evidence>,
}

#[derive(PartialEq, Eq)]
enum Evidence {
    /// None yet.
    Nothing,
    /// It answers, or can be connected to.
    Up,
    /// It cannot be reached, or broke off.
    Lost(String),
    /// It answers, and what it says is not MCP.
    NotMcp(String),
}

impl LastSeen {
    /// Nothing is known yet, which is not ready. The name is for the log.
    pub(crate) fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            spoke: AtomicBool::new(false),
            evidence: Mutex::new(Evidence::Nothing),
        }
    }

    /// The server can be connected to, which does not make it an MCP server.
    pub(crate) fn connected(&self) {
        self.change(Evidence::Up, |before| !matches!(before, Evidence::NotMcp(_)));
    }

    /// The server answered `initialize`, whatever it said.
    pub(crate) fn spoke(&self) {
        self.spoke.store(true, Ordering::Relaxed);
        self.change(Evidence::Up, |_| true);
    }

    /// The server cannot be reached, or broke off.
    pub(crate) fn lost(&self, why: &str) {
        self.change(Evidence::Lost(why.to_owned()), |_| true);
    }

    /// The server gave `initialize` something that is not MCP. One that spoke MCP before has trouble that passes: to
    /// stay down until it is asked again would keep it down, for who is not ready is not asked.
    pub(crate) fn not_mcp(&self, why: &str) {
        if self.spoke.load(Ordering::Relaxed) {
            return self.lost(why);
        }
        self.change(Evidence::NotMcp(why.to_owned()), |_| true);
    }

    /// Takes the new evidence if it counts against what was known before; says in the log when the
    /// server comes or goes.
    fn change(&self, now: Evidence, counts: impl FnOnce(&Evidence) -> bool) {
        let mut evidence = lock(&self.evidence);
        if *evidence == now || !counts(&evidence) {
            return;
        }
        let server = &*self.server;
        match (&*evidence, &now) {
            (Evidence::Nothing | Evidence::Up, Evidence::Lost(why) | Evidence::NotMcp(why)) => {
                tracing::warn!(server, error = why.as_str(), "the server is down");
            }
            (_, Evidence::Up) => tracing::info!(server, "the server is up"),
            (_, _) => {}
        }
        *evidence = now;
    }

    /// The state now.
    pub(crate) fn get(&self) -> Health {
        match &*lock(&self.evidence) {
            Evidence::Nothing => Health::Down("the server was not checked yet".to_owned()),
            Evidence::Up => Health::Up,
            Evidence::Lost(why) | Evidence::NotMcp(why) => Health::Down(why.clone()),
        }
    }
}
