//! The clients against real sockets and real processes.

mod headers;
mod health;
mod http;
mod limits;
mod log;
mod names;
mod probing;
mod protocol_errors;
mod restarts;
mod sse;
mod stateless;
mod stdio;
mod websocket;

use std::time::Duration;

use domain::{Answer, ErrorKind, MessageStream, Span, SystemClock};
use futures_util::StreamExt;
use protocol::{Kind, Message};
use tokio::sync::mpsc;

use self::log::Log;
use super::*;
use crate::{Retry, TransportKind};
use testkit::ports::permit;

/// Longest any test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// `upstream.timeout` of tests that let it pass; none of them waits for it, see [`Rig::expire`].
const TIMEOUT: Span = Span::secs(30);

fn message(text: &str) -> Message {
    Message::parse(text.to_owned().into()).unwrap()
}

fn call(id: u64, tool: &str) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#
    ))
}

/// A call that asks for progress under the token `"t"`.
fn call_with_progress(id: u64, tool: &str) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","_meta":{{"progressToken":"t"}}}}}}"#
    ))
}

/// Progress of a request, under the token that came with it.
fn progress_of(request: &Message) -> String {
    let token = request.progress_token().unwrap();
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
    )
}

fn cancel(id: u64) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    ))
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Collects what answers no request.
struct Collected(mpsc::Sender<Message>);

impl Inbox for Collected {
    fn deliver(&self, message: Message) -> BoxFuture<'_, ()> {
        boxed(async move { self.0.send(message).await.unwrap() })
    }

    fn has_reader(&self) -> bool {
        !self.0.is_closed()
    }
}

/// One server and one session with it.
struct Rig {
    server: Arc<UpstreamServer>,
    connection: Arc<dyn Connection>,
    inbox: mpsc::Receiver<Message>,
}

fn config(url: String) -> Config {
    let mut config = Config { url: Some(url), ..Config::default() };
    config.retry.initial_delay = Span::millis(1);
    config.timeout = PATIENCE.into();
    config
}

impl Rig {
    fn new(config: Config) -> Self {
        let server = UpstreamServer::new(config, std::env::vars(), Arc::new(SystemClock)).unwrap();
        Self::over(&Arc::new(server), Party::One)
    }

    /// Another session with a server.
    fn over(server: &Arc<UpstreamServer>, party: Party) -> Self {
        let (sender, inbox) = mpsc::channel(64);
        let connection = server.connect(Arc::new(Collected(sender)), party);
        Self { server: Arc::clone(server), connection, inbox }
    }

    fn beside(&self, party: Party) -> Self {
        Self::over(&self.server, party)
    }

    /// A rig whose session is initialised.
    async fn open(config: Config) -> Self {
        let rig = Self::new(config);
        rig.initialize().await;
        rig
    }

    async fn initialize(&self) {
        let answer = self.ask(message(INITIALIZE)).await;
        assert_eq!(answer.protocol_version().as_deref(), Some("2025-06-18"));
        assert!(matches!(self.send(message(INITIALIZED)).await, Ok(Answer::Accepted)));
    }

    async fn send(&self, message: Message) -> Result<Answer, Failure> {
        timeout(PATIENCE, self.connection.send(permit(), message)).await.expect("an answer in time")
    }

    /// Sends a request and reads its answer, streamed or not.
    async fn ask(&self, message: Message) -> Message {
        let pieces = self.pieces(message).await;
        pieces.last().expect("an answer").as_ref().expect("no failure").clone()
    }

    /// Sends a request and reads all that comes back.
    async fn pieces(&self, message: Message) -> Vec<Result<Message, Failure>> {
        match self.send(message).await {
            Ok(Answer::Message(message)) => vec![Ok(message)],
            Ok(Answer::Stream(stream)) => timeout(PATIENCE, stream.collect()).await.unwrap(),
            Ok(Answer::Accepted) => panic!("a request was accepted without an answer"),
            Err(failure) => vec![Err(failure)],
        }
    }

    /// Sends a request that must fail.
    async fn failure(&self, message: Message) -> Failure {
        let mut pieces = self.pieces(message).await;
        pieces.pop().expect("an end").expect_err("a failure")
    }

    /// Sends a request whose time runs out: the clock jumps as soon as `ready` is.
    async fn expire<T>(&self, message: Message, ready: impl Future<Output = T>) -> Failure {
        let jump = async {
            ready.await;
            tokio::time::pause();
        };
        let (failure, ()) = tokio::join!(self.failure(message), jump);
        tokio::time::resume();
        failure
    }

    async fn stream(&self, message: Message) -> MessageStream {
        match self.send(message).await {
            Ok(Answer::Stream(stream)) => stream,
            Ok(Answer::Message(_) | Answer::Accepted) => panic!("the answer is no stream"),
            Err(failure) => panic!("{failure}"),
        }
    }

    async fn delivered(&mut self) -> Message {
        timeout(PATIENCE, self.inbox.recv()).await.expect("a message in time").unwrap()
    }
}

#[track_caller]
fn said(answer: &Message, text: &str) {
    assert_eq!(answer.kind(), Kind::Response, "{answer:?}");
    let result = answer.result().unwrap_or_default();
    assert!(result.contains(text), "{result} does not say {text}");
}

/// What every failure must hold to: the client learns no address.
#[track_caller]
fn failed(failure: &Failure, kind: ErrorKind, text: &str) {
    assert_eq!(failure.kind, kind, "{failure}");
    let Failure { message, detail, .. } = failure;
    assert!(message.contains(text) || detail.contains(text), "{failure:?} does not say {text}");
    assert!(!message.contains("127.0.0.1"), "{message}");
}
