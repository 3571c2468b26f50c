//! One child process: started, written to, read, ended and reaped.
//!
//! The child leads a process group of its own, so that what it starts can be ended with it. One task
//! owns it from start to reaping; when that task is dropped with the runtime, the group is killed.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Failure;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ServerCommand;
use super::lines::{Line, LineReader};
use crate::duplex::{End, Out, Wire};
use crate::failure;
use crate::server::GRACE;
use crate::throttle::Throttle;

/// Messages that may wait for the child to read them.
const QUEUE: usize = 64;
/// Longest line of standard error in the log, in bytes.
const LOG_LINE: usize = 4 << 10;
/// Lines of standard error a second in the log.
const LOG_RATE: u64 = 50;
/// How long output is read after the exit: a process that left the group can hold the pipe open.
const DRAIN: Duration = Duration::from_millis(500);

/// Starts a child and its background work.
///
/// # Errors
///
/// The program cannot be found or started.
pub(crate) fn start(
    command: &ServerCommand,
    end: &Arc<End>,
    stop: CancellationToken,
) -> Result<Wire, Failure> {
    let mut prepared = command.prepare().map_err(failure::unreachable)?;
    let cannot =
        |error| failure::unreachable(format!("`{}` cannot be started: {error}", command.program()));
    let mut child = prepared.spawn().map_err(cannot)?;
    let group = Group::of(&child);
    let (lines, queue) = mpsc::channel(QUEUE);
    let gone = CancellationToken::new();
    let output = CancellationToken::new();
    if let Some(stdin) = child.stdin.take() {
        tokio::spawn(write_lines(stdin, queue, stop.clone()));
    }
    if let Some(stdout) = child.stdout.take() {
        let limit = end.shared().config().max_message_bytes;
        let reader = read_messages(LineReader::new(stdout, limit), Arc::clone(end));
        let (over, abort) = (output.clone().drop_guard(), gone.clone());
        tokio::spawn(async move {
            let _over = over;
            abort.run_until_cancelled(reader).await;
        });
    }
    if let Some(stderr) = child.stderr.take() {
        let log = log_lines(LineReader::new(stderr, LOG_LINE), Arc::clone(end));
        let abort = gone.clone();
        tokio::spawn(async move { abort.run_until_cancelled(log).await });
    }
    let supervisor = Supervisor { child, group, end: Arc::clone(end), stop: stop.clone(), output };
    let reaped = gone.clone().drop_guard();
    tokio::spawn(async move {
        supervisor.run().await;
        drop(reaped);
    });
    Ok(Wire::new(end, Out::Lines(lines, gone), stop))
}

/// Owns the child until it is reaped.
struct Supervisor {
    child: Child,
    group: Group,
    end: Arc<End>,
    stop: CancellationToken,
    /// Cancelled when standard output has ended.
    output: CancellationToken,
}

impl Supervisor {
    async fn run(mut self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            // Without its output the child is of no use.
            () = self.output.cancelled() => {}
            _ = self.child.wait() => {}
        }
        let asked = self.stop.is_cancelled();
        let status = self.end_child().await;
        self.group.signal(Signal::SIGKILL);
        self.group.forget();
        // What was written before the exit still counts.
        if timeout(DRAIN, self.output.cancelled()).await.is_err() {
            tracing::debug!("a process outside of the group holds the server's output open");
        }
        if !asked {
            let failure = ended(&status);
            let server = self.end.shared().name();
            tracing::warn!(server, error = failure.detail, "the server process ended unexpectedly");
            self.end.died(failure);
        }
    }

    /// End of input, then SIGTERM, then SIGKILL.
    async fn end_child(&mut self) -> std::io::Result<ExitStatus> {
        self.stop.cancel();
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if let Ok(status) = timeout(GRACE, self.child.wait()).await {
                return status;
            }
            self.group.signal(signal);
        }
        self.child.wait().await
    }
}

fn ended(status: &std::io::Result<ExitStatus>) -> Failure {
    match status {
        Ok(status) => failure::ended(status),
        Err(error) => failure::broken(format!("the server process is lost: {error}")),
    }
}

/// The process group that the child leads; killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        // Nobody left to take the signal is what is wanted.
        if let Some(Err(error)) = self.0.map(|group| killpg(group, signal)) {
            tracing::trace!(%error, %signal, "no process in the group");
        }
    }

    /// The group is gone; its number may come to name another.
    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Writes messages until the wire is stopped or the child takes no more; then closes the pipe.
async fn write_lines(
    mut stdin: ChildStdin,
    mut queue: mpsc::Receiver<Bytes>,
    stop: CancellationToken,
) {
    let write_all = async {
        while let Some(message) = queue.recv().await {
            if let Err(error) = stdin.write_all(&framed(&message)).await {
                tracing::debug!(%error, "the server takes no more input");
                return;
            }
        }
    };
    stop.run_until_cancelled(write_all).await;
}

/// A message as one line: line ends in valid JSON are white space between tokens.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(message.len() + 1);
    line.extend(
        message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }),
    );
    line.push(b'\n');
    line
}

async fn read_messages<R: AsyncRead + Unpin>(mut lines: LineReader<R>, end: Arc<End>) {
    loop {
        match lines.next().await {
            Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {}
            Ok(Some(Line::Whole(line))) => end.receive(line).await,
            Ok(Some(Line::Cut(_))) => end.odd("line is over `upstream.max_message_bytes`"),
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "the server's output broke"),
        }
    }
}

async fn log_lines<R: AsyncRead + Unpin>(mut lines: LineReader<R>, end: Arc<End>) {
    let throttle = Throttle::new(end.shared().clock(), LOG_RATE);
    let server = end.shared().name();
    while let Ok(Some(Line::Whole(line) | Line::Cut(line))) = lines.next().await {
        if let Some(suppressed) = throttle.admit() {
            tracing::info!(server, suppressed, line = printable(&line), "stderr of the server");
        }
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
