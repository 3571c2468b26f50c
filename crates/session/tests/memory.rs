//! What an idle session costs. There may be ten thousand of them, each with a socket that costs more.

use std::alloc::System;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use domain::{
    Agent, Answer, BoxFuture, Connection, Failure, Handshake, Identity, Permit, SystemClock,
    Transport,
};
use protocol::{Message, ProtocolVersion};
use session::{Config, Keys, Opening, Session, Sessions};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SESSIONS: usize = 10_000;

/// Bytes of an idle session and its place in the table, with a stream attached and a sealed token.
const MOST: usize = 1_536;

const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true},"sampling":{}},"clientInfo":{"name":"client","version":"1.2.3"}}}"#;

/// A connection that takes no memory.
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

#[test]
fn an_idle_session_is_small() {
    let config = Config::default();
    let keys = Keys::load(&config).unwrap();
    let sessions = Sessions::new(config, Arc::new(SystemClock), keys);
    let opening = Opening {
        transport: Transport::Http,
        agent: Arc::new(Agent::default()),
        identity: Arc::new(Identity::configured()),
    };
    let handshake = Handshake {
        initialize: Bytes::from_static(INITIALIZE),
        version: ProtocolVersion::V2025_11_25,
        server_session: None,
        server_version: ProtocolVersion::V2025_11_25,
    };
    let mut streams = Vec::with_capacity(SESSIONS);
    let region = Region::new(ALLOCATOR);
    for _ in 0..SESSIONS {
        let connect = |_: &Weak<Session>| Arc::new(Nowhere) as Arc<dyn Connection>;
        let (session, _) = sessions.open(opening.clone(), connect).unwrap();
        sessions.announce(&session, &handshake);
        streams.push(session.attach());
    }
    let change = region.change();
    let bytes = (change.bytes_allocated - change.bytes_deallocated) / SESSIONS;
    assert!(bytes <= MOST, "an idle session takes {bytes} bytes");
    assert!(streams.iter().all(Option::is_some));
}
