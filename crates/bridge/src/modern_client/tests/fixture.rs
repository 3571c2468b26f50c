//! A server with sessions by script, and a stateless client of it.

use std::sync::{Arc, Mutex};

use domain::{
    Answer, BoxFuture, Connection, Failure, Inbox, MessageStream, Party, Permit, ServerView,
    Upstream, lock,
};
use futures_util::{StreamExt, stream};
use protocol::{Kind, Message, Method, encode};
use testkit::clock::ManualClock;
use tokio::sync::{mpsc, watch};

use crate::fixture::{error, message, permit, result};
use crate::modern_client::ModernClient;

/// What the server says to `initialize`.
pub(crate) const OPENED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"logging":{},"tasks":{"list":{}}},"serverInfo":{"name":"old","version":"1"},"instructions":"be kind"}"#;

/// All that a client can declare.
pub(crate) const ALL: &str =
    r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{},"extensions":{"x/y":{}}}"#;

/// The other end of the stream of one call.
pub(crate) type CallEnd = mpsc::Sender<Result<Message, Failure>>;

/// Streams the answer to every `tools/call`; everything else is answered `{}`, or as told.
pub(crate) struct Legacy {
    log: Arc<watch::Sender<Vec<String>>>,
    opened: Mutex<Result<&'static str, i32>>,
    answer: Mutex<&'static str>,
    inboxes: Mutex<Vec<Arc<dyn Inbox>>>,
    calls: watch::Sender<Vec<CallEnd>>,
}

impl Legacy {
    /// What the server was sent, in order; refusals and closings too.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Waits for something that the server was sent, and gives how often it was.
    pub(crate) async fn until(&self, part: &str) -> usize {
        let mut log = self.log.subscribe();
        let count = |log: &Vec<String>| log.iter().filter(|line| line.contains(part)).count();
        count(&log.wait_for(|log| count(log) > 0).await.unwrap())
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.log().iter().filter(|line| line.contains(part)).count()
    }

    /// The stream of the `nth` call, counted from 0.
    pub(crate) async fn call(&self, nth: usize) -> CallEnd {
        let mut calls = self.calls.subscribe();
        calls.wait_for(|calls| calls.len() > nth).await.unwrap()[nth].clone()
    }

    /// Forgets its ends of the streams, so that what still holds them is seen.
    pub(crate) fn forget_calls(&self) {
        self.calls.send_modify(Vec::clear);
    }

    /// Sends something outside of any call, over the `nth` session.
    pub(crate) async fn push(&self, nth: usize, text: &str) {
        let inbox = Arc::clone(&lock(&self.inboxes)[nth]);
        inbox.deliver(message(text.to_owned())).await;
    }

    /// The server lost the `nth` session, which was opened again or not.
    pub(crate) fn lose(&self, nth: usize, reopened: bool) {
        lock(&self.inboxes)[nth].lost_session(reopened);
    }

    /// What `initialize` is answered: a result, or an error.
    pub(crate) fn opens(&self, opened: Result<&'static str, i32>) {
        *lock(&self.opened) = opened;
    }

    /// What requests other than calls are answered: the rest of a response.
    pub(crate) fn answers(&self, answer: &'static str) {
        *lock(&self.answer) = answer;
    }

    fn note(&self, line: String) {
        self.log.send_modify(|log| log.push(line));
    }

    fn reply(&self, request: &Message) -> BoxFuture<'static, Result<Answer, Failure>> {
        match request.method() {
            Some(Method::Initialize) => match *lock(&self.opened) {
                Ok(opened) => result(request, opened),
                Err(code) => error(request, code, None),
            },
            Some(Method::ToolsCall) => {
                let (end, pieces) = mpsc::channel(8);
                self.calls.send_modify(|calls| calls.push(end));
                let pieces = stream::unfold(pieces, |mut pieces| async {
                    Some((pieces.recv().await?, pieces))
                });
                Box::pin(async { Ok(Answer::Stream(pieces.boxed())) })
            }
            _ if request.kind() == Kind::Request => {
                let (id, rest) = (request.id().unwrap(), *lock(&self.answer));
                let reply = message(format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#));
                Box::pin(async { Ok(Answer::Message(reply)) })
            }
            _ => Box::pin(async { Ok(Answer::Accepted) }),
        }
    }
}

struct Raw(Arc<Legacy>);

impl Upstream for Raw {
    fn connect(&self, inbox: Arc<dyn Inbox>, party: Party) -> Arc<dyn Connection> {
        assert!(matches!(party, Party::Many));
        lock(&self.0.inboxes).push(inbox);
        Arc::new(Wire(Arc::clone(&self.0)))
    }

    fn view(&self) -> ServerView<'_> {
        ServerView { name: "old", transport: "stdio", url: None, tool: None }
    }
}

struct Wire(Arc<Legacy>);

impl Connection for Wire {
    fn send(&self, _: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        self.0.note(String::from_utf8(message.bytes().to_vec()).unwrap());
        self.0.reply(&message)
    }

    fn refuse<'a>(&'a self, request: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()> {
        self.0.note(format!("refused {} {}", request.id().unwrap(), failure.kind.code()));
        Box::pin(async {})
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.note("closed".to_owned());
        Box::pin(async {})
    }
}

/// A client, or many, at a server.
pub(crate) struct Rig {
    pub(crate) client: Arc<ModernClient>,
    pub(crate) server: Arc<Legacy>,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn rig(many: bool) -> Rig {
    let server = Arc::new(Legacy {
        log: Arc::default(),
        opened: Mutex::new(Ok(OPENED)),
        answer: Mutex::new(r#""result":{}"#),
        inboxes: Mutex::default(),
        calls: watch::Sender::default(),
    });
    let clock = ManualClock::new();
    let raw = Arc::new(Raw(Arc::clone(&server)));
    let client = Arc::new(ModernClient::new(raw, many, Arc::clone(&clock) as _));
    Rig { client, server, clock }
}

/// A request of 2026-07-28 in the name of a client that declares this; `params` without `_meta`.
pub(crate) fn modern(id: &str, method: &str, params: &str, declared: &str) -> String {
    with_meta(
        id,
        method,
        params,
        &format!(r#""io.modelcontextprotocol/clientCapabilities":{declared}"#),
    )
}

/// The same with these members of `_meta` besides the revision.
pub(crate) fn with_meta(id: &str, method: &str, params: &str, members: &str) -> String {
    let members = if members.contains("clientCapabilities") {
        members.to_owned()
    } else {
        format!(r#"{members},"io.modelcontextprotocol/clientCapabilities":{ALL}"#)
    };
    let meta = format!(r#"{{"io.modelcontextprotocol/protocolVersion":"2026-07-28",{members}}}"#);
    let params = protocol::object::edit(params, &[("_meta", Some(&meta))]);
    String::from_utf8(encode::request(id, method, Some(&params)).to_vec()).unwrap()
}

/// A call of the tool `t` by a client that can do everything.
pub(crate) fn call(id: &str) -> String {
    modern(id, "tools/call", r#"{"name":"t","arguments":{"a":1}}"#, ALL)
}

/// The same call with answers; `responses` is raw JSON.
pub(crate) fn retry(id: &str, state: &str, responses: &str) -> String {
    let params = format!(
        r#"{{"name":"t","arguments":{{"a":1}},"inputResponses":{responses},"requestState":{state}}}"#
    );
    modern(id, "tools/call", &params, ALL)
}

impl Rig {
    pub(crate) async fn send(&self, text: &str) -> Result<Answer, Failure> {
        self.client.send(permit(), message(text.to_owned())).await
    }

    /// The last message of the answer.
    pub(crate) async fn ask(&self, text: &str) -> Result<Message, Failure> {
        match self.send(text).await? {
            Answer::Message(message) => Ok(message),
            Answer::Stream(stream) => stream.collect::<Vec<_>>().await.pop().unwrap(),
            Answer::Accepted => panic!("accepted"),
        }
    }

    /// The answer in the background, with the server's end of the call.
    pub(crate) async fn start(&self, text: String, nth: usize) -> (Asked, CallEnd) {
        let rig = Self {
            client: Arc::clone(&self.client),
            server: Arc::clone(&self.server),
            clock: Arc::clone(&self.clock),
        };
        let asked = tokio::spawn(async move { rig.ask(&text).await });
        (asked, self.server.call(nth).await)
    }

    pub(crate) async fn stream(&self, text: &str) -> MessageStream {
        match self.send(text).await {
            Ok(Answer::Stream(stream)) => stream,
            Ok(Answer::Message(message)) => panic!("not a stream: {message:?}"),
            Ok(Answer::Accepted) => panic!("accepted"),
            Err(failure) => panic!("{failure}"),
        }
    }
}

pub(crate) type Asked = tokio::task::JoinHandle<Result<Message, Failure>>;

/// Sends a message on the stream of a call.
pub(crate) async fn say(end: &CallEnd, text: &str) {
    end.send(Ok(message(text.to_owned()))).await.unwrap();
}

/// A question of the server about a name.
pub(crate) fn elicit(id: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"elicitation/create","params":{{"message":"Name?","requestedSchema":{{"type":"object"}},"_meta":{{"progressToken":9}}}}}}"#
    )
}

/// The handle in an `input_required`, raw JSON.
pub(crate) fn state(required: &Message) -> String {
    assert_eq!(required.result_type().as_deref(), Some("input_required"), "{required:?}");
    required.request_state().unwrap().to_owned()
}
