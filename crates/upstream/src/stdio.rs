//! A server that is a child process, spoken to line by line (MCP "stdio").

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::Arc;

use bytes::Bytes;
use child::{Command, Listener};
use domain::{Failure, Throttle};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::duplex::{End, Out, QUEUE, Wire};
use crate::{Config, Error, failure};

/// Lines of standard error a second in the log.
const LOG_RATE: u64 = 50;

/// The command of a configuration, in an environment of what it names of the gateway's own.
pub(crate) fn command(
    config: &Config,
    gateway: &BTreeMap<String, String>,
) -> Result<Command, Error> {
    let inherited = config.env_allow.iter().filter_map(|name| {
        let value = gateway.get(name)?;
        Some((name.clone(), value.clone()))
    });
    let own = config.env.iter().map(|(name, value)| (name.clone(), value.expose().clone()));
    let environment = inherited.chain(own).collect();
    Ok(Command::new(&config.command, environment, gateway, config.cwd.clone())?)
}

/// Starts a child and makes a wire of its pipes.
///
/// # Errors
///
/// The program cannot be found or started.
pub(crate) fn start(
    command: &Command,
    end: &Arc<End>,
    stop: CancellationToken,
) -> Result<Wire, Failure> {
    let shared = end.shared();
    let (messages, queue) = mpsc::channel(QUEUE);
    let limit = shared.config().max_message_bytes;
    let log = Throttle::new(shared.clock(), LOG_RATE);
    let listening = Arc::new(Listening { end: Arc::clone(end), log });
    let started = child::start(command, shared.children(), queue, limit, listening, stop.clone());
    let gone = started.map_err(|error| failure::unreachable(Error::from(error)))?;
    Ok(Wire::new(end, Out::Queue(messages, gone), stop))
}

/// Takes what a child says to the end of its wire, or to the log.
struct Listening {
    end: Arc<End>,
    log: Throttle,
}

impl Listener for Listening {
    async fn line(&self, line: Bytes) {
        self.end.receive(line).await;
    }

    fn too_long(&self) {
        self.end.odd("line is over `upstream.max_message_bytes`");
    }

    fn error_line(&self, line: &[u8]) {
        if let Some(suppressed) = self.log.admit() {
            let server = self.end.shared().name();
            tracing::info!(server, suppressed, line = printable(line), "stderr of the server");
        }
    }

    fn ended(&self, status: &std::io::Result<ExitStatus>) {
        let failure = match status {
            Ok(status) => failure::ended(status),
            Err(error) => failure::broken(format!("the server process is lost: {error}")),
        };
        let (server, error) = (self.end.shared().name(), &failure.detail);
        tracing::warn!(server, error, "the server process ended unexpectedly");
        self.end.died(failure);
    }
}

/// A line that does nothing to a terminal.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let unsafe_in_log =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean = |c| if unsafe_in_log(c) { '\u{fffd}' } else { c };
    text.trim_end().chars().map(clean).collect()
}

#[cfg(test)]
mod tests;
