//! Who is served, and by which threads.

use std::io::stdout;
use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::Arc;

use domain::{Health, Probe};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use settings::Settings;
use tokio_util::sync::CancellationToken;
use transport_http::{App, Listener, Served};

use crate::Error;
use crate::parts::Parts;
use crate::workers::Workers;

/// How many threads serve clients: one for each processor, or one for the client on standard input and output.
pub(crate) fn threads(settings: &Settings) -> usize {
    match settings.server.transport {
        Served::Stdio => 1,
        Served::All | Served::Http | Served::Sse | Served::WebSocket => {
            std::thread::available_parallelism().map_or(1, NonZero::get)
        }
    }
}

/// The clients of the data port, served by one thread for each processor until some time after `drain`.
pub(crate) fn of_port(
    listener: Listener,
    settings: &Settings,
    parts: &Parts,
    drain: &CancellationToken,
    end: &CancellationToken,
) -> Result<(App, Workers), Error> {
    let options = transport_sse::Options { shutdown: drain.clone(), ..Default::default() };
    let sse = transport_sse::routes(Arc::clone(&parts.router), options);
    let app = transport_http::app(Arc::clone(&parts.router), &settings.server, sse);
    let mut listeners = Vec::new();
    for _ in 1..threads(settings) {
        listeners.push(listener.share()?);
    }
    listeners.push(listener);
    let service = |listener: Listener| {
        let (app, drain, engine) = (app.clone(), drain.clone(), parts.policy.current_engine());
        move || {
            engine.warm();
            async { listener.serve(app, drain).await.map_err(Error::Serve) }
        }
    };
    let workers = Workers::start(listeners.into_iter().map(service).collect(), end)?;
    Ok((app, workers))
}

/// The client on standard input and output, served until it leaves or `drain`.
pub(crate) async fn of_stdio(
    settings: &Settings,
    parts: &Parts,
    drain: &CancellationToken,
    end: &CancellationToken,
) -> Result<Workers, Error> {
    if !settings.upstream.command.is_empty() {
        // The client could do nothing about it; whoever configured it reads why the program ended.
        parts.upstream.check().await;
        if let Health::Down(why) = parts.upstream.health() {
            return Err(Error::NoServer(why));
        }
    }
    let options = transport_stdio::Options {
        max_line: settings.server.limits.max_body_bytes,
        grace: settings.server.graceful_shutdown.duration(),
    };
    let engine = parts.policy.current_engine();
    let (router, drain) = (Arc::clone(&parts.router), drain.clone());
    let service = move || {
        engine.warm();
        async move {
            let pipes = transport_stdio::Pipes {
                input: tokio::io::stdin(),
                output: tokio::io::stdout(),
                unread: unread(),
            };
            Ok(transport_stdio::serve(&router, pipes, options, drain).await?)
        }
    };
    Workers::start(vec![service], end)
}

/// Waits until nobody reads standard output any more, which a writer would only notice at its next message.
async fn unread() {
    let wait = || {
        let stdout = stdout();
        // Nothing is asked for: only an error or the end of the reader wakes it.
        let mut output = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        loop {
            match poll(&mut output, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                outcome => return outcome,
            }
        }
    };
    match tokio::task::spawn_blocking(wait).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "standard output cannot be watched");
            std::future::pending().await
        }
        // The runtime ends.
        Err(_) => std::future::pending().await,
    }
}
