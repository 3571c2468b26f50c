//! What the tests of this crate share: small tables, and a connection that goes nowhere.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use domain::{
    Agent, Answer, BoxFuture, Connection, Failure, Handshake, Identity, Permit, Secret, Span,
    Transport,
};
use protocol::{Message, ProtocolVersion};
use testkit::clock::ManualClock;

use crate::{Config, Keys, Opening, Session, Sessions};

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

/// Sessions that live 100 s and idle 10 s; three of them, with queues of two and four events kept.
pub(crate) fn small() -> Config {
    Config {
        ttl: Span::secs(100),
        idle_timeout: Span::secs(10),
        max_sessions: 3,
        max_in_flight: 2,
        max_stateless: 4,
        queue_size: 2,
        key_file: None,
        replay_events: 4,
        replay_bytes: 100,
        replay_total_bytes: 150,
    }
}

pub(crate) fn table(config: Config) -> (Sessions, Arc<ManualClock>) {
    let clock = ManualClock::new();
    let keys = Keys::load(&config).unwrap();
    (Sessions::new(config, Arc::<ManualClock>::clone(&clock), keys), clock)
}

/// A table like the one of another replica: with the same keys, and the same time.
pub(crate) fn replica(config: Config, clock: &Arc<ManualClock>) -> Sessions {
    let keys = Keys::new(&[7; 32], &[]).unwrap();
    Sessions::new(config, Arc::<ManualClock>::clone(clock), keys)
}

pub(crate) fn nowhere(_: &Weak<Session>) -> Arc<dyn Connection> {
    Arc::new(Nowhere)
}

/// A new session; what made room for it is let go.
pub(crate) fn open(sessions: &Sessions) -> Result<Arc<Session>, Failure> {
    sessions.open(opening(), nowhere).map(|(session, _)| session)
}

pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"client","version":"1.2"}}}"#;

pub(crate) fn handshake(initialize: &str) -> Handshake {
    Handshake {
        initialize: Bytes::copy_from_slice(initialize.as_bytes()),
        version: ProtocolVersion::V2025_11_25,
        server_session: Some(Secret::new("server-1".to_owned())),
        server_version: ProtocolVersion::V2025_06_18,
    }
}

/// A session that its client knows by a sealed token.
pub(crate) fn announced(sessions: &Sessions) -> Arc<Session> {
    let session = open(sessions).unwrap();
    sessions.announce(&session, &handshake(INITIALIZE));
    session
}

/// What a table makes of a token that it may not have: the session, adopted if need be.
pub(crate) fn find(sessions: &Sessions, token: &str) -> Option<Arc<Session>> {
    sessions.get(token).or_else(|| {
        let sealed = sessions.unseal(token, &Agent::default().id)?;
        sessions.adopt(sealed, token, opening(), nowhere).ok().map(|(session, _)| session)
    })
}
