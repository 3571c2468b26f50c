//! Deadlines, sizes, pools, and the table of requests in flight.

use super::*;
use testkit::upstream::{
    Answers, FakeServer, McpServer, Received, Step, answer, event_stream, response,
};

fn hold_then_answer(request: &Message) -> Vec<Step> {
    vec![Step::Hold, Step::Send(answer(request))]
}

fn is(method: &'static str) -> impl Fn(&Received) -> bool {
    move |received| received.mcp_method() == method
}

#[tokio::test]
async fn a_request_without_an_answer_times_out_and_is_cancelled() {
    for answers in [Answers::Json, Answers::Events] {
        let server = McpServer::start(answers, true, hold_then_answer).await;
        let rig = Rig::open(Config { timeout: TIMEOUT, ..config(server.url()) }).await;
        // The second time round, the client's id is free again.
        for (nth, own) in [(1, "2"), (2, "3")] {
            let came = server.http().until_nth(nth, is("tools/call"));
            let before = Instant::now();
            let failure = rig.expire(call(7, "hang"), came).await;
            failed(&failure, ErrorKind::UpstreamTimeout, "in time");
            assert!(before.elapsed() >= TIMEOUT.duration());
            let told = server.http().until_nth(nth, is("notifications/cancelled")).await;
            assert_eq!(told.message().unwrap().cancelled_id(), Some(own), "under our id");
        }
    }
}

#[tokio::test]
async fn initialize_is_never_cancelled() {
    let server = FakeServer::start(|_| std::future::pending()).await;
    let rig = Rig::new(Config { timeout: TIMEOUT, ..config(server.url("/mcp")) });
    let failure = rig.expire(message(INITIALIZE), server.until(is("initialize"))).await;
    failed(&failure, ErrorKind::UpstreamTimeout, "in time");
    let failure = rig.expire(call(1, "x"), server.until(is("tools/call"))).await;
    failed(&failure, ErrorKind::UpstreamTimeout, "in time");
    server.until(is("notifications/cancelled")).await;
    let told = server.so_far().into_iter().filter(is("notifications/cancelled")).count();
    assert_eq!(told, 1, "for the call alone");
}

#[tokio::test]
async fn events_set_the_clock_of_a_stream_back() {
    let server = McpServer::start(Answers::Events, false, |request| {
        vec![[Step::Send(progress_of(request)), Step::Hold]; 4].concat()
    })
    .await;
    let rig = Rig::open(Config { timeout: TIMEOUT, ..config(server.url()) }).await;
    let mut stream = rig.stream(call_with_progress(1, "slow")).await;
    stream.next().await.unwrap().unwrap();
    for _ in 0..3 {
        let later = async {
            tokio::time::pause();
            tokio::time::advance(TIMEOUT.duration() * 2 / 3).await;
            tokio::time::resume();
            server.release(1);
        };
        let (update, ()) = tokio::join!(stream.next(), later);
        update.unwrap().expect("twice the time in all, and never all of it for one event");
    }
    tokio::time::pause();
    let failure = stream.next().await.unwrap().unwrap_err();
    tokio::time::resume();
    failed(&failure, ErrorKind::UpstreamTimeout, "in time");
    assert!(stream.next().await.is_none());
    server.http().until(is("notifications/cancelled")).await;
}

#[tokio::test]
async fn dropping_a_request_frees_its_id_and_tells_the_server() {
    let server = McpServer::start(Answers::Json, true, hold_then_answer).await;
    let rig = Rig::open(config(server.url())).await;
    {
        let mut sent = rig.connection.send(permit(), call(7, "hang"));
        tokio::select! {
            _ = &mut sent => panic!("the server holds the answer back"),
            _ = server.http().until(|r| r.mcp_method() == "tools/call") => {}
        }
        failed(
            &rig.failure(call(7, "again")).await,
            ErrorKind::InvalidRequest,
            "`7` is already in flight",
        );
    }
    let told = server.http().until(|r| r.mcp_method() == "notifications/cancelled").await;
    assert_eq!(told.message().unwrap().cancelled_id(), Some("2"));
    server.release(2);
    said(&rig.ask(call(7, "again")).await, "again");
}

#[tokio::test]
async fn a_cancellation_names_our_id_and_ends_the_request() {
    let server = McpServer::start(Answers::Json, true, hold_then_answer).await;
    let rig = Rig::open(config(server.url())).await;
    assert!(matches!(rig.send(cancel(7)).await, Ok(Answer::Accepted)));
    let so_far = server.http().so_far();
    assert!(so_far.iter().all(|r| r.mcp_method() != "notifications/cancelled"), "of nothing");
    let asked = rig.connection.send(permit(), call(7, "hang"));
    let cancelled = async {
        server.http().until(|r| r.mcp_method() == "tools/call").await;
        rig.send(cancel(7)).await.map(drop)
    };
    let (asked, cancelled) = tokio::join!(asked, cancelled);
    cancelled.unwrap();
    failed(&asked.err().unwrap(), ErrorKind::Abandoned, "cancelled");
    let told = server.http().until(|r| r.mcp_method() == "notifications/cancelled").await;
    assert_eq!(told.message().unwrap().cancelled_id(), Some("2"));
}

#[tokio::test]
async fn closing_ends_what_is_in_flight() {
    let server = McpServer::start(Answers::Json, true, hold_then_answer).await;
    let rig = Rig::open(config(server.url())).await;
    let asked = rig.connection.send(permit(), call(7, "hang"));
    let closed = async {
        server.http().until(|r| r.mcp_method() == "tools/call").await;
        rig.connection.close().await;
        rig.connection.close().await;
    };
    let (asked, ()) = tokio::join!(asked, closed);
    failed(&asked.err().unwrap(), ErrorKind::UpstreamError, "closed");
    failed(&rig.failure(call(8, "late")).await, ErrorKind::UpstreamError, "closed");
    let deleted = server.http().so_far().iter().filter(|r| r.method == "DELETE").count();
    assert_eq!(deleted, 1);
}

#[tokio::test]
async fn answers_over_the_limit_are_refused() {
    let big =
        |request: &Message| vec![Step::Send(answer(request).replace("echo", &"x".repeat(4096)))];
    for answers in [Answers::Json, Answers::Events] {
        let server = McpServer::start(answers, false, big).await;
        let small = Config { max_message_bytes: 2048, ..config(server.url()) };
        let rig = Rig::open(small).await;
        failed(
            &rig.failure(call(1, "echo")).await,
            ErrorKind::UpstreamError,
            "over 2048 bytes (`upstream.max_message_bytes`)",
        );
        let rig = Rig::open(config(server.url())).await;
        said(&rig.ask(call(1, "echo")).await, "xxx");
    }
}

#[tokio::test]
async fn an_event_that_never_ends_is_refused_before_it_does() {
    let server = FakeServer::start(|_| async {
        let (events, response) = event_stream();
        tokio::spawn(async move {
            for _ in 0..64 {
                events.raw(&"x".repeat(1024)).await;
            }
            events.closed().await;
        });
        response
    })
    .await;
    let rig = Rig::new(Config { max_message_bytes: 2048, ..config(server.url("/mcp")) });
    failed(
        &rig.failure(call(1, "echo")).await,
        ErrorKind::UpstreamError,
        "over 2048 bytes (`upstream.max_message_bytes`)",
    );
}

#[tokio::test]
async fn at_most_max_open_requests_wait_at_once() {
    let server = McpServer::start(Answers::Events, false, hold_then_answer).await;
    let mut config = Config { timeout: TIMEOUT, ..config(server.url()) };
    config.connection_pool.max_open = 1;
    let rig = Rig::open(config).await;
    let other = Rig {
        connection: rig.server.connect(Arc::new(Collected(mpsc::channel(1).0)), Party::One),
        ..rig
    };
    let first = other.stream(call(1, "first")).await;
    let failure = other.expire(call(2, "second"), async {}).await;
    failed(&failure, ErrorKind::Overloaded, "max_open");
    drop(first);
    drop(other.stream(call(3, "third")).await);
}

#[tokio::test]
async fn streamed_answers_leave_their_connections_usable() {
    let server = McpServer::obliging(Answers::Events, false).await;
    let rig = Rig::open(config(server.url())).await;
    for id in 0..20 {
        rig.ask(call(id, "echo")).await;
    }
    assert!(server.http().connections() < 20, "{}", server.http().connections());
}

async fn connections(change: impl FnOnce(&mut Config)) -> usize {
    let server = FakeServer::start(|request| async move {
        response(200, "application/json", answer(&request.message().unwrap()))
    })
    .await;
    let mut config = config(server.url("/mcp"));
    change(&mut config);
    let rig = Rig::new(config);
    for id in 0..20 {
        rig.ask(call(id, "echo")).await;
    }
    server.connections()
}

#[tokio::test]
async fn connections_are_kept_as_configured() {
    assert!(connections(|_| {}).await < 20);
    assert_eq!(connections(|config| config.connection_pool.max_idle = 0).await, 20);
    let at_once = Span::from(Duration::from_nanos(1));
    assert_eq!(connections(|config| config.connection_pool.idle_timeout = at_once).await, 20);
    assert_eq!(connections(|config| config.connection_pool.idle_timeout = Span::secs(0)).await, 20);
}
