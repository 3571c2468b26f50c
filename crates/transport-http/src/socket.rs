//! A socket that keeps the deadlines of the protocol above it.
//!
//! hyper has one time-out, for headers, and it also runs while a kept-alive connection is idle. Here each phase has its
//! own. A timer is armed only when the client keeps the gateway waiting, and moved only when it fires: requests that
//! arrive whole cost no timer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Config;
use crate::progress::{Phase, Progress};

/// How long a closing connection waits for the client to read a refusal.
const LINGER: Duration = Duration::from_secs(1);
/// Stands for deadlines beyond what the clock can tell.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The longest stay in each phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    head: Duration,
    body: Duration,
    idle: Duration,
    write: Duration,
}

impl From<&Config> for Patience {
    fn from(config: &Config) -> Self {
        Self {
            head: config.header_timeout.duration(),
            body: config.read_timeout.duration(),
            idle: config.idle_timeout.duration(),
            write: config.write_timeout.duration(),
        }
    }
}

impl Patience {
    fn with(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::Fresh | Phase::Head => Some(self.head),
            Phase::Body => Some(self.body),
            Phase::Idle => Some(self.idle),
            Phase::Busy => None,
        }
    }
}

/// A socket with deadlines.
pub(crate) struct Socket<S> {
    stream: S,
    progress: Arc<Progress>,
    patience: Patience,
    /// The stay that is being timed, and its end.
    reading: Option<(u64, Instant)>,
    /// When a write that makes no progress is given up.
    stalled: Option<Instant>,
    lingering: Option<Instant>,
    read_timer: Timer,
    write_timer: Timer,
}

impl<S> Socket<S> {
    pub(crate) fn new(stream: S, progress: Arc<Progress>, patience: Patience) -> Self {
        Self {
            stream,
            progress,
            patience,
            reading: None,
            stalled: None,
            lingering: None,
            read_timer: Timer::default(),
            write_timer: Timer::default(),
        }
    }

    /// Called whenever the client has sent nothing.
    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(patience) = self.patience.with(self.progress.phase()) else {
            return Poll::Pending;
        };
        let stay = self.progress.stay();
        let end = match self.reading {
            Some((timed, end)) if timed == stay => end,
            Some(_) | None => after(patience),
        };
        self.reading = Some((stay, end));
        ready!(self.read_timer.poll(cx, end));
        self.progress.expire();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Turns the outcome of a write into one that minds the deadline.
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let end = *self.stalled.get_or_insert_with(|| after(self.patience.write));
        ready!(self.write_timer.poll(cx, end));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Socket<S> {
    /// Reads and forgets until the client closes or the time is over.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = *self.lingering.get_or_insert_with(|| after(LINGER));
        let mut sink = [0; 4096];
        loop {
            if self.read_timer.poll(cx, end).is_ready() {
                return Poll::Ready(());
            }
            let mut sink = ReadBuf::new(&mut sink);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut sink));
            if read.is_err() || sink.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            return self.poll_reading(cx);
        }
        let waited_for_request = matches!(self.progress.phase(), Phase::Fresh | Phase::Idle);
        if buffer.filled().len() > before && waited_for_request {
            self.progress.enter(Phase::Head);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.poll_written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.progress.lingers() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}

/// A timer that is made when it is first needed and set anew only when it fires too early.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, end: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if sleep.deadline() > end {
            sleep.as_mut().reset(end);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= end {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests;
