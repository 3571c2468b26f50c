//! The threads that serve clients: one for each processor, each with a runtime of its own, or a single one for the
//! client on standard input and output.
//!
//! A connection stays with the thread that accepted it, and so do the connections to the server
//! that its messages use: no message wakes another processor on its way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Error;

/// Threads that serve.
pub(crate) struct Workers {
    threads: Vec<std::thread::JoinHandle<Result<(), Error>>>,
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
    /// Starts a thread for each of `services`. It serves until its service returns, and ends with `end`: until then,
    /// what its runtime drives (connections to the server, child processes) lives on.
    pub(crate) fn start<S, F>(services: Vec<S>, end: &CancellationToken) -> Result<Self, Error>
    where
        S: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<(), Error>>,
    {
        let (announce, serving) = watch::channel(services.len());
        let announce = Arc::new(announce);
        let mut threads = Vec::new();
        for (number, service) in services.into_iter().enumerate() {
            let (serving, end) = (Serving(Arc::clone(&announce)), end.clone());
            let serve = move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(Error::Thread)?;
                let served = runtime.block_on(async {
                    let served = service().await;
                    drop(serving);
                    end.cancelled().await;
                    served
                });
                // Not by dropping it, which would wait for a read of standard input that never ends.
                runtime.shutdown_background();
                served
            };
            let name = format!("worker-{number}");
            threads
                .push(std::thread::Builder::new().name(name).spawn(serve).map_err(Error::Thread)?);
        }
        Ok(Self { threads, serving })
    }

    /// Waits until all of them have stopped to serve.
    pub(crate) async fn served(&mut self) {
        // An error means that they are gone altogether.
        self.serving.wait_for(|serving| *serving == 0).await.ok();
    }

    /// Waits until all of them have ended, which they do soon after `end`, and returns what went wrong. Blocks, but not
    /// for ever: a thread that hangs is left behind, so that the audit log is drained in any case.
    pub(crate) fn join(self) -> Option<Error> {
        let mut failure = None;
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
                Ok(Err(error)) => {
                    tracing::error!(%error, "a worker could not serve");
                    failure = Some(error);
                }
                Err(_) => tracing::error!("a worker has panicked"),
            }
        }
        failure
    }
}
