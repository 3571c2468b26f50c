//! The port itself, over loopback.

use domain::Span;
use testkit::ports::{ScriptedUpstream, result};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::fixture::{CALL, Client, Gateway, INITIALIZE, USUAL, bare, in_session, post, within};

struct Running {
    gateway: Gateway,
    address: SocketAddr,
    done: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(mut config: Config, upstream: Arc<ScriptedUpstream>) -> Self {
        config.listen.port = 0;
        let gateway = Gateway::new(&config, upstream);
        let listener = Listener::bind(&config).await.unwrap();
        let address = listener.local_addr();
        let done = tokio::spawn(listener.serve(gateway.app.clone(), gateway.shutdown.clone()));
        Self { gateway, address, done }
    }

    async fn connect(&self) -> Client<TcpStream> {
        Client::over(TcpStream::connect(self.address).await.unwrap())
    }
}

#[tokio::test]
async fn it_serves_and_stops() {
    let running = Running::start(Config::default(), ScriptedUpstream::obliging()).await;
    let mut client = running.connect().await;
    assert_eq!(client.ask(&post(USUAL, INITIALIZE)).await.status, 200);
    assert_eq!(running.gateway.row().await.source_ip.unwrap().to_string(), "127.0.0.1");
    running.gateway.shutdown.cancel();
    within(running.done).await.unwrap().unwrap();
    assert!(client.is_closed().await);
    assert!(TcpStream::connect(running.address).await.is_err(), "the port is free");
}

#[tokio::test]
async fn calls_that_are_cut_are_not_waited_for() {
    let upstream = ScriptedUpstream::new(|_, _| Box::pin(std::future::pending()));
    let config = Config { graceful_shutdown: Span::secs(3600), ..Config::default() };
    let running = Running::start(config, upstream).await;
    let mut caller = running.connect().await;
    let answer = caller.ask(&post(USUAL, INITIALIZE)).await;
    let id = answer.header("mcp-session-id").unwrap().to_owned();
    caller.send(&post(&in_session(&id), CALL)).await;
    let session = running.gateway.find(&id).unwrap();
    within(async {
        while session.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.gateway.shutdown.cancel();
    running.gateway.app.cut();
    within(running.done).await.unwrap().unwrap();
    let rows = running.gateway.recorder.events();
    assert_eq!(rows[1].error_kind, Some(domain::ErrorKind::Abandoned));
}

#[test]
fn an_address_for_others_wants_names() {
    let check = |address: &str, names: &[&str], wanted: bool| {
        let allowed_hosts = names.iter().map(|&name| name.to_owned()).collect();
        let security = Security { allowed_hosts, ..Security::default() };
        assert_eq!(is_known_by_no_name(address.parse().unwrap(), &security), wanted, "{address}");
    };
    check("127.0.0.1:3000", &[], false);
    check("[::1]:3000", &[], false);
    check("[::ffff:127.0.0.1]:3000", &[], false);
    check("0.0.0.0:3000", &[], true);
    check("[::]:3000", &[], true);
    check("192.0.2.1:3000", &[], true);
    check("0.0.0.0:3000", &["mcp.example"], false);
}

#[tokio::test]
async fn shutting_down_waits_for_calls_and_ends_streams() {
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let upstream = ScriptedUpstream::new(move |message, _| {
        let released = released.lock().unwrap().take().unwrap();
        Box::pin(async move {
            released.await.unwrap();
            Ok(result(&message, "{}"))
        })
    });
    let running = Running::start(Config::default(), upstream).await;
    let mut caller = running.connect().await;
    let answer = caller.ask(&post(USUAL, INITIALIZE)).await;
    let id = answer.header("mcp-session-id").unwrap().to_owned();
    let mut listener = running.connect().await;
    let headers = format!("Accept: text/event-stream\r\nMcp-Session-Id: {id}\r\n");
    listener.send(&bare("GET /mcp", &headers)).await;
    within(listener.head()).await;
    caller.send(&post(&in_session(&id), CALL)).await;
    // The server holds the call once its connection was made and the request counted.
    let session = running.gateway.find(&id).unwrap();
    within(async {
        while session.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    running.gateway.shutdown.cancel();
    within(listener.rest()).await;
    assert!(!running.done.is_finished(), "the call is waited for");
    release.send(()).unwrap();
    assert_eq!(within(caller.answer()).await.status, 200);
    within(running.done).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off_and_recorded() {
    let upstream = ScriptedUpstream::new(|_, _| Box::pin(std::future::pending()));
    let config = Config { graceful_shutdown: Span::millis(50), ..Config::default() };
    let running = Running::start(config, upstream).await;
    let mut caller = running.connect().await;
    let answer = caller.ask(&post(USUAL, INITIALIZE)).await;
    let id = answer.header("mcp-session-id").unwrap().to_owned();
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(caller.ask(&post(&in_session(&id), note)).await.status, 202);
    running.gateway.shutdown.cancel();
    within(running.done).await.unwrap().unwrap();
    let rows = running.gateway.recorder.events();
    assert_eq!(rows[1].error_kind, Some(domain::ErrorKind::Abandoned));
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let config = Config { max_connections: 2, ..Config::default() };
    let running = Running::start(config, ScriptedUpstream::obliging()).await;
    let mut regular = vec![running.connect().await, running.connect().await];
    for client in &mut regular {
        assert_eq!(client.ask(&bare("OPTIONS /mcp", "")).await.status, 204);
    }
    let mut late = running.connect().await;
    let answer = late.ask(&post(USUAL, INITIALIZE)).await;
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.body.contains("server.max_connections"), "{}", answer.body);
    assert!(late.is_closed().await);
    assert_eq!(running.gateway.row().await.error_kind, Some(domain::ErrorKind::Overloaded));

    drop(regular.pop());
    within(async {
        while running.connect().await.ask(&bare("OPTIONS /mcp", "")).await.status != 204 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_still_sends_reads_why_it_was_refused() {
    let mut config = Config::default();
    config.limits.max_body_bytes = 1000;
    let running = Running::start(config, ScriptedUpstream::obliging()).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (reading, mut writing) = stream.into_split();
    let sending = tokio::spawn(async move {
        let body = " ".repeat(8 << 20);
        // The gateway may close before all is sent.
        drop(
            tokio::io::AsyncWriteExt::write_all(&mut writing, post(USUAL, &body).as_bytes()).await,
        );
    });
    let mut client = Client::over(tokio::io::join(reading, tokio::io::sink()));
    assert_eq!(within(client.answer()).await.status, 413);
    within(sending).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_had_is_said_with_key_and_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::default();
    config.listen.port = taken.local_addr().unwrap().port();
    let error = Listener::bind(&config).await.err().unwrap().to_string();
    let start = format!("cannot listen on `127.0.0.1:{}`: ", config.listen.port);
    assert!(error.starts_with(&start) && error.contains("`server.listen.port`"), "{error}");

    config.listen.address = "192.0.2.1".into();
    let error = Listener::bind(&config).await.err().unwrap().to_string();
    assert!(error.contains("`server.listen.address`"), "{error}");

    config.max_connections = 0;
    let error = Listener::bind(&config).await.err().unwrap().to_string();
    assert!(error.starts_with("`server.max_connections`"), "{error}");
}

#[tokio::test]
async fn ipv6_addresses_are_taken_with_and_without_brackets() {
    for address in ["::1", "[::1]"] {
        let mut config = Config::default();
        config.listen.address = address.into();
        config.listen.port = 0;
        assert!(Listener::bind(&config).await.unwrap().local_addr().is_ipv6());
    }
}

#[test]
fn accepting_rests_only_when_the_machine_is_short_of_something() {
    for (error, rests) in [
        (io::ErrorKind::ConnectionAborted.into(), false),
        (io::ErrorKind::ConnectionReset.into(), false),
        (io::Error::from_raw_os_error(24), true),
        (io::Error::from_raw_os_error(23), true),
        (io::Error::from_raw_os_error(12), true),
    ] {
        assert_eq!(rest_after(&error).is_some(), rests, "{error}");
    }
}
