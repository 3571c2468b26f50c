//! The two endpoints, called as the listener calls them, on a clock that advances by itself when everyone waits.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use axum::body::Body;
use domain::{Answer, Clock, Policies, Stage, SystemClock, Transport};
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use limits::RateLimiter;
use observability::Metrics;
use protocol::Message;
use router::Ports;
use serde_json::Value;
use session::{Client, Keys, Sessions};
use testkit::ports::{AllowAll, LetNobodyIn, MemoryRecorder, ScriptedUpstream, result};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tower::ServiceExt;

use super::*;

const CALL: &str = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo"}}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

struct Gateway {
    routes: axum::Router,
    router: Arc<Router>,
    recorder: MemoryRecorder,
    upstream: Arc<ScriptedUpstream>,
    shutdown: CancellationToken,
}

impl Gateway {
    fn new(upstream: Arc<ScriptedUpstream>) -> Self {
        Self::with_sessions(upstream, session::Config::default())
    }

    fn with_sessions(upstream: Arc<ScriptedUpstream>, sessions: session::Config) -> Self {
        Self::under(Arc::new(AllowAll), upstream, sessions)
    }

    fn under(
        policy: Arc<dyn Policies>,
        upstream: Arc<ScriptedUpstream>,
        sessions: session::Config,
    ) -> Self {
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
        let keys = Keys::load(&sessions).unwrap();
        let router = Router::new(ports, options, Sessions::new(sessions, clock, keys));
        let shutdown = CancellationToken::new();
        let options = Options { shutdown: shutdown.clone(), ..Options::default() };
        let routes = routes(Arc::clone(&router), options);
        Self { routes, router, recorder, upstream, shutdown }
    }

    async fn ask(&self, method: &str, uri: &str, body: &'static str) -> Response {
        let request = http::Request::builder().method(method).uri(uri).extension(caller());
        let request = request.body(Body::from(body)).unwrap();
        self.routes.clone().oneshot(request).await.unwrap()
    }

    /// The session that takes messages at that URI.
    fn session(&self, uri: &str) -> Arc<session::Session> {
        self.router.find(uri.split_once('=').unwrap().1, &caller()).unwrap()
    }

    /// An open stream, as if its client had sent `initialize`, and the URI that takes the client's messages.
    async fn open(&self) -> (Events, String) {
        let response = self.ask("GET", "/sse", "").await;
        assert_eq!(response.status(), 200);
        let mut events = Events(Box::pin(response.into_body().into_data_stream()));
        let first = events.next().await.unwrap();
        let uri = first.strip_prefix("event: endpoint\ndata: ").unwrap().trim_end().to_owned();
        assert!(self.session(&uri).set_client(Client { name: "c".into(), version: "1".into() }));
        (events, uri)
    }
}

fn caller() -> Caller {
    let source_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Caller { source_ip, ..Caller::over(Transport::Sse) }
}

struct Events(Pin<Box<axum::body::BodyDataStream>>);

impl Events {
    /// What was written next, in one piece; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        let piece = tokio::time::timeout(Duration::from_secs(600), self.0.next()).await;
        let piece = piece.expect("nothing happened")?.unwrap();
        Some(String::from_utf8(piece.to_vec()).unwrap())
    }
}

fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

fn waiting() -> (Arc<ScriptedUpstream>, oneshot::Sender<()>) {
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let upstream = ScriptedUpstream::new(move |message, _| {
        let released = released.lock().unwrap().take().unwrap();
        Box::pin(async move {
            released.await.unwrap();
            Ok(result(&message, "{}"))
        })
    });
    (upstream, release)
}

#[tokio::test(start_paused = true)]
async fn a_call_is_accepted_at_once_and_answered_on_the_stream() {
    let (upstream, release) = waiting();
    let gateway = Gateway::new(upstream);
    let (mut events, uri) = gateway.open().await;
    assert!(uri.starts_with("/message?sessionId="), "{uri}");
    let answer = gateway.ask("POST", &uri, CALL).await;
    assert_eq!(answer.status(), 202);
    assert!(gateway.recorder.events().is_empty(), "the server still thinks");
    release.send(()).unwrap();
    let response = r#"{"jsonrpc":"2.0","id":"a","result":{}}"#;
    assert_eq!(events.next().await, Some(event(response)));
    let rows = gateway.recorder.wait_for(1).await;
    assert_eq!((rows[0].transport, &*rows[0].method), (Transport::Sse, "tools/call"));
    assert!(rows[0].session_id.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_answers_leaves_one_by_one() {
    let (sender, receiver) = mpsc::channel::<Message>(1);
    let receiver = std::sync::Mutex::new(Some(receiver));
    let upstream = ScriptedUpstream::new(move |_, _| {
        let receiver = receiver.lock().unwrap().take().unwrap();
        let messages = stream::unfold(receiver, |mut receiver| async {
            Some((Ok(receiver.recv().await?), receiver))
        });
        Box::pin(async { Ok(Answer::Stream(messages.boxed())) })
    });
    let gateway = Gateway::new(upstream);
    let (mut events, uri) = gateway.open().await;
    gateway.ask("POST", &uri, CALL).await;
    for message in [
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
        r#"{"jsonrpc":"2.0","id":"a","result":{"x":1}}"#,
    ] {
        sender.send(Message::parse(message.into()).unwrap()).await.unwrap();
        assert_eq!(events.next().await, Some(event(message)));
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_ready_leave_together_and_comments_fill_the_silence() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    let (mut events, uri) = gateway.open().await;
    let session = gateway.session(&uri);
    for message in ["1", "2", "3"] {
        assert_eq!(session.outbox().push(message.into()).await, session::Pushed::Queued);
    }
    assert_eq!(events.next().await, Some([event("1"), event("2"), event("3")].concat()));
    let start = Instant::now();
    assert_eq!(events.next().await.as_deref(), Some(": keep-alive\n\n"));
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn the_stream_says_that_it_must_not_be_kept_back() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    let response = gateway.ask("GET", "/sse", "").await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-store"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(response.headers()[name], value);
    }
}

#[tokio::test(start_paused = true)]
async fn the_session_ends_with_its_stream() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    let (events, uri) = gateway.open().await;
    drop(events);
    gateway.upstream.closed(1).await;
    assert_eq!(gateway.ask("POST", &uri, CALL).await.status(), 404);
    assert_eq!(gateway.router.sessions().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_never_read_ends_its_session_too() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    drop(gateway.ask("GET", "/sse", "").await);
    gateway.upstream.closed(1).await;
    assert_eq!(gateway.router.sessions().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_with_its_session() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    let (mut events, uri) = gateway.open().await;
    let session = gateway.session(&uri);
    gateway.router.close(&session).await;
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_left_is_abandoned() {
    let (upstream, _release) = waiting();
    let gateway = Gateway::new(upstream);
    let (events, uri) = gateway.open().await;
    gateway.ask("POST", &uri, CALL).await;
    drop(events);
    let rows = gateway.recorder.wait_for(1).await;
    assert_eq!(rows[0].error_kind, Some(ErrorKind::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_a_stream_after_the_answers_under_way() {
    let (upstream, release) = waiting();
    let gateway = Gateway::new(upstream);
    let (mut events, uri) = gateway.open().await;
    gateway.ask("POST", &uri, CALL).await;
    gateway.shutdown.cancel();
    let mut next = Box::pin(events.next());
    assert!((&mut next).now_or_never().is_none(), "the call is waited for");
    release.send(()).unwrap();
    assert_eq!(next.await, Some(event(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#)));
    assert_eq!(events.next().await, None);
}

/// Sends a request to a fresh gateway and compares status and kind with those of the answer and of its row.
#[track_caller]
fn check(
    request: (&'static str, &'static str, &'static str),
    status: u16,
    kind: ErrorKind,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let gateway = Gateway::new(ScriptedUpstream::obliging());
        let (method, uri, body) = request;
        let response = gateway.ask(method, uri, body).await;
        assert_eq!(response.status(), status, "{place}");
        assert_eq!(response.headers()["content-type"], "application/json", "{place}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let error: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(error["error"]["data"]["kind"], kind.as_str(), "{place}");
        let rows = gateway.recorder.events();
        assert_eq!(rows.len(), 1, "{place}");
        assert_eq!(
            (rows[0].error_kind, rows[0].transport),
            (Some(kind), Transport::Sse),
            "{place}"
        );
        assert_eq!(rows[0].request_bytes, if method == "POST" { CALL.len() as u64 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn refusals() {
    use ErrorKind::{BadTransport, SessionNotFound};
    check(("POST", "/message", CALL), 400, BadTransport).await;
    check(("POST", "/message?session=x", CALL), 400, BadTransport).await;
    check(("POST", "/message?sessionId=x&sessionId=y", CALL), 400, BadTransport).await;
    check(("POST", "/message?sessionId=x", CALL), 404, SessionNotFound).await;
    check(("POST", "/message?sessionId=", CALL), 404, SessionNotFound).await;
    check(("GET", "/message?sessionId=x", ""), 405, BadTransport).await;
    check(("PUT", "/sse", ""), 405, BadTransport).await;
}

#[tokio::test(start_paused = true)]
async fn methods_are_named() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    for (method, path, status, allow) in [
        ("OPTIONS", "/sse", 204, "GET, OPTIONS"),
        ("DELETE", "/sse", 405, "GET, OPTIONS"),
        ("HEAD", "/sse", 405, "GET, OPTIONS"),
        ("OPTIONS", "/message", 204, "POST, OPTIONS"),
        ("DELETE", "/message", 405, "POST, OPTIONS"),
    ] {
        let response = gateway.ask(method, path, "").await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers()["allow"], allow, "{method} {path}");
    }
    assert_eq!(gateway.upstream.connections().opened, 0, "no session was opened");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_refused_to_its_sender() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    let (_events, uri) = gateway.open().await;
    assert_eq!(gateway.ask("POST", &uri, "{").await.status(), 400);
    assert_eq!(gateway.ask("POST", &uri, NOTE).await.status(), 202);
    let rows = gateway.recorder.wait_for(2).await;
    assert_eq!(rows[0].error_kind, Some(ErrorKind::ParseError));
    assert_eq!(rows[1].error_kind, None);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_another_transport_is_unknown() {
    let gateway = Gateway::new(ScriptedUpstream::obliging());
    let caller = Caller::over(Transport::Http);
    let session = gateway.router.open(&caller).await.ok().unwrap();
    let uri = format!("/message?sessionId={}", session.token().expose());
    assert_eq!(gateway.ask("POST", &uri, CALL).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn one_session_too_many_is_told_to_come_back() {
    let sessions = session::Config { max_sessions: 1, ..session::Config::default() };
    let gateway = Gateway::with_sessions(ScriptedUpstream::obliging(), sessions);
    let (_events, _) = gateway.open().await;
    assert_eq!(gateway.ask("GET", "/sse", "").await.status(), 503);
    let rows = gateway.recorder.wait_for(1).await;
    assert_eq!(rows[0].error_kind, Some(ErrorKind::Overloaded));
}

#[tokio::test]
async fn a_client_that_may_not_connect_gets_no_stream() {
    let server = ScriptedUpstream::obliging();
    let gateway = Gateway::under(Arc::new(LetNobodyIn), server, session::Config::default());
    let response = gateway.ask("GET", "/sse", "").await;
    assert_eq!(response.status(), 403);
    let [row] = gateway.recorder.events().try_into().unwrap();
    assert_eq!((row.stage, row.decision.as_str()), (Stage::Connect, "deny"));
    assert!(gateway.router.sessions().all().is_empty());
}
