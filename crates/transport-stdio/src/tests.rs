//! A client at the other end of two pipes, on a clock that advances by itself when everyone waits.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use domain::{Answer, Clock, ErrorKind, Policies, Stage, SystemClock};
use limits::RateLimiter;
use observability::Metrics;
use protocol::{Message, Method, encode};
use router::Ports;
use serde_json::{Value, json};
use session::{Keys, Sessions};
use testkit::ports::{AllowAll, LetNobodyIn, MemoryRecorder, ScriptedUpstream, result};
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, Lines, duplex};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

const MAX_LINE: usize = 1000;
const GRACE: Duration = Duration::from_secs(5);

/// A router before a scripted server.
struct Gateway {
    router: Arc<Router>,
    recorder: MemoryRecorder,
    upstream: Arc<ScriptedUpstream>,
    /// Says that the client no longer reads.
    unread: Arc<Notify>,
    shutdown: CancellationToken,
}

impl Gateway {
    fn new(upstream: Arc<ScriptedUpstream>) -> Self {
        Self::under(Arc::new(AllowAll), upstream)
    }

    fn under(policy: Arc<dyn Policies>, upstream: Arc<ScriptedUpstream>) -> Self {
        let recorder = MemoryRecorder::default();
        let clock = Arc::new(SystemClock);
        let ports = Ports {
            policy,
            upstream: Arc::clone(&upstream) as _,
            recorder: Arc::new(recorder.clone()),
            metrics: Arc::new(Metrics::new("scripted").unwrap()),
            approvals: None,
            limiter: Arc::new(RateLimiter::new(&limits::Config::default(), clock.monotonic())),
            clock: Arc::clone(&clock) as _,
        };
        let options = router::Options { environment: "test".into(), ..router::Options::default() };
        let config = session::Config::default();
        let keys = Keys::load(&config).unwrap();
        let router = Router::new(ports, options, Sessions::new(config, clock, keys));
        let (unread, shutdown) = (Arc::default(), CancellationToken::new());
        Self { router, recorder, upstream, unread, shutdown }
    }

    /// A client, and the service that ends when it is served no more.
    fn connect(&self) -> Client {
        let (input, theirs) = duplex(64 * 1024);
        let (output, ours) = duplex(256);
        let served = self.serve(theirs, output);
        Client { input, output: BufReader::new(ours).lines(), served }
    }

    fn serve(
        &self,
        input: DuplexStream,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> JoinHandle<Result<(), Error>> {
        let (router, shutdown) = (Arc::clone(&self.router), self.shutdown.clone());
        let options = Options { max_line: MAX_LINE, grace: GRACE };
        let unread = Arc::clone(&self.unread);
        tokio::spawn(async move {
            let unread = async move { unread.notified().await };
            serve(&router, Pipes { input, output, unread }, options, shutdown).await
        })
    }
}

struct Client {
    input: DuplexStream,
    output: Lines<BufReader<DuplexStream>>,
    served: JoinHandle<Result<(), Error>>,
}

impl Client {
    async fn say(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).await.unwrap();
    }

    async fn call(&mut self, id: u64) {
        // Stateless, so that no `initialize` has to go before.
        let envelope = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({ "name": "echo", "_meta": envelope });
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        self.say(&format!("{call}\n")).await;
    }

    async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.output.next_line().await.unwrap().expect("the end")).unwrap()
    }

    /// The end of the input, and what comes after it.
    async fn leave(self) -> Vec<Value> {
        let Self { input, mut output, served } = self;
        drop(input);
        let mut heard = Vec::new();
        while let Some(line) = output.next_line().await.unwrap() {
            heard.push(serde_json::from_str(&line).unwrap());
        }
        served.await.unwrap().unwrap();
        heard
    }
}

/// A server that answers calls when it is released, by a cancellation of the client or by the test.
struct Waiting {
    asked: Semaphore,
    released: Semaphore,
}

impl Waiting {
    /// Waits until a call is there.
    async fn asked(&self) {
        self.asked.acquire().await.unwrap().forget();
    }

    /// Lets one call go.
    fn release(&self) {
        self.released.add_permits(1);
    }
}

fn waiting() -> (Arc<ScriptedUpstream>, Arc<Waiting>) {
    let waiting = Arc::new(Waiting { asked: Semaphore::new(0), released: Semaphore::new(0) });
    let state = Arc::clone(&waiting);
    let upstream = ScriptedUpstream::new(move |message: Message, _| {
        let state = Arc::clone(&state);
        Box::pin(async move {
            if message.method() == Some(Method::ToolsCall) {
                state.asked.add_permits(1);
                state.released.acquire().await.unwrap().forget();
            } else {
                state.release();
            }
            Ok(result(&message, "{}"))
        })
    });
    (upstream, waiting)
}

fn answered(id: u64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": {} })
}

#[tokio::test(start_paused = true)]
async fn one_line_is_one_message_both_ways() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    let mut client = gateway.connect();
    client.call(1).await;
    assert_eq!(client.hear().await, answered(1));
    client.say("\n  \r\n").await;
    client.say(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await;
    assert_eq!(client.leave().await, [answered(2)], "the last line needs no end");
    let rows = gateway.recorder.events();
    assert_eq!(rows.len(), 2, "empty lines are nothing");
    assert!(rows.iter().all(|row| row.transport == Transport::Stdio && row.session_id.is_some()));
    assert_eq!(gateway.upstream.connections().closed, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_several_lines_is_written_as_one() {
    let upstream = ScriptedUpstream::new(|_, _| {
        let answer = Message::parse("{\"jsonrpc\": \"2.0\",\r\n\"id\": 7,\n\"result\": {}}".into());
        Box::pin(async { Ok(Answer::Message(answer.unwrap())) })
    });
    let mut client = Gateway::new(upstream).connect();
    client.call(1).await;
    assert_eq!(client.hear().await, answered(1));
}

/// Says something that is refused, and compares the kind; a call after it is answered.
#[track_caller]
fn check_refused(said: &str, kind: ErrorKind) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let gateway = Gateway::new(ScriptedUpstream::obliging());
        let mut client = gateway.connect();
        client.say(said).await;
        let refusal = client.hear().await;
        assert_eq!(refusal["error"]["data"]["kind"], kind.as_str(), "{place}: {refusal}");
        assert_eq!(refusal["id"], Value::Null, "{place}");
        client.call(1).await;
        assert_eq!(client.leave().await, [answered(1)], "{place}");
        let rows = gateway.recorder.events();
        assert_eq!(rows.len(), 2, "{place}");
        assert_eq!(rows[0].error_kind, Some(kind), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_message_costs_one_error() {
    check_refused("{\n", ErrorKind::ParseError).await;
    check_refused("[]\n", ErrorKind::InvalidRequest).await;
    check_refused(&format!("{}\n", "x".repeat(MAX_LINE + 1)), ErrorKind::TooLarge).await;
    check_refused(&format!("{}\n", "x".repeat(300 * 1024)), ErrorKind::TooLarge).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_overtakes_the_call() {
    let (upstream, _) = waiting();
    let gateway = Gateway::new(upstream);
    let mut client = gateway.connect();
    client.call(1).await;
    let cancelled = encode::notification("notifications/cancelled", Some(r#"{"requestId":1}"#));
    client.say(&format!("{}\n", String::from_utf8(cancelled.to_vec()).unwrap())).await;
    assert_eq!(client.hear().await, answered(1), "it was waiting for the cancellation");
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_answered_at_the_end_of_the_input() {
    let (upstream, server) = waiting();
    let gateway = Gateway::new(upstream);
    let mut client = gateway.connect();
    client.call(1).await;
    client.call(2).await;
    let left = tokio::spawn(client.leave());
    for _ in 0..2 {
        server.asked().await;
        server.release();
    }
    let heard = left.await.unwrap();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(gateway.upstream.connections().closed, 1);
    assert_eq!(gateway.router.sessions().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_take_too_long_are_cut_and_recorded() {
    let gateway = Gateway::new(waiting().0);
    let mut client = gateway.connect();
    client.call(1).await;
    let start = Instant::now();
    assert_eq!(client.leave().await, Vec::<Value>::new());
    assert_eq!(start.elapsed(), GRACE);
    let rows = gateway.recorder.wait_for(1).await;
    assert_eq!(rows[0].error_kind, Some(ErrorKind::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_gone_ends_everything_at_once() {
    let (upstream, server) = waiting();
    let gateway = Gateway::new(upstream);
    let mut client = gateway.connect();
    client.call(1).await;
    client.call(2).await;
    drop(client.output);
    let start = Instant::now();
    server.release();
    client.served.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(gateway.upstream.connections().closed, 1);
}

#[tokio::test(start_paused = true)]
async fn that_a_client_has_gone_is_known_without_writing() {
    for input_ends in [false, true] {
        let (upstream, server) = waiting();
        let gateway = Gateway::new(upstream);
        let mut client = gateway.connect();
        client.call(1).await;
        server.asked().await;
        let start = Instant::now();
        let _input = (!input_ends).then_some(client.input);
        gateway.unread.notify_one();
        client.served.await.unwrap().unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(gateway.recorder.events()[0].error_kind, Some(ErrorKind::Abandoned));
    }
}

/// Has a client not read, ends its service by `end`, and compares how long that took.
#[track_caller]
fn check_unread(end: impl AsyncFnOnce(&Gateway, DuplexStream), took: Duration) -> impl Future {
    let place = std::panic::Location::caller();
    async move {
        let gateway = Gateway::new(ScriptedUpstream::obliging());
        let mut client = gateway.connect();
        for id in 0..20 {
            client.call(id).await;
        }
        gateway.recorder.wait_for(20).await;
        let Client { input, output: _unread, served } = client;
        let start = Instant::now();
        end(&gateway, input).await;
        served.await.unwrap().unwrap();
        assert_eq!(start.elapsed(), took, "{place}");
        assert_eq!(gateway.router.sessions().len(), 0, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_not_waited_for() {
    check_unread(async |_, input| drop(input), GRACE + LAST).await;
    let cut = async |gateway: &Gateway, _input| {
        gateway.shutdown.cancel();
        gateway.router.close_all().await;
    };
    check_unread(cut, LAST).await;
}

#[tokio::test(start_paused = true)]
async fn shutting_down_answers_what_is_in_flight() {
    let (upstream, server) = waiting();
    let gateway = Gateway::new(upstream);
    let mut client = gateway.connect();
    client.call(1).await;
    server.asked().await;
    gateway.shutdown.cancel();
    client.call(2).await;
    server.release();
    assert_eq!(client.hear().await, answered(1));
    assert_eq!(client.output.next_line().await.unwrap(), None, "nothing is read any more");
    client.served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_is_the_end() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    let mut client = gateway.connect();
    client.call(1).await;
    client.hear().await;
    gateway.router.close_all().await;
    assert_eq!(client.output.next_line().await.unwrap(), None);
    client.served.await.unwrap().unwrap();
}

/// Keeps each piece that is written.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<Vec<String>>>);

impl AsyncWrite for Pieces {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().push(String::from_utf8(piece.to_vec()).unwrap());
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_ready_leave_together() {
    let upstream = ScriptedUpstream::new(|message, inbox| {
        Box::pin(async move {
            let note = encode::notification("notifications/tools/list_changed", None);
            for _ in 0..3 {
                inbox.deliver(Message::parse(note.clone()).unwrap()).await;
            }
            Ok(result(&message, "{}"))
        })
    });
    let gateway = Gateway::new(upstream);
    let (mut input, theirs) = duplex(1024);
    let pieces = Pieces::default();
    let served = gateway.serve(theirs, pieces.clone());
    let call = encode::request("1", "ping", None);
    input.write_all(&call).await.unwrap();
    drop(input);
    served.await.unwrap().unwrap();
    let pieces = pieces.0.lock().unwrap();
    assert_eq!(pieces.len(), 1, "{pieces:?}");
    assert_eq!(pieces[0].lines().count(), 4, "{pieces:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_may_not_connect_is_not_served() {
    let gateway = Gateway::under(Arc::new(LetNobodyIn), ScriptedUpstream::obliging());
    let client = gateway.connect();
    let Err(Error::Session(failure)) = client.served.await.unwrap() else { panic!("it is served") };
    assert_eq!(failure.kind, ErrorKind::PolicyDenied);
    let [row] = gateway.recorder.events().try_into().unwrap();
    assert_eq!((row.stage, row.decision.as_str()), (Stage::Connect, "deny"));
}
