//! What the tests of this crate share: small tables, and a connection that goes nowhere.

use std::sync::Arc;

use domain::{Agent, Answer, BoxFuture, Connection, Failure, Identity, Permit, Span, Transport};
use protocol::Message;
use testkit::clock::ManualClock;

use crate::{Config, Opening, Session, Sessions};

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
    Config {
        ttl: Span::secs(100),
        idle_timeout: Span::secs(10),
        max_sessions: 3,
        max_in_flight: 2,
        queue_size: 2,
    }
}

pub(crate) fn table(config: Config) -> (Sessions, Arc<ManualClock>) {
    let clock = ManualClock::new();
    (Sessions::new(config, Arc::<ManualClock>::clone(&clock)), clock)
}

pub(crate) fn open(sessions: &Sessions) -> Result<Arc<Session>, Failure> {
    sessions.open(opening(), |_| Arc::new(Nowhere))
}
