//! Clients that listen to one resource each, and count what they hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::Uri;

use crate::Error;
use crate::load::now;
use crate::session::Listening;

const POLL: Duration = Duration::from_millis(10);

/// Open subscriptions, all with the same id.
pub struct Listeners {
    heard: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Option<Error>>>,
}

impl Listeners {
    /// Opens `count` subscriptions, each to a resource of its own.
    ///
    /// # Errors
    /// When one is not granted.
    pub fn open(url: &Uri, count: usize) -> Result<Self, Error> {
        let heard = Arc::new(AtomicU64::new(0));
        let open = |number| {
            let mut listening = Listening::open(url, format!("echo://c{number}"))?;
            let heard = Arc::clone(&heard);
            Ok(std::thread::spawn(move || {
                while let Some(update) = listening.update() {
                    match update {
                        Ok(()) => heard.fetch_add(1, Ordering::Relaxed),
                        Err(error) => return Some(error),
                    };
                }
                None
            }))
        };
        let threads = (0..count).map(open).collect::<Result<_, Error>>()?;
        Ok(Self { heard, threads })
    }

    /// Waits until so many updates have come, all listeners together, or the time is over; returns
    /// how many have come.
    pub fn wait(&self, updates: u64, patience: Duration) -> u64 {
        let deadline = now() + patience;
        loop {
            let heard = self.heard.load(Ordering::Relaxed);
            if heard >= updates || now() > deadline {
                return heard;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits for the server to end the streams; returns the first update that came to the wrong
    /// listener.
    pub fn finish(self) -> Option<Error> {
        let mut wrong = self.threads.into_iter().map(|thread| thread.join().ok().flatten());
        wrong.find_map(|error| error)
    }
}
