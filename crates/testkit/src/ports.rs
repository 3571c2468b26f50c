//! The three ports of the router as a test wants them: everything allowed, answers scripted, events kept in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Answer, AuditEvent, BoxFuture, Connection, Decision, Failure, Inbox, Mode, Party, Permit,
    Policies, Policy, PolicyInput, Recorder, Revision, ServerView, Slot, Stage, Upstream, Verdict,
};
use protocol::{Message, Method, ProtocolVersion, encode};
use tokio::sync::watch;

/// The decision that a message may pass, and nothing else.
#[must_use]
pub fn allowed() -> Decision {
    Decision {
        verdict: Verdict::Allow,
        reasons: Arc::default(),
        matched_rule: None,
        rules: None,
        obligations: Arc::default(),
        error: None,
        revision: Revision("test".into()),
        cached: false,
        elapsed: Duration::ZERO,
    }
}

/// Permission to send any message.
///
/// # Panics
///
/// Never: what is allowed is permitted.
#[must_use]
#[expect(clippy::expect_used, reason = "what is allowed is permitted")]
pub fn permit() -> Permit {
    Permit::grant(&allowed(), Mode::Enforce).expect("it is allowed")
}

/// Allows everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _: &PolicyInput<'_>) -> Decision {
        allowed()
    }

    fn examines(&self, _: Stage) -> bool {
        false
    }

    fn reads_state(&self) -> bool {
        false
    }
}

impl Policies for AllowAll {
    fn current(&self) -> Arc<dyn Policy> {
        Arc::new(Self)
    }
}

/// Lets no client in, and allows everything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct LetNobodyIn;

impl Policy for LetNobodyIn {
    fn decide(&self, input: &PolicyInput<'_>) -> Decision {
        if input.stage != Stage::Connect {
            return allowed();
        }
        let reasons = ["nobody may connect".into()].into();
        Decision { verdict: Verdict::Deny, reasons, ..allowed() }
    }

    fn examines(&self, stage: Stage) -> bool {
        stage == Stage::Connect
    }
}

impl Policies for LetNobodyIn {
    fn current(&self) -> Arc<dyn Policy> {
        Arc::new(Self)
    }
}

/// What the server does with one message.
pub type Scripted = BoxFuture<'static, Result<Answer, Failure>>;

type Script = dyn Fn(Message, Arc<dyn Inbox>) -> Scripted + Send + Sync;

/// A server that answers `initialize` as a server does, under the revision that the client asks for, and everything
/// else by a script.
pub struct ScriptedUpstream {
    script: Arc<Script>,
    connections: Arc<watch::Sender<Connections>>,
}

/// How many connections there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections made.
    pub opened: usize,
    /// Connections closed.
    pub closed: usize,
    /// Times that the client's own stream was opened.
    pub listened: usize,
}

impl ScriptedUpstream {
    /// A server with that script. The script also gets the way to the client, for messages of its own.
    pub fn new(
        script: impl Fn(Message, Arc<dyn Inbox>) -> Scripted + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { script: Arc::new(script), connections: Arc::default() })
    }

    /// A server that answers every request with an empty result.
    #[must_use]
    pub fn obliging() -> Arc<Self> {
        Self::new(|message, _| Box::pin(async move { Ok(result(&message, "{}")) }))
    }

    /// Waits until so many connections were closed.
    pub async fn closed(&self, count: usize) {
        let mut connections = self.connections.subscribe();
        // The sender lives in `self`: waiting ends with the count.
        drop(connections.wait_for(|connections| connections.closed >= count).await);
    }

    /// Waits until the client's own stream was opened so many times.
    pub async fn listened(&self, count: usize) {
        let mut connections = self.connections.subscribe();
        drop(connections.wait_for(|connections| connections.listened >= count).await);
    }

    /// How many connections there were so far.
    #[must_use]
    pub fn connections(&self) -> Connections {
        *self.connections.borrow()
    }
}

/// The answer to a request with this result (raw JSON); nothing for what expects no answer.
#[must_use]
pub fn result(request: &Message, result: &str) -> Answer {
    match request.id() {
        Some(id) => parsed(encode::result_reply(id, result)),
        None => Answer::Accepted,
    }
}

fn parsed(reply: Bytes) -> Answer {
    Message::parse(reply).map_or(Answer::Accepted, Answer::Message)
}

impl Upstream for ScriptedUpstream {
    fn connect(&self, inbox: Arc<dyn Inbox>, _: Party) -> Arc<dyn Connection> {
        self.connections.send_modify(|connections| connections.opened += 1);
        Arc::new(ScriptedConnection {
            script: Arc::clone(&self.script),
            connections: Arc::clone(&self.connections),
            inbox,
        })
    }

    fn view(&self) -> ServerView<'_> {
        ServerView { name: "scripted", transport: "http", url: None, tool: None }
    }
}

struct ScriptedConnection {
    script: Arc<Script>,
    connections: Arc<watch::Sender<Connections>>,
    inbox: Arc<dyn Inbox>,
}

impl Connection for ScriptedConnection {
    fn send(&self, _: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        if message.method() == Some(Method::Initialize) {
            let asked = message.protocol_version();
            let version = asked.and_then(|asked| ProtocolVersion::from_str(&asked));
            let version = version.unwrap_or(ProtocolVersion::LATEST_LEGACY);
            let text = format!(
                r#"{{"protocolVersion":"{version}","capabilities":{{}},"serverInfo":{{"name":"scripted","version":"1"}}}}"#
            );
            return Box::pin(async move { Ok(result(&message, &text)) });
        }
        (self.script)(message, Arc::clone(&self.inbox))
    }

    fn refuse<'a>(&'a self, _: &'a Message, _: &'a Failure) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.connections.send_modify(|connections| connections.closed += 1) })
    }

    fn listen(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.connections.send_modify(|connections| connections.listened += 1) })
    }
}

/// Keeps every event in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryRecorder {
    events: Arc<Mutex<Vec<AuditEvent>>>,
    count: Arc<watch::Sender<usize>>,
}

impl MemoryRecorder {
    /// The events so far.
    #[must_use]
    pub fn events(&self) -> Vec<AuditEvent> {
        self.lock().clone()
    }

    /// The events, once there are at least so many.
    pub async fn wait_for(&self, count: usize) -> Vec<AuditEvent> {
        let mut counts = self.count.subscribe();
        drop(counts.wait_for(|recorded| *recorded >= count).await);
        self.events()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AuditEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for MemoryRecorder {
    fn reserve(&self) -> BoxFuture<'_, Result<Box<dyn Slot>, Failure>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Slot>) })
    }
}

impl Slot for MemoryRecorder {
    fn record(self: Box<Self>, event: Box<AuditEvent>) {
        self.lock().push(*event);
        self.count.send_modify(|count| *count += 1);
    }
}
