//! Servers that forget their sessions, and sessions that begin elsewhere.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;
use domain::Secret;
use protocol::{Method, ProtocolVersion, encode};
use testkit::upstream::{
    Answers, FakeServer, McpServer, Received, Step, answer, empty, event_stream, response,
};

/// A server that forgets its sessions at a word.
struct Forgetful {
    server: FakeServer,
    /// Names the session, and its tens name a tool.
    epoch: Arc<AtomicU64>,
    /// A method that it refuses for now.
    refused: Arc<Mutex<Option<&'static str>>>,
    streams: mpsc::Receiver<testkit::upstream::EventSender>,
}

/// How an unknown session is refused.
#[derive(Clone, Copy)]
enum Refusal {
    /// With status 404 alone.
    NotFound,
    /// With status 400 and a reply to nobody.
    BadRequest,
    /// With status 404 and a reply to the request.
    Reply,
}

const NO_SESSION: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#;

impl Forgetful {
    async fn start(refusal: Refusal) -> Self {
        let (epoch, refused) = (Arc::new(AtomicU64::new(1)), Arc::new(Mutex::new(None)));
        let (sender, streams) = mpsc::channel(8);
        let (current, refusing) = (Arc::clone(&epoch), Arc::clone(&refused));
        let server = FakeServer::start(move |request| {
            let (epoch, sender) = (current.load(Ordering::SeqCst), sender.clone());
            let refused = *refusing.lock().unwrap();
            async move {
                let session = format!("s{epoch}");
                let method = request.mcp_method();
                if refused.is_some_and(|refused| method == refused) {
                    return empty(503);
                }
                if method == "initialize" {
                    let id = request.message().unwrap().id().unwrap().to_owned();
                    let result = r#"{"protocolVersion":"2025-06-18"}"#;
                    let body = encode::result_reply(&id, result);
                    let mut response = response(200, "application/json", body);
                    response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
                    return response;
                }
                if request.header("mcp-session-id") != Some(&session) {
                    let id = request.message().and_then(|m| m.id().map(str::to_owned));
                    return match (refusal, id) {
                        (Refusal::BadRequest, _) => response(400, "application/json", NO_SESSION),
                        (Refusal::Reply, Some(id)) => {
                            response(404, "application/json", NO_SESSION.replace("null", &id))
                        }
                        (Refusal::NotFound | Refusal::Reply, _) => empty(404),
                    };
                }
                match request.message() {
                    None if request.method == "GET" => {
                        let (events, response) = event_stream();
                        sender.send(events).await.unwrap();
                        response
                    }
                    Some(message) if method == "tools/list" => {
                        let result = format!(r#"{{"tools":[{{"name":"t{}"}}]}}"#, epoch / 10);
                        let body = encode::result_reply(message.id().unwrap(), &result);
                        response(200, "application/json", body)
                    }
                    Some(message) if message.kind() == Kind::Request => {
                        response(200, "application/json", answer(&message))
                    }
                    Some(_) | None => empty(202),
                }
            }
        })
        .await;
        Self { server, epoch, refused, streams }
    }

    fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets the sessions and has another tool.
    fn change(&self) {
        self.epoch.fetch_add(10, Ordering::SeqCst);
    }

    /// How often a method came.
    fn count(&self, method: &str) -> usize {
        self.server.so_far().iter().filter(|r| r.mcp_method() == method).count()
    }

    async fn rig(&self) -> Rig {
        Rig::open(config(self.server.url("/mcp"))).await
    }
}

fn list(id: u64) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#))
}

#[tokio::test]
async fn a_forgotten_session_is_opened_again_and_the_request_goes_on() {
    for refusal in [Refusal::NotFound, Refusal::BadRequest, Refusal::Reply] {
        let server = Forgetful::start(refusal).await;
        let rig = server.rig().await;
        said(&rig.ask(call(1, "first")).await, "first");
        server.forget();
        said(&rig.ask(call(2, "second")).await, "second");
        let received = server.server.so_far();
        let repeated: Vec<_> = received.iter().filter(|r| r.mcp_method() == "initialize").collect();
        assert_eq!(repeated.len(), 2);
        assert_eq!(repeated[1].header("mcp-session-id"), None);
        let words = |r: &Received| r.message().unwrap().params().map(str::to_owned);
        assert_eq!(words(repeated[0]), words(repeated[1]), "the client's own words");
        assert_eq!(server.count("notifications/initialized"), 2);
        assert_eq!(server.count("tools/call"), 3);
    }
}

#[tokio::test]
async fn a_forgotten_session_is_opened_again_once_for_all_who_wait() {
    let server = Forgetful::start(Refusal::NotFound).await;
    let rig = server.rig().await;
    server.forget();
    let calls = (0..20).map(|id| rig.ask(call(id, &format!("tool-{id}"))));
    for (id, answer) in futures_util::future::join_all(calls).await.iter().enumerate() {
        said(answer, &format!("\"tool-{id}\""));
    }
    assert_eq!(server.count("initialize"), 2);
}

#[tokio::test]
async fn a_server_that_does_not_take_the_session_back_is_asked_again_by_the_next_message() {
    for method in ["initialize", "notifications/initialized"] {
        let server = Forgetful::start(Refusal::NotFound).await;
        let rig = server.rig().await;
        server.forget();
        *server.refused.lock().unwrap() = Some(method);
        for (id, unsent) in [(1, false), (2, true)] {
            let failure = rig.failure(call(id, "echo")).await;
            assert_eq!(failure.unsent, unsent, "{failure:?}");
            failed(&failure, ErrorKind::UpstreamError, "HTTP status 503");
            assert!(failure.kind.retryable());
        }
        *server.refused.lock().unwrap() = None;
        said(&rig.ask(call(3, "echo")).await, "echo");
        assert_eq!(server.count("tools/call"), 2, "the first and the last");
    }
}

#[tokio::test]
async fn a_server_that_forgets_every_session_at_once_is_one_failure() {
    let server = FakeServer::start(|request| async move {
        if request.mcp_method() != "initialize" {
            return empty(404);
        }
        let id = request.message().unwrap().id().unwrap().to_owned();
        let body = encode::result_reply(&id, r#"{"protocolVersion":"2025-06-18"}"#);
        let mut response = response(200, "application/json", body);
        response.headers_mut().insert("mcp-session-id", "s".parse().unwrap());
        response
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    rig.ask(message(INITIALIZE)).await;
    failed(&rig.failure(call(1, "echo")).await, ErrorKind::UpstreamError, "forgotten");
    let tried = server.so_far().iter().filter(|r| r.mcp_method() == "tools/call").count();
    assert_eq!(tried, 4, "as often as configured");
}

#[tokio::test]
async fn other_tools_after_a_restart_are_announced() {
    let server = Forgetful::start(Refusal::NotFound).await;
    let mut rig = server.rig().await;
    rig.ask(list(1)).await;
    server.forget();
    rig.ask(call(2, "echo")).await;
    server.server.until_nth(2, |r| r.mcp_method() == "tools/list").await;
    server.change();
    rig.ask(call(3, "echo")).await;
    assert_eq!(rig.delivered().await.method(), Some(Method::ToolsListChanged));
    let last = server.server.until_nth(3, |r| r.mcp_method() == "tools/list").await;
    assert_eq!(last.header("mcp-session-id"), Some("s12"));
    assert!(rig.inbox.try_recv().is_err(), "the same tools are no news");
}

#[tokio::test]
async fn who_never_listed_is_told_nothing() {
    let server = Forgetful::start(Refusal::NotFound).await;
    let rig = server.rig().await;
    server.forget();
    rig.ask(call(1, "echo")).await;
    rig.connection.close().await;
    assert_eq!(server.count("tools/list"), 0);
}

#[tokio::test]
async fn a_standalone_stream_that_is_unknown_opens_the_session_again() {
    let mut server = Forgetful::start(Refusal::NotFound).await;
    let mut rig = server.rig().await;
    let first = server.streams.recv().await.unwrap();
    server.forget();
    first.raw("retry: 1\n\n").await;
    drop(first);
    let second =
        timeout(PATIENCE, server.streams.recv()).await.expect("without a message").unwrap();
    second.message(r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#).await;
    assert_eq!(rig.delivered().await.method(), Some(Method::PromptsListChanged));
    assert_eq!(server.count("initialize"), 2);
}

#[tokio::test]
async fn an_event_stream_whose_session_is_gone_begins_again() {
    let gone = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&gone);
    let (sender, mut streams) = mpsc::channel(8);
    let server = FakeServer::start(move |request| {
        let (seen, sender) = (Arc::clone(&seen), sender.clone());
        async move {
            if request.method == "GET" {
                let (events, response) = event_stream();
                events.raw("event: endpoint\ndata: /m\n\n").await;
                sender.send(events).await.unwrap();
                return response;
            }
            let call = request.mcp_method() == "tools/call";
            empty(if call && !seen.swap(true, Ordering::SeqCst) { 404 } else { 202 })
        }
    })
    .await;
    let config = Config { transport: TransportKind::Sse, ..config(server.url("/sse")) };
    let rig = Rig::new(config);
    let asked = rig.ask(call(7, "echo"));
    let answered = async {
        let _first = streams.recv().await.unwrap();
        let second = streams.recv().await.unwrap();
        let call = server.until_nth(2, |r| r.mcp_method() == "tools/call").await;
        second.message(&answer(&call.message().unwrap())).await;
        second
    };
    let (answer, _second) = tokio::join!(asked, answered);
    said(&answer, "echo");
}

#[tokio::test]
async fn what_one_replica_opened_another_goes_on_with() {
    let mut server = Forgetful::start(Refusal::NotFound).await;
    let first = server.rig().await;
    let _stream = server.streams.recv().await.unwrap();
    assert_eq!(first.connection.version(), Some(ProtocolVersion::V2025_06_18));
    let handshake = first.connection.handshake().expect("an open session");
    assert_eq!(handshake.server_session, Some(Secret::new("s1".to_owned())));
    assert_eq!(handshake.initialize, INITIALIZE);
    let opened = server.count("initialize");
    let second = first.beside(Party::Resumed(Box::new(handshake)));
    assert_eq!(second.connection.version(), Some(ProtocolVersion::V2025_06_18));
    for id in [1, 2] {
        said(&second.ask(call(id, "echo")).await, "echo");
    }
    assert_eq!(server.count("initialize"), opened, "the session goes on");
    assert!(server.streams.try_recv().is_err(), "the stream is the first one's");
    second.connection.listen().await;
    let _stream = timeout(PATIENCE, server.streams.recv()).await.expect("its own stream");
    let last = server.server.until(|r| r.mcp_method() == "tools/call").await;
    assert_eq!(last.header("mcp-session-id"), Some("s1"));
    assert_eq!(last.header("mcp-protocol-version"), Some("2025-06-18"));
    server.forget();
    said(&second.ask(call(3, "echo")).await, "echo");
    assert_eq!(server.count("initialize"), opened + 1, "with the words of the handshake");
}

/// A session that goes on in another process, with a server of that URL.
async fn resumed(first: &Rig, url: String) -> Rig {
    let handshake = first.connection.handshake().expect("an open session");
    let elsewhere = Rig::new(config(url));
    elsewhere.beside(Party::Resumed(Box::new(handshake)))
}

#[tokio::test]
async fn a_client_that_says_nothing_is_listened_for() {
    let mut server = Forgetful::start(Refusal::NotFound).await;
    let first = server.rig().await;
    let _stream = server.streams.recv().await.unwrap();
    let mut second = resumed(&first, server.server.url("/mcp")).await;
    second.connection.listen().await;
    let stream = timeout(PATIENCE, server.streams.recv()).await.expect("a stream").unwrap();
    stream.message(r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#).await;
    assert_eq!(second.delivered().await.method(), Some(Method::PromptsListChanged));
    second.connection.listen().await;
    said(&second.ask(call(1, "echo")).await, "echo");
    assert!(server.streams.try_recv().is_err(), "once");
}

#[tokio::test]
async fn a_client_is_listened_for_as_soon_as_the_way_is_found() {
    let mut server = Forgetful::start(Refusal::NotFound).await;
    let first = server.rig().await;
    let _stream = server.streams.recv().await.unwrap();
    // Without a path there is more than one that may be meant.
    let second = resumed(&first, server.server.url("/")).await;
    second.connection.listen().await;
    said(&second.ask(call(1, "echo")).await, "echo");
    timeout(PATIENCE, server.streams.recv()).await.expect("a stream").unwrap();
}

#[tokio::test]
async fn a_session_is_ended_at_the_server_by_a_replica_that_never_used_it() {
    for (path, paths) in [("/mcp", &["/mcp"][..]), ("/", &["/", "/mcp"][..])] {
        let server = Forgetful::start(Refusal::NotFound).await;
        let first = server.rig().await;
        let second = resumed(&first, server.server.url(path)).await;
        second.connection.close().await;
        second.connection.close().await;
        let received = server.server.so_far();
        let ends: Vec<_> = received.iter().filter(|r| r.method == "DELETE").collect();
        assert_eq!(ends.iter().map(|r| &*r.path).collect::<Vec<_>>(), paths);
        assert!(ends.iter().all(|r| r.header("mcp-session-id") == Some("s1")), "{path}");
    }
}

#[tokio::test]
async fn a_session_that_was_ended_elsewhere_is_not_opened_again_unless_somebody_listens() {
    let mut server = Forgetful::start(Refusal::NotFound).await;
    let mut rig = server.rig().await;
    let stream = server.streams.recv().await.unwrap();
    rig.inbox.close();
    server.forget();
    stream.raw("retry: 1\n\n").await;
    drop(stream);
    let named = || rig.connection.handshake().unwrap().server_session.is_some();
    let forgotten = async {
        while named() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, forgotten).await.expect("the server says so");
    // Meanwhile it would have been greeted.
    rig.beside(Party::One).initialize().await;
    assert_eq!(server.count("initialize"), 2, "one for each client");
    rig.connection.listen().await;
    server.server.until_nth(3, |r| r.mcp_method() == "initialize").await;
}

#[tokio::test]
async fn a_resumed_session_over_pipes_repeats_the_opening() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let first = Rig::open(config).await;
    let handshake = first.connection.handshake().expect("an open session");
    assert_eq!(handshake.server_session, None);
    let second = first.beside(Party::Resumed(Box::new(handshake)));
    said(&second.ask(call(1, "echo")).await, "echo");
    let greetings = |r: &Received| r.mcp_method() == "initialize";
    server.http().until_nth(2, greetings).await;
}

#[tokio::test]
async fn there_is_no_handshake_before_initialize_succeeded() {
    let server = FakeServer::start(|_| async { empty(500) }).await;
    let rig = Rig::new(config(server.url("/mcp")));
    rig.failure(message(INITIALIZE)).await;
    assert!(rig.connection.handshake().is_none());
    assert_eq!(rig.connection.version(), None);
}

async fn check_least(least: &str, settled: &'static str) -> Result<Message, Failure> {
    let server =
        McpServer::start(Answers::Json, false, |request| vec![Step::Send(answer(request))]).await;
    let rig =
        Rig::new(Config { min_protocol_version: Some(least.to_owned()), ..config(server.url()) });
    let initialize = INITIALIZE.replace("2025-06-18", settled);
    rig.pieces(message(&initialize)).await.pop().unwrap()
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    assert!(check_least("2025-03-26", "2025-06-18").await.is_ok());
    assert!(check_least("2025-06-18", "2025-06-18").await.is_ok());
    for settled in ["2025-03-26", "2024-11-05", "2024-10-07"] {
        let failure = check_least("2025-06-18", settled).await.unwrap_err();
        failed(&failure, ErrorKind::UpstreamError, settled);
        failed(&failure, ErrorKind::UpstreamError, "2025-06-18");
    }
}

#[tokio::test]
async fn a_server_older_than_its_client_is_logged_once() {
    let server = FakeServer::start(|request| async move {
        let id = request.message().unwrap().id().unwrap().to_owned();
        let body = encode::result_reply(&id, r#"{"protocolVersion":"2025-03-26"}"#);
        response(200, "application/json", body)
    })
    .await;
    let log = Log::default();
    let _logging = log.listen();
    let rig = Rig::new(config(server.url("/mcp")));
    rig.ask(message(INITIALIZE)).await;
    rig.beside(Party::One).ask(message(INITIALIZE)).await;
    let older = log.lines().into_iter().filter(|line| line.contains("older revision")).count();
    assert_eq!(older, 1);
}

/// Hears of sessions that are lost.
struct Losses(mpsc::Sender<bool>);

impl Inbox for Losses {
    fn deliver(&self, _: Message) -> BoxFuture<'_, ()> {
        boxed(std::future::ready(()))
    }

    fn lost_session(&self, reopened: bool) {
        self.0.try_send(reopened).unwrap();
    }
}

#[tokio::test]
async fn the_inbox_hears_that_a_session_was_lost_and_whether_it_is_back() {
    let server = Forgetful::start(Refusal::NotFound).await;
    let config = config(server.server.url("/mcp"));
    let upstream = UpstreamServer::new(config, std::env::vars(), Arc::new(SystemClock)).unwrap();
    let (losses, mut lost) = mpsc::channel(4);
    let connection = upstream.connect(Arc::new(Losses(losses)), Party::Many);
    let rig = Rig { server: Arc::new(upstream), connection, inbox: mpsc::channel(1).1 };
    rig.initialize().await;
    server.forget();
    said(&rig.ask(call(1, "echo")).await, "echo");
    assert_eq!(lost.recv().await, Some(true));
    *server.refused.lock().unwrap() = Some("initialize");
    server.forget();
    rig.failure(call(2, "echo")).await;
    assert_eq!(lost.recv().await, Some(false));
    assert!(lost.try_recv().is_err());
}
