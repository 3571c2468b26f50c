//! One child process: started, written to, read, ended and reaped.
//!
//! The child leads a process group of its own, so that what it starts can be ended with it, and
//! carries a mark by which what has left the group is found (`children`). One task owns it from start
//! to burial; when that task is dropped with the runtime, the group is killed.

use std::io::Result as IoResult;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use protocol::lines::{self, Line};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::children::{Children, Mark};
use crate::lines::LineReader;
use crate::{Command, Error};

/// How long a child gets to end after the end of its input, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// Longest line of standard error that is told, in bytes.
const ERROR_LINE: usize = 4 << 10;
/// How long output is read after the exit: a process out of reach can hold the pipe open.
const DRAIN: Duration = Duration::from_millis(500);

/// Hears what a child says, and that it ended.
pub trait Listener: Send + Sync + 'static {
    /// One line of standard output that is not blank; the next is read when this was taken.
    fn line(&self, line: Bytes) -> impl Future<Output = ()> + Send;

    /// A line of standard output that was over the limit, and is dropped.
    fn too_long(&self);

    /// One line of standard error; of a long one, the beginning. It is bytes as the child wrote them.
    fn error_line(&self, line: &[u8]);

    /// The child ended without having been asked to; all that it wrote was heard.
    fn ended(&self, status: &IoResult<ExitStatus>);
}

/// Starts a child and its background work: it is written the messages of `input`, a line each, and
/// `listener` is told its lines of at most `limit` bytes. It is ended when `stop` is cancelled, or
/// when its output ends, and then `stop` is cancelled; the token that comes back is cancelled when
/// nothing of it is left.
///
/// # Errors
///
/// The program cannot be found or started.
pub fn start(
    command: &Command,
    children: &Arc<Children>,
    input: mpsc::Receiver<Bytes>,
    limit: usize,
    listener: Arc<impl Listener>,
    stop: CancellationToken,
) -> Result<CancellationToken, Error> {
    let mark = Mark::new();
    let mut child = command.spawn(&mark)?;
    let group = Group::of(&child);
    let counted = children.count_in();
    let gone = CancellationToken::new();
    let output = CancellationToken::new();
    if let Some(stdin) = child.stdin.take() {
        tokio::spawn(write_lines(stdin, input, stop.clone()));
    }
    if let Some(stdout) = child.stdout.take() {
        // Boxed, as each async block around a future makes room for it again.
        let read = Box::pin(read_output(LineReader::new(stdout, limit), Arc::clone(&listener)));
        let (over, abort) = (output.clone().drop_guard(), gone.clone());
        tokio::spawn(async move {
            let _over = over;
            abort.run_until_cancelled(read).await;
        });
    }
    if let Some(stderr) = child.stderr.take() {
        let read =
            Box::pin(read_errors(LineReader::new(stderr, ERROR_LINE), Arc::clone(&listener)));
        let abort = gone.clone();
        tokio::spawn(async move { abort.run_until_cancelled(read).await });
    }
    let children = Arc::clone(children);
    let supervisor = Supervisor { child, group, mark, children, listener, stop, output };
    let buried = gone.clone().drop_guard();
    tokio::spawn(async move {
        supervisor.run().await;
        drop((counted, buried));
    });
    Ok(gone)
}

/// Owns the child until it is reaped.
struct Supervisor<L> {
    child: Child,
    group: Group,
    mark: Mark,
    children: Arc<Children>,
    listener: Arc<L>,
    stop: CancellationToken,
    /// Cancelled when standard output has ended.
    output: CancellationToken,
}

impl<L: Listener> Supervisor<L> {
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
        let report = async {
            // What was written before the exit still counts.
            if timeout(DRAIN, self.output.cancelled()).await.is_err() {
                tracing::debug!("a process out of reach holds the child's output open");
            }
            if !asked {
                self.listener.ended(&status);
            }
        };
        tokio::join!(self.children.bury(self.mark), report);
    }

    /// End of input, then SIGTERM, then SIGKILL.
    async fn end_child(&mut self) -> IoResult<ExitStatus> {
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

/// Writes messages until it is stopped or the child takes no more; then closes the pipe.
async fn write_lines(
    mut stdin: ChildStdin,
    mut input: mpsc::Receiver<Bytes>,
    stop: CancellationToken,
) {
    let write_all = async {
        while let Some(message) = input.recv().await {
            let mut line = Vec::new();
            lines::encode(&mut line, &message);
            if let Err(error) = stdin.write_all(&line).await {
                tracing::debug!(%error, "the child takes no more input");
                return;
            }
        }
    };
    stop.run_until_cancelled(write_all).await;
}

async fn read_output(mut lines: LineReader<ChildStdout>, listener: Arc<impl Listener>) {
    loop {
        match lines.next().await {
            Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {}
            Ok(Some(Line::Whole(line))) => listener.line(line).await,
            Ok(Some(Line::Cut(_))) => listener.too_long(),
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "the child's output broke"),
        }
    }
}

async fn read_errors(mut lines: LineReader<ChildStderr>, listener: Arc<impl Listener>) {
    while let Ok(Some(Line::Whole(line) | Line::Cut(line))) = lines.next().await {
        listener.error_line(&line);
    }
}

#[cfg(test)]
mod tests;
