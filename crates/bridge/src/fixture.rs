//! Servers by script, and a client of the bridge.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{
    Answer, BoxFuture, Connection, Failure, Handshake, Inbox, Party, Permit, ServerView, Upstream,
};
use futures_util::{StreamExt, stream};
use protocol::{Kind, Message, Method, ProtocolVersion, encode};
use testkit::clock::ManualClock;
pub(crate) use testkit::ports::permit;
use tokio::sync::{mpsc, watch};

use crate::Bridge;

/// `initialize` of a client that can do everything.
pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"roots":{"listChanged":true},"sampling":{},"elicitation":{},"tasks":{}},"clientInfo":{"name":"test","version":"1"}}}"#;

/// What a stateless server that announces everything answers to `server/discover`.
pub(crate) const OFFER: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"extensions":{"x/y":{}}},"instructions":"be kind","ttlMs":0,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"modern","version":"3"}}}"#;

pub(crate) type Scripted = BoxFuture<'static, Result<Answer, Failure>>;
type Script = dyn Fn(Message) -> Scripted + Send + Sync;

/// A server that does what a script says, and keeps what it was sent.
pub(crate) struct Server {
    script: Arc<Script>,
    transport: &'static str,
    sent: Arc<watch::Sender<Vec<Message>>>,
    parties: Mutex<Vec<Party>>,
}

impl Server {
    pub(crate) fn new(
        transport: &'static str,
        script: impl Fn(Message) -> Scripted + Send + Sync + 'static,
    ) -> Arc<Self> {
        let script = Arc::new(script);
        Arc::new(Self { script, transport, sent: Arc::default(), parties: Mutex::default() })
    }

    /// A server of 2026-07-28 only, over HTTP.
    pub(crate) fn stateless(
        script: impl Fn(Message) -> Scripted + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new("http", move |message| match message.method() {
            Some(Method::Initialize) => error(&message, -32601, None),
            Some(Method::ServerDiscover) => result(&message, OFFER),
            _ => script(message),
        })
    }

    /// What it was sent so far under that method.
    pub(crate) fn sent(&self, method: Method) -> Vec<Message> {
        let sent = self.sent.borrow();
        sent.iter().filter(|message| message.method() == Some(method)).cloned().collect()
    }

    /// Waits for so many messages of that method.
    pub(crate) async fn wait_for(&self, method: Method, count: usize) -> Vec<Message> {
        let mut sent = self.sent.subscribe();
        let of = |message: &&Message| message.method() == Some(method);
        drop(sent.wait_for(|sent| sent.iter().filter(of).count() >= count).await);
        self.sent(method)
    }

    /// As what it was connected to.
    pub(crate) fn parties(&self) -> MutexGuard<'_, Vec<Party>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream for Server {
    fn connect(&self, _: Arc<dyn Inbox>, party: Party) -> Arc<dyn Connection> {
        self.parties().push(party);
        let (script, sent) = (Arc::clone(&self.script), Arc::clone(&self.sent));
        Arc::new(Wire { script, sent, initialize: Mutex::default() })
    }

    fn view(&self) -> ServerView<'_> {
        ServerView { name: "scripted", transport: self.transport, url: None, tool: None }
    }
}

struct Wire {
    script: Arc<Script>,
    sent: Arc<watch::Sender<Vec<Message>>>,
    initialize: Mutex<Option<Message>>,
}

impl Connection for Wire {
    fn send(&self, _: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        self.sent.send_modify(|sent| sent.push(message.clone()));
        let initialize = (message.method() == Some(Method::Initialize)).then(|| message.clone());
        let answering = (self.script)(message);
        Box::pin(async move {
            let answer = answering.await;
            if matches!(&answer, Ok(Answer::Message(answer)) if answer.kind() == Kind::Response) {
                let mut opened = self.initialize.lock().unwrap();
                *opened = initialize.or(opened.take());
            }
            answer
        })
    }

    fn refuse<'a>(&'a self, _: &'a Message, _: &'a Failure) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn handshake(&self) -> Option<Handshake> {
        let initialize = self.initialize.lock().unwrap().as_ref()?.bytes().clone();
        let version = ProtocolVersion::V2025_06_18;
        Some(Handshake { initialize, version, server_session: None, server_version: version })
    }
}

/// The answer with that result.
pub(crate) fn result(request: &Message, result: &str) -> Scripted {
    let reply = request.id().map(|id| message(encode::result_reply(id, result)));
    Box::pin(async { Ok(reply.map_or(Answer::Accepted, Answer::Message)) })
}

/// The answer with that error.
pub(crate) fn error(request: &Message, code: i32, data: Option<&str>) -> Scripted {
    let reply = message(encode::error_reply(request.id(), code, "no", data));
    Box::pin(async { Ok(Answer::Message(reply)) })
}

/// A streamed answer: these messages, then silence.
pub(crate) fn stream_of(messages: Vec<Message>) -> Scripted {
    let messages = stream::iter(messages.into_iter().map(Ok)).chain(stream::pending());
    Box::pin(async { Ok(Answer::Stream(Box::pin(messages))) })
}

/// No answer at all.
pub(crate) fn silence() -> Scripted {
    Box::pin(std::future::pending())
}

pub(crate) fn message(text: impl Into<bytes::Bytes>) -> Message {
    Message::parse(text.into()).unwrap()
}

struct Collected(mpsc::Sender<Message>);

impl Inbox for Collected {
    fn deliver(&self, message: Message) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.0.send(message).await.unwrap() })
    }
}

/// One client of a bridge.
pub(crate) struct Client {
    pub(crate) connection: Arc<dyn Connection>,
    pub(crate) inbox: mpsc::Receiver<Message>,
}

/// A bridge to that server, its clock, and one client of it.
pub(crate) fn rig(server: &Arc<Server>, party: Party) -> (Arc<Bridge>, Arc<ManualClock>, Client) {
    let clock = ManualClock::new();
    let bridge = Bridge::new(Arc::clone(server) as Arc<dyn Upstream>, Arc::clone(&clock) as _);
    let client = Client::of(&bridge, party);
    (bridge, clock, client)
}

impl Client {
    pub(crate) fn of(bridge: &Bridge, party: Party) -> Self {
        let (sender, inbox) = mpsc::channel(64);
        Self { connection: bridge.connect(Arc::new(Collected(sender)), party), inbox }
    }

    /// A client with an open session.
    pub(crate) async fn open(server: &Arc<Server>) -> Self {
        let (_, _, client) = rig(server, Party::One);
        let answer = client.ask(INITIALIZE).await.unwrap();
        assert_eq!(answer.kind(), Kind::Response, "{answer:?}");
        client
    }

    pub(crate) async fn send(&self, text: &str) -> Result<Answer, Failure> {
        self.connection.send(permit(), message(text.to_owned())).await
    }

    /// The response to a request that asks nothing back.
    pub(crate) async fn ask(&self, text: &str) -> Result<Message, Failure> {
        match self.send(text).await? {
            Answer::Message(message) => Ok(message),
            Answer::Stream(stream) => stream.collect::<Vec<_>>().await.pop().expect("an answer"),
            Answer::Accepted => panic!("a request was accepted without an answer"),
        }
    }

    pub(crate) async fn stream(&self, text: &str) -> domain::MessageStream {
        match self.send(text).await {
            Ok(Answer::Stream(stream)) => stream,
            Ok(Answer::Message(message)) => panic!("not a stream: {message:?}"),
            Ok(Answer::Accepted) => panic!("accepted"),
            Err(failure) => panic!("{failure}"),
        }
    }
}
