//! Ports that do what a test says and keep what they were given.

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{
    Answer, Approval, ApprovalRequest, Approvals, AuditEvent, BoxFuture, Connection, Decision,
    ErrorKind, Failure, Handshake, Inbox, Party, Permit, Policy, PolicyInput, Recorder, ServerView,
    Slot, Stage, Upstream,
};
use protocol::{Kind, Message};
use testkit::ports::Scripted;

use super::fixture::{message, text};

pub(super) type Rules = Box<dyn Fn(&PolicyInput<'_>) -> Decision + Send + Sync>;
pub(super) type Script = Box<dyn Fn(Message, Arc<dyn Inbox>) -> Scripted + Send + Sync>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct ScriptedPolicy {
    rules: Rules,
    examines: &'static [Stage],
    asked: Mutex<Vec<String>>,
}

impl ScriptedPolicy {
    /// Decides by rules, which look at those stages besides requests.
    pub(super) fn new(rules: Rules, examines: &'static [Stage]) -> Self {
        Self { rules, examines, asked: Mutex::default() }
    }

    /// The questions so far: stage, method, what is used, the number of the request.
    pub(super) fn asked(&self) -> MutexGuard<'_, Vec<String>> {
        lock(&self.asked)
    }
}

impl Policy for ScriptedPolicy {
    fn decide(&self, input: &PolicyInput<'_>) -> Decision {
        let used = input.tool.or(input.resource).or(input.prompt).unwrap_or("-");
        let (stage, count) =
            (input.stage.as_str(), input.session.request_count.unwrap_or_default());
        self.asked().push(format!("{stage} {} {used} #{count}", input.method));
        (self.rules)(input)
    }

    fn examines(&self, stage: Stage) -> bool {
        self.examines.contains(&stage)
    }
}

pub(super) struct Server {
    transport: &'static str,
    script: Arc<Script>,
    state: Arc<Mutex<ServerState>>,
}

#[derive(Default)]
pub(super) struct ServerState {
    /// Bodies that came, in order.
    pub(super) sent: Vec<String>,
    /// The names of the headers that repeat arguments of the last one.
    pub(super) repeated: Vec<String>,
    /// The headers of policy that each of them came with.
    pub(super) headers: Vec<String>,
    /// Requests of the server that were refused: raw id and why.
    pub(super) refused: Vec<(String, ErrorKind)>,
    /// Responses that asked for input and did not reach the client: raw id and why.
    pub(super) dismissed: Vec<(String, ErrorKind)>,
    pub(super) closed: usize,
    /// Connections that took a session over.
    pub(super) resumed: usize,
    /// What connections say that a session began with.
    pub(super) handshake: Option<Handshake>,
    /// The way to the client of the last connection.
    pub(super) inbox: Option<Arc<dyn Inbox>>,
}

impl Server {
    pub(super) fn new(transport: &'static str, script: Script) -> Self {
        Self { transport, script: Arc::new(script), state: Arc::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, ServerState> {
        lock(&self.state)
    }

    /// Has the server send that on its own account.
    pub(super) async fn deliver(&self, body: &str) {
        let inbox = self.state().inbox.clone().unwrap();
        inbox.deliver(message(body)).await;
    }
}

impl Upstream for Server {
    fn connect(&self, inbox: Arc<dyn Inbox>, party: Party) -> Arc<dyn Connection> {
        self.state().resumed += usize::from(matches!(party, Party::Resumed(_)));
        self.state().inbox = Some(Arc::clone(&inbox));
        let (script, state) = (Arc::clone(&self.script), Arc::clone(&self.state));
        Arc::new(Link { script, state, inbox })
    }

    fn view(&self) -> ServerView<'_> {
        ServerView { name: "files", transport: self.transport, url: None, tool: None }
    }
}

struct Link {
    script: Arc<Script>,
    state: Arc<Mutex<ServerState>>,
    inbox: Arc<dyn Inbox>,
}

impl Connection for Link {
    fn send(&self, permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        let headers = permit.headers().iter().map(|(name, value)| format!("{name}: {value}"));
        let mut state = lock(&self.state);
        let repeated = message.param_headers().iter().map(|header| header.name.to_string());
        state.repeated = repeated.collect();
        state.headers.push(headers.collect::<Vec<_>>().join("; "));
        state.sent.push(text(message.bytes()));
        drop(state);
        (self.script)(message, Arc::clone(&self.inbox))
    }

    fn refuse<'a>(&'a self, request: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()> {
        assert_eq!(request.kind(), Kind::Request);
        let id = request.id().unwrap().to_owned();
        lock(&self.state).refused.push((id, failure.kind));
        Box::pin(ready(()))
    }

    fn dismiss<'a>(&'a self, response: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()> {
        let id = response.id().unwrap().to_owned();
        lock(&self.state).dismissed.push((id, failure.kind));
        Box::pin(ready(()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        lock(&self.state).closed += 1;
        Box::pin(ready(()))
    }

    fn handshake(&self) -> Option<Handshake> {
        lock(&self.state).handshake.clone()
    }
}

/// What the log does when room is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Room {
    #[default]
    Free,
    Full,
    /// Neither yes nor no.
    Pending,
}

#[derive(Default)]
pub(super) struct Log {
    state: Arc<Mutex<LogState>>,
}

#[derive(Default)]
pub(super) struct LogState {
    pub(super) room: Room,
    /// Room that was given and not used yet.
    pub(super) reserved: usize,
    events: Vec<AuditEvent>,
    seen: BTreeSet<u128>,
}

impl Log {
    pub(super) fn state(&self) -> MutexGuard<'_, LogState> {
        lock(&self.state)
    }

    /// The events since the last look.
    pub(super) fn take(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut self.state().events)
    }
}

impl Recorder for Log {
    fn reserve(&self) -> BoxFuture<'_, Result<Box<dyn Slot>, Failure>> {
        let mut state = self.state();
        match state.room {
            Room::Free => {
                state.reserved += 1;
                let slot = Box::new(Reserved(Arc::clone(&self.state)));
                Box::pin(ready(Ok(slot as Box<dyn Slot>)))
            }
            Room::Full => {
                let full = Failure::new(ErrorKind::AuditUnavailable, "no room").detail("disk full");
                Box::pin(ready(Err(full)))
            }
            Room::Pending => Box::pin(std::future::pending()),
        }
    }
}

struct Reserved(Arc<Mutex<LogState>>);

impl Slot for Reserved {
    fn record(self: Box<Self>, event: Box<AuditEvent>) {
        let mut state = lock(&self.0);
        state.reserved -= 1;
        assert!(state.seen.insert(event.request_id.as_u128()), "two rows of one message");
        state.events.push(*event);
    }
}

/// People who answer every question alike, and the questions.
pub(super) struct People {
    answer: Result<Approval, Failure>,
    asked: Mutex<Vec<ApprovalRequest>>,
}

impl People {
    pub(super) fn answering(answer: Result<Approval, Failure>) -> Arc<Self> {
        Arc::new(Self { answer, asked: Mutex::default() })
    }

    /// The questions since the last look.
    pub(super) fn take(&self) -> Vec<ApprovalRequest> {
        std::mem::take(&mut lock(&self.asked))
    }
}

impl Approvals for People {
    fn ask(&self, request: ApprovalRequest) -> BoxFuture<'_, Result<Approval, Failure>> {
        lock(&self.asked).push(request);
        Box::pin(ready(self.answer.clone()))
    }
}
