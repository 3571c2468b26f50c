//! The threads that serve the data port: one for each processor, each with a runtime of its own.
//!
//! A connection stays with the thread that accepted it, and so do the connections to the server
//! that its messages use: no message wakes another processor on its way.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport_http::{App, Listener};

use crate::Error;

/// Threads that serve.
pub(crate) struct Workers {
    threads: Vec<std::thread::JoinHandle<io::Result<()>>>,
    serving: watch::Receiver<usize>,
}

/// Time between two looks whether a thread has ended, and how many there are: two seconds in all.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: u32 = 400;

/// One thread that serves; it counts until it is dropped, however the thread ends.
struct Serving(Arc<watch::Sender<usize>>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.send_modify(|serving| *serving = serving.saturating_sub(1));
    }
}

impl Workers {
    /// Starts them. Each runs `prepare` before it serves, stops to serve at `drain`, and ends with
    /// `end`: until then, what its runtime drives (connections to the server, child processes)
    /// lives on.
    pub(crate) fn start(
        listener: Listener,
        app: &App,
        drain: &CancellationToken,
        end: &CancellationToken,
        prepare: impl Fn() + Clone + Send + 'static,
    ) -> Result<Self, Error> {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let (announce, serving) = watch::channel(count);
        let announce = Arc::new(announce);
        let mut listeners = Vec::new();
        for _ in 1..count {
            listeners.push(listener.share()?);
        }
        listeners.push(listener);
        let mut threads = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let (app, drain, end) = (app.clone(), drain.clone(), end.clone());
            let (serving, prepare) = (Serving(Arc::clone(&announce)), prepare.clone());
            let serve = move || {
                prepare();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let served = listener.serve(app, drain).await;
                    drop(serving);
                    end.cancelled().await;
                    served
                })
            };
            let name = format!("worker-{number}");
            threads
                .push(std::thread::Builder::new().name(name).spawn(serve).map_err(Error::Thread)?);
        }
        Ok(Self { threads, serving })
    }

    /// Waits until all of them have stopped to serve, which they do some time after `drain`.
    pub(crate) async fn drained(&mut self) {
        // An error means that they are gone altogether.
        self.serving.wait_for(|serving| *serving == 0).await.ok();
    }

    /// Waits until all of them have ended, which they do soon after `end`. Blocks, but not for ever: a thread that
    /// hangs is left behind, so that the audit log is drained in any case.
    pub(crate) fn join(self) {
        for thread in self.threads {
            let mut looks = LOOKS;
            while !thread.is_finished() && looks > 0 {
                std::thread::sleep(LOOK);
                looks -= 1;
            }
            if !thread.is_finished() {
                tracing::error!("a worker hangs and is left behind");
                continue;
            }
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a worker could not serve"),
                Err(_) => tracing::error!("a worker has panicked"),
            }
        }
    }
}
