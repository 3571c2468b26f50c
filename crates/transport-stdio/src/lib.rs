//! The stdio transport towards clients: one JSON-RPC message a line, both ways (MCP, "Transports", section "stdio").
//!
//! One pair of pipes is one client and one session. Invariants:
//!
//! - **Nothing but messages is written**, each as one line; those that are ready leave together.
//! - **Reading never waits for an answer**: a cancellation overtakes the call it ends.
//! - **A line over the limit costs one error** and no memory beyond the limit.
//! - **The end of the input is the end of the session**: calls in flight are answered first, within the grace.
//!
//! What this crate deliberately does not do: opening standard input and output. It serves any two pipes.

mod error;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::{ErrorKind, Failure, Transport};
use protocol::lines::{self, Decoder, Line};
use router::{Caller, Conversation, Router};
use session::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use error::Error;

/// Room for one read.
const READ_BYTES: usize = 64 * 1024;
/// Above this, messages that are ready wait for the next write.
const BATCH_BYTES: usize = 64 * 1024;
/// How long a client may take to read what is left for it, when its session is over.
const LAST: Duration = Duration::from_secs(2);

/// How a client is served.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Longest message, in bytes.
    pub max_line: usize,
    /// How long calls in flight may take when no more input comes.
    pub grace: Duration,
}

/// The way from and to the client.
pub struct Pipes<I, O, U> {
    /// What the client sends.
    pub input: I,
    /// What it hears.
    pub output: O,
    /// Ends when the client has closed its end of `output`: it may have nothing to hear for a long time.
    pub unread: U,
}

/// Serves the client at the other end of the pipes, until it closes one of them, its session ends, or `shutdown`.
///
/// # Errors
///
/// There is no session for it, or a pipe broke. That the client no longer reads is no error.
pub async fn serve<I, O, U>(
    router: &Arc<Router>,
    pipes: Pipes<I, O, U>,
    options: Options,
    shutdown: CancellationToken,
) -> Result<(), Error>
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    U: Future<Output = ()>,
{
    let caller = Caller::over(Transport::Stdio);
    let conversation = Conversation::open(router, caller).await;
    let conversation = conversation.map_err(|refused| Error::Session(refused.failure))?;
    let unread = || Failure::new(ErrorKind::Internal, "the session cannot be read");
    let messages = conversation.session().attach().ok_or_else(|| Error::Session(unread()))?;
    let mut writing = pin!(async {
        tokio::select! {
            biased;
            written = write(messages, pipes.output) => written,
            () = pipes.unread => Ok(()),
        }
    });
    let reading = shutdown.run_until_cancelled(read(&conversation, pipes.input, options.max_line));
    let read = tokio::select! {
        read = reading => read.unwrap_or(Ok(())),
        written = writing.as_mut() => {
            conversation.finish(Duration::ZERO).await;
            return written;
        }
    };
    let written = async {
        let written = tokio::select! {
            biased;
            written = writing.as_mut() => written,
            // A client that does not read has its end all the same.
            () = too_late(&conversation, options.grace, &shutdown) => Ok(()),
        };
        // Nobody is left to read an answer.
        conversation.finish(Duration::ZERO).await;
        written
    };
    let ((), written) = tokio::join!(conversation.finish(options.grace), written);
    read.and(written)
}

/// Waits until the client has had the time to read what is left for it.
async fn too_late(conversation: &Conversation, grace: Duration, shutdown: &CancellationToken) {
    let cut = async {
        shutdown.cancelled().await;
        conversation.session().closed().await;
        sleep(LAST).await;
    };
    tokio::select! {
        () = sleep(grace.saturating_add(LAST)) => {}
        () = cut => {}
    }
}

/// Takes what the client sends, to the end of the input.
async fn read(
    conversation: &Conversation,
    mut input: impl AsyncRead + Unpin,
    max_line: usize,
) -> Result<(), Error> {
    let mut decoder = Decoder::new(max_line);
    loop {
        decoder.buffer().reserve(READ_BYTES);
        let ended = input.read_buf(decoder.buffer()).await.map_err(Error::Read)? == 0;
        while let Some(line) = decoder.next() {
            take(conversation, line, max_line).await;
        }
        if ended {
            if let Some(line) = decoder.finish() {
                take(conversation, line, max_line).await;
            }
            return Ok(());
        }
    }
}

async fn take(conversation: &Conversation, line: Line, max_line: usize) {
    match line {
        Line::Whole(line) if line.trim_ascii().is_empty() => {}
        Line::Whole(line) => conversation.take(line).await,
        Line::Cut(head) => conversation.oversized(head.len(), max_line).await,
    }
}

/// Writes what is for the client, to the end of its session.
async fn write(mut messages: Stream, mut output: impl AsyncWrite + Unpin) -> Result<(), Error> {
    let mut batch = Vec::new();
    while let Some(message) = messages.next().await {
        lines::encode(&mut batch, &message);
        while batch.len() < BATCH_BYTES {
            let Some(message) = messages.try_next() else { break };
            lines::encode(&mut batch, &message);
        }
        match write_batch(&mut output, &batch).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Error::Write(error)),
        }
        batch.clear();
        batch.shrink_to(BATCH_BYTES);
    }
    Ok(())
}

async fn write_batch(output: &mut (impl AsyncWrite + Unpin), batch: &[u8]) -> io::Result<()> {
    output.write_all(batch).await?;
    output.flush().await
}

#[cfg(test)]
mod tests;
