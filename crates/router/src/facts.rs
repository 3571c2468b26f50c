//! What stays the same from message to message of a session, as the log keeps it, so that a decision can be made again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use domain::{Agent, Identity, PolicyInput};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Most sessions whose facts a thread remembers. A session mostly stays with its thread.
const SESSIONS: usize = 1024;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// What was written lately: rows of one session share one text.
#[derive(Default)]
struct Known {
    sessions: HashMap<Box<str>, Kept, BuildHasherDefault<ByName>>,
    /// Those of messages without a session.
    other: Option<Kept>,
}

/// Hashes the names of sessions, which are the gateway's own and random: nobody can choose them to collide.
#[derive(Default)]
struct ByName(u64);

impl Hasher for ByName {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Kept {
    agent: Arc<Agent>,
    identity: Arc<Identity>,
    /// Revision, client and server, as far as they are known.
    named: [Option<Box<str>>; 6],
    text: Arc<str>,
}

/// The members `agent`, `identity`, `session` (without counters) and `server` of `input` as a JSON object.
pub(crate) fn of(input: &PolicyInput<'_>) -> Arc<str> {
    KNOWN.with_borrow_mut(|known| {
        let kept = match input.session.id {
            Some(id) => known.sessions.get(id),
            None => known.other.as_ref(),
        };
        if let Some(kept) = kept.filter(|kept| kept.holds_for(input)) {
            return Arc::clone(&kept.text);
        }
        let text: Arc<str> = text(input).into();
        let kept = Kept {
            agent: Arc::clone(input.agent),
            identity: Arc::clone(input.identity),
            named: named(input).map(|it| it.map(Box::from)),
            text: Arc::clone(&text),
        };
        match input.session.id {
            Some(id) => {
                if known.sessions.len() >= SESSIONS {
                    known.sessions.clear();
                }
                known.sessions.insert(id.into(), kept);
            }
            None => known.other = Some(kept),
        }
        text
    })
}

impl Kept {
    fn holds_for(&self, input: &PolicyInput<'_>) -> bool {
        Arc::ptr_eq(&self.agent, input.agent)
            && Arc::ptr_eq(&self.identity, input.identity)
            && self.named.iter().map(Option::as_deref).eq(named(input))
    }
}

fn named<'a>(input: &PolicyInput<'a>) -> [Option<&'a str>; 6] {
    let (session, server) = (&input.session, &input.server);
    [
        session.protocol_version,
        session.client_name,
        session.client_version,
        Some(server.name),
        Some(server.transport),
        server.url,
    ]
}

fn text(input: &PolicyInput<'_>) -> String {
    let (identity, session, server) = (input.identity, &input.session, &input.server);
    let started_at =
        session.started_at.and_then(|at| Timestamp::try_from(at).ok()).map(|at| at.to_string());
    let client = [("name", session.client_name), ("version", session.client_version)];
    let client = object(client.map(|(key, text)| (key, text.map(Value::from))));
    let session = object([
        ("id", session.id.map(Value::from)),
        ("started_at", started_at.map(Value::from)),
        ("protocol_version", session.protocol_version.map(Value::from)),
        ("client", client.as_object().filter(|it| !it.is_empty()).map(|_| client.clone())),
    ]);
    let server = object([
        ("name", Some(server.name.into())),
        ("transport", Some(server.transport.into())),
        ("url", server.url.map(Value::from)),
    ]);
    let identity =
        json!({ "verified": identity.verified, "method": identity.method, "did": identity.did });
    let agent = &**input.agent;
    json!({ "agent": agent, "identity": identity, "session": session, "server": server })
        .to_string()
}

/// The members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}
