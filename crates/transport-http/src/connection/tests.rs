//! Clients that are slow, silent or do not speak HTTP. The clock is paused: it advances when everyone waits.

use std::time::Duration;

use domain::{ErrorKind, Span};
use testkit::ports::{ScriptedUpstream, result};
use tokio::time::{Instant, sleep};

use crate::Config;
use crate::fixture::{CALL, Client, Gateway, INITIALIZE, USUAL, bare, in_session, post, within};

fn gateway(config: &Config) -> Gateway {
    Gateway::new(config, ScriptedUpstream::obliging())
}

/// Times that differ from each other and from the defaults.
fn times() -> Config {
    Config {
        header_timeout: Span::secs(7),
        read_timeout: Span::secs(11),
        idle_timeout: Span::secs(70),
        write_timeout: Span::secs(13),
        ..Config::default()
    }
}

/// Sends byte after byte, one a second, until the gateway closes; returns how long that took.
async fn drip<S>(client: &mut Client<S>, text: &str) -> Duration
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let start = Instant::now();
    for byte in text.chars() {
        if !client.try_send(&byte.to_string()).await {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn headers_must_come_in_time() {
    let gateway = gateway(&times());
    let mut client = gateway.connect();
    let took = drip(&mut client, &bare("GET /mcp", "")).await;
    assert!((7..=9).contains(&took.as_secs()), "{took:?}");
    assert!(client.is_closed().await);
    let row = gateway.row().await;
    assert_eq!(row.error_kind, Some(ErrorKind::BadTransport));
    assert!(row.error.unwrap().contains("server.header_timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_must_not_begin_with_silence() {
    let gateway = gateway(&times());
    let start = Instant::now();
    assert!(gateway.connect().is_closed().await);
    assert_eq!(start.elapsed().as_secs(), 7);
    assert!(gateway.recorder.events().is_empty(), "nothing was asked");
}

#[tokio::test(start_paused = true)]
async fn bodies_must_come_in_time() {
    let gateway = gateway(&times());
    let mut client = gateway.connect();
    let request = post(USUAL, INITIALIZE);
    let (start, rest) = request.split_at(request.find("\r\n\r\n").unwrap() + 5);
    client.send(start).await;
    let from = Instant::now();
    for byte in rest.chars().take(10) {
        client.send(&byte.to_string()).await;
        sleep(Duration::from_secs(1)).await;
    }
    let answer = within(client.answer()).await;
    assert_eq!(answer.status, 408);
    assert_eq!(from.elapsed().as_secs(), 11);
    assert!(answer.body.contains("server.read_timeout"), "{}", answer.body);
    let row = gateway.row().await;
    assert_eq!(row.error_kind, Some(ErrorKind::BadTransport));
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_idle_for_longer_than_headers_may_take() {
    let gateway = gateway(&times());
    let (mut client, id) = gateway.session().await;
    for _ in 0..3 {
        sleep(Duration::from_secs(60)).await;
        assert_eq!(client.ask(&post(&in_session(&id), CALL)).await.status, 200);
    }
    let start = Instant::now();
    assert!(client.is_closed().await);
    assert_eq!(start.elapsed().as_secs(), 70);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_its_time() {
    let upstream = ScriptedUpstream::new(|message, _| {
        Box::pin(async move {
            sleep(Duration::from_secs(300)).await;
            Ok(result(&message, "{}"))
        })
    });
    let gateway = Gateway::new(&times(), upstream);
    let (mut client, id) = gateway.session().await;
    assert_eq!(client.ask(&post(&in_session(&id), CALL)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_cut_off() {
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000));
    let upstream = ScriptedUpstream::new(move |message, _| {
        let large = large.clone();
        Box::pin(async move { Ok(result(&message, &large)) })
    });
    let gateway = Gateway::new(&times(), upstream);
    let (_client, id) = gateway.session().await;
    let mut slow = gateway.connect_through(4096);
    slow.send(&post(&in_session(&id), CALL)).await;
    within(gateway.recorder.wait_for(2)).await;
    sleep(Duration::from_secs(12)).await;
    // It reads a little: that is progress, and the time starts anew.
    assert_eq!(slow.head().await.status, 200);
    sleep(Duration::from_secs(14)).await;
    assert!(within(slow.rest()).await.len() < 100_000, "the rest of the answer never comes");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_answered_and_recorded() {
    let mut config = Config::default();
    config.limits.max_header_bytes = 2000;
    config.limits.max_headers = 20;
    let long = format!("X: {}\r\n", "x".repeat(2000));
    let many = "X: x\r\n".repeat(20);
    for (request, status, kind) in [
        (bare("GET /mcp", &long), 431, ErrorKind::TooLarge),
        (bare("GET /mcp", &many), 431, ErrorKind::TooLarge),
        (bare("GET /mcp", "X: a\0b\r\n"), 400, ErrorKind::BadTransport),
        (bare("GET /mcp", "X: a\r\n folded\r\n"), 400, ErrorKind::BadTransport),
        (bare("GET /mcp", "X : a\r\n"), 400, ErrorKind::BadTransport),
        (
            bare("GET /mcp", "Content-Length: 1\r\nContent-Length: 2\r\n"),
            400,
            ErrorKind::BadTransport,
        ),
        (bare("GET /mcp", "Content-Length: +1\r\n"), 400, ErrorKind::BadTransport),
        (bare("GET /mcp", "Transfer-Encoding: chunked, x\r\n"), 400, ErrorKind::BadTransport),
        (bare("GET /mcp\t", ""), 400, ErrorKind::BadTransport),
        ("\u{16}\u{3}\u{1}\0\u{1}\r\n\r\n".to_owned(), 400, ErrorKind::BadTransport),
    ] {
        let gateway = gateway(&config);
        let mut client = gateway.connect();
        client.send(&request).await;
        assert_eq!(within(client.answer()).await.status, status, "{request}");
        assert!(client.is_closed().await, "{request}");
        assert_eq!(gateway.row().await.error_kind, Some(kind), "{request}");
    }
    let few = "X: x\r\n".repeat(10);
    let gateway = gateway(&config);
    assert_eq!(gateway.connect().ask(&bare("OPTIONS /mcp", &few)).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn what_every_connection_holds_is_small() {
    let gateway = gateway(&Config::default());
    let (peer, caller) = (gateway.peer(), crate::fixture::caller(domain::Transport::Http));
    // hyper keeps the room for one handler with each connection, a stream that is open included.
    let post = gateway.app.post(&peer, caller, router::HttpTicket::default(), bytes::Bytes::new());
    assert!(size_of_val(&post) <= 2048, "{}", size_of_val(&post));
    let (_client, far) = tokio::io::duplex(1);
    let connection = crate::connection::Speech::from(&Config::default());
    let connection = connection.serve(far, &gateway.app, gateway.peer());
    assert!(size_of_val(&connection) <= 2048, "{}", size_of_val(&connection));
}
