//! What the tests of this crate share: a clock set by hand and a connection that goes nowhere.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use domain::{
    Agent, Answer, BoxFuture, Clock, Connection, Failure, Identity, Permit, Span, Transport,
};
use protocol::Message;

use crate::{Config, Opening, Session, Sessions};

pub(crate) struct ManualClock {
    start: Instant,
    elapsed: Mutex<Duration>,
}

impl ManualClock {
    #[expect(clippy::disallowed_methods, reason = "an instant to count from, whichever it is")]
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), elapsed: Mutex::default() })
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.elapsed.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + *self.elapsed.lock().unwrap()
    }

    fn monotonic(&self) -> Instant {
        self.start + *self.elapsed.lock().unwrap()
    }
}

struct Nowhere;

impl Connection for Nowhere {
    fn send(&self, _: Permit, _: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async { Ok(Answer::Accepted) })
    }

    fn refuse<'a>(&'a self, _: &'a Message, _: &'a Failure) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

pub(crate) fn opening() -> Opening {
    Opening {
        transport: Transport::Http,
        agent: Arc::new(Agent::default()),
        identity: Arc::new(Identity::configured()),
    }
}

/// Sessions that live 100 s and idle 10 s; three of them, with queues of two.
pub(crate) fn small() -> Config {
    Config { ttl: Span::secs(100), idle_timeout: Span::secs(10), max_sessions: 3, queue_size: 2 }
}

pub(crate) fn table(config: Config) -> (Sessions, Arc<ManualClock>) {
    let clock = ManualClock::new();
    (Sessions::new(config, Arc::<ManualClock>::clone(&clock)), clock)
}

pub(crate) fn open(sessions: &Sessions) -> Result<Arc<Session>, Failure> {
    sessions.open(opening(), |_| Arc::new(Nowhere))
}
