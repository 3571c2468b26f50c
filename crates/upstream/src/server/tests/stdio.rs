use super::*;
use std::io::Write;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// The configuration of the fake server, a Python script.
fn python() -> Config {
    let script = include_str!("server.py");
    let mut config = Config {
        command: ["python3", "-c", script, "one two", "$HOME;`id`"].map(str::to_owned).to_vec(),
        timeout: PATIENCE.into(),
        ..Config::default()
    };
    config.retry.initial_delay = Span::millis(1);
    config
}

fn with_env(mut config: Config, name: &str, value: impl ToString) -> Config {
    config.env.insert(name.to_owned(), domain::Secret::new(value.to_string()));
    config
}

/// The child's connection to the test: it ends when every process that holds it has.
struct Life(TcpListener);

impl Life {
    async fn new(config: Config) -> (Self, Config) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (Self(listener), with_env(config, "LIFE", port))
    }

    async fn begins(&self) -> TcpStream {
        timeout(PATIENCE, self.0.accept()).await.expect("the child starts").unwrap().0
    }
}

async fn over(mut life: TcpStream) {
    let mut byte = [0];
    let read = timeout(PATIENCE, life.read(&mut byte)).await.expect("every process ends");
    assert!(matches!(read, Ok(0) | Err(_)), "the child says nothing here");
}

fn text(answer: &Message) -> String {
    let result: serde_json::Value = serde_json::from_str(answer.result().unwrap()).unwrap();
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_is_a_child_of_its_own() {
    let rig = Rig::open(python()).await;
    said(
        &rig.ask(message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)).await,
        "tools/list",
    );
    said(&rig.ask(call(2, "echo")).await, "echo");
    let pid = text(&rig.ask(call(3, "pid")).await);
    let (sender, inbox) = mpsc::channel(8);
    let connection = rig.server.connect(Arc::new(Collected(sender)), Party::One);
    let other = Rig { server: Arc::clone(&rig.server), connection, inbox };
    other.initialize().await;
    assert_ne!(text(&other.ask(call(3, "pid")).await), pid);
    let view = rig.server.view();
    assert_eq!((view.name, view.transport, view.url), ("default", "stdio", None));
}

#[tokio::test]
async fn nothing_starts_before_the_first_message() {
    let starts = tempfile::NamedTempFile::new().unwrap();
    let rig = Rig::new(with_env(python(), "STARTS", starts.path().display()));
    rig.connection.close().await;
    assert_eq!(std::fs::read_to_string(starts.path()).unwrap(), "");
}

#[tokio::test]
async fn pretty_printed_messages_become_one_line() {
    let rig = Rig::open(python()).await;
    let pretty = "{\r\n  \"jsonrpc\": \"2.0\",\n  \"id\": 4,\n  \"method\": \"tools/call\",\n  \"params\": {\"name\": \"a\\nb\"}\n}\n";
    said(&rig.ask(message(pretty)).await, r"a\nb");
}

#[tokio::test]
async fn the_environment_is_only_what_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = with_env(python(), "API_KEY", "k");
    config.env_allow = vec!["PATH".to_owned(), "SHARED".to_owned()];
    config.cwd = Some(directory.path().to_owned());
    let gateway = std::env::vars()
        .chain([("SHARED".to_owned(), "yes".to_owned()), ("SECRET".to_owned(), "no".to_owned())]);
    let server = UpstreamServer::new(config, gateway, Arc::new(SystemClock)).unwrap();
    let (sender, inbox) = mpsc::channel(8);
    let connection = server.connect(Arc::new(Collected(sender)), Party::One);
    let rig = Rig { server: Arc::new(server), connection, inbox };
    rig.initialize().await;
    let seen: serde_json::Value =
        serde_json::from_str(&text(&rig.ask(call(1, "env")).await)).unwrap();
    assert_eq!(seen["env"]["SHARED"], "yes");
    assert_eq!(seen["env"]["API_KEY"], "k");
    assert!(seen["env"].get("SECRET").is_none());
    assert!(seen["env"].get("HOME").is_none());
    // No shell: arguments arrive as they were written.
    assert_eq!(seen["argv"], serde_json::json!(["-c", "one two", "$HOME;`id`"]));
    let cwd = std::fs::canonicalize(directory.path()).unwrap();
    assert_eq!(seen["cwd"], cwd.to_str().unwrap());
}

#[tokio::test]
async fn close_ends_and_reaps_the_child_and_its_children() {
    let (life, config) = Life::new(python()).await;
    let rig = Rig::open(config).await;
    let connected = life.begins().await;
    rig.ask(call(1, "grandchild")).await;
    let pid = text(&rig.ask(call(2, "pid")).await).parse().unwrap();
    rig.connection.close().await;
    let gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
    assert_eq!(gone, Err(nix::errno::Errno::ESRCH), "no zombie");
    assert_eq!(rig.server.health(), domain::Health::Up, "a session's end is no failure");
    over(connected).await;
}

#[tokio::test]
async fn what_has_left_the_group_ends_with_the_child() {
    let (life, config) = Life::new(python()).await;
    let rig = Rig::open(config).await;
    let connected = life.begins().await;
    said(&rig.ask(call(1, "daemon")).await, "started");
    assert_eq!(rig.server.children(), 1);
    rig.connection.close().await;
    assert_eq!(rig.server.children(), 0);
    over(connected).await;
    // The same for a child that ends on its own.
    let rig = Rig::open(rig.server.shared.config().clone()).await;
    let connected = life.begins().await;
    said(&rig.ask(call(1, "daemon")).await, "started");
    failed(&rig.failure(call(2, "exit")).await, ErrorKind::UpstreamError, "exit status: 3");
    over(connected).await;
}

#[tokio::test]
async fn a_child_that_ignores_the_end_is_killed() {
    let (life, config) = Life::new(python()).await;
    let rig = Rig::open(config).await;
    let connected = life.begins().await;
    said(&rig.ask(call(1, "stubborn")).await, "stubborn");
    rig.connection.close().await;
    over(connected).await;
}

#[tokio::test]
async fn dropping_the_session_ends_the_child() {
    let (life, config) = Life::new(python()).await;
    let rig = Rig::open(config).await;
    let connected = life.begins().await;
    rig.ask(call(1, "grandchild")).await;
    drop(rig);
    over(connected).await;
}

#[test]
fn the_end_of_the_runtime_ends_the_child() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (rig, connected) = runtime.block_on(async {
        let (life, config) = Life::new(python()).await;
        let rig = Rig::open(config).await;
        rig.ask(call(1, "grandchild")).await;
        (rig, life.begins().await.into_std().unwrap())
    });
    drop(runtime);
    let next = tokio::runtime::Runtime::new().unwrap();
    next.block_on(async { over(TcpStream::from_std(connected).unwrap()).await });
    drop(rig);
}

#[tokio::test]
async fn a_child_that_never_wrote_points_at_its_environment() {
    let (life, mut config) = Life::new(Config { timeout: TIMEOUT, ..python() }).await;
    let script = "import os, socket, time\n\
                  life = socket.create_connection(('127.0.0.1', int(os.environ['LIFE'])))\n\
                  time.sleep(1000)";
    config.command = ["python3", "-c", script].map(str::to_owned).to_vec();
    let rig = Rig::new(config);
    let failure = rig.expire(message(INITIALIZE), life.begins()).await;
    failed(&failure, ErrorKind::UpstreamTimeout, "`upstream.env_allow`");
    assert!(!failure.message.contains("env_allow"), "{failure:?}");
}

#[tokio::test]
async fn proxies_and_certificates_are_inherited_by_default() {
    let named = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "HTTPS_PROXY", "no_proxy"];
    let path = std::env::vars().filter(|(name, _)| name == "PATH");
    let gateway = named.map(|name| (name.to_owned(), "v".to_owned())).into_iter().chain(path);
    let server = UpstreamServer::new(python(), gateway, Arc::new(SystemClock)).unwrap();
    let (sender, inbox) = mpsc::channel(8);
    let connection = server.connect(Arc::new(Collected(sender)), Party::One);
    let rig = Rig { server: Arc::new(server), connection, inbox };
    rig.initialize().await;
    let seen: serde_json::Value =
        serde_json::from_str(&text(&rig.ask(call(1, "env")).await)).unwrap();
    for name in named {
        assert_eq!(seen["env"][name], "v", "{name}");
    }
}

#[tokio::test]
async fn a_child_that_ends_fails_its_requests_and_comes_back() {
    let starts = tempfile::NamedTempFile::new().unwrap();
    let rig = Rig::open(with_env(python(), "STARTS", starts.path().display())).await;
    let log = Log::default();
    let logging = log.listen();
    let (hanging, exit) = tokio::join!(rig.failure(call(1, "hang")), rig.failure(call(2, "exit")));
    for failure in [hanging, exit] {
        assert!(!failure.unsent, "{failure:?}");
        failed(&failure, ErrorKind::UpstreamError, "exit status: 3");
    }
    drop(logging);
    let ended = log.lines().into_iter().find(|line| line.contains("ended unexpectedly"));
    let ended = ended.expect("the end is logged");
    assert!(ended.starts_with("WARN") && ended.contains("exit status: 3"), "{ended}");
    assert_eq!(
        rig.server.health(),
        domain::Health::Up,
        "other sessions have children of their own"
    );
    // The next one is brought to where the last one was.
    let greeted = text(&rig.ask(call(3, "greeted")).await);
    assert_eq!(greeted, r#"["initialize", "notifications/initialized"]"#);
    assert_eq!(std::fs::read_to_string(starts.path()).unwrap().lines().count(), 2);
    said(&rig.ask(call(1, "echo")).await, "echo");
}

#[tokio::test]
async fn what_was_said_before_the_end_counts() {
    let rig = Rig::open(python()).await;
    said(&rig.ask(call(1, "answer and exit")).await, "last words");
}

#[tokio::test]
async fn a_child_without_output_is_ended() {
    let (life, config) = Life::new(python()).await;
    let rig = Rig::open(config).await;
    let connected = life.begins().await;
    failed(&rig.failure(call(1, "close output")).await, ErrorKind::UpstreamError, "ended");
    over(connected).await;
}

#[tokio::test]
async fn a_program_that_ends_at_once_is_started_as_often_as_configured() {
    let starts = tempfile::NamedTempFile::new().unwrap();
    let mut config = with_env(python(), "STARTS", starts.path().display());
    let line = "echo started >> $STARTS; exit 9";
    config.command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    let rig = Rig::new(config);
    let failure = rig.failure(message(INITIALIZE)).await;
    failed(&failure, ErrorKind::UpstreamError, "exit status: 9");
    assert_eq!(std::fs::read_to_string(starts.path()).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn a_greeting_that_is_given_up_is_begun_again() {
    let starts = tempfile::NamedTempFile::new().unwrap();
    let config = with_env(python(), "STARTS", starts.path().display());
    let (life, config) = Life::new(with_env(config, "SLOW_SECOND", 1)).await;
    let rig = Rig::open(Config { timeout: TIMEOUT, ..config }).await;
    life.begins().await;
    failed(&rig.failure(call(1, "exit")).await, ErrorKind::UpstreamError, "exit status: 3");
    let failure = rig.expire(call(2, "echo"), life.begins()).await;
    failed(&failure, ErrorKind::UpstreamTimeout, "in time");
    let greeted = text(&rig.ask(call(3, "greeted")).await);
    assert_eq!(greeted, r#"["initialize", "notifications/initialized"]"#);
}

async fn start_failing(
    times: usize,
    change: impl FnOnce(&mut Config),
) -> (usize, Result<(), Failure>) {
    let starts = tempfile::NamedTempFile::new().unwrap();
    let config = with_env(python(), "STARTS", starts.path().display());
    let mut config = with_env(config, "FAIL_UNTIL", times);
    change(&mut config);
    let rig = Rig::new(config);
    let outcome = rig.pieces(message(INITIALIZE)).await.pop().unwrap().map(drop);
    (std::fs::read_to_string(starts.path()).unwrap().lines().count(), outcome)
}

#[tokio::test]
async fn a_child_that_fails_at_its_start_is_started_again() {
    let (started, outcome) = start_failing(2, |_| {}).await;
    assert_eq!((started, outcome.is_ok()), (3, true));
    let (started, outcome) = start_failing(9, |config| config.retry.max_attempts = 2).await;
    assert_eq!(started, 2);
    failed(&outcome.unwrap_err(), ErrorKind::UpstreamError, "exit status: 7");
    let (started, outcome) = start_failing(9, |config| config.retry.enabled = false).await;
    assert_eq!((started, outcome.is_err()), (1, true));
}

#[tokio::test]
async fn a_line_that_is_too_long_is_skipped_and_counted() {
    let rig = Rig::open(Config { max_message_bytes: 4096, ..python() }).await;
    said(&rig.ask(call(1, "big")).await, "after the big line");
    assert_eq!(rig.server.protocol_errors(), 1);
}

#[tokio::test]
async fn an_endless_line_is_one_error_and_no_more() {
    let rig = Rig::open(python()).await;
    said(&rig.ask(call(1, "endless")).await, "after the endless line");
    assert_eq!(rig.server.protocol_errors(), 1);
}

#[tokio::test]
async fn garbage_is_dropped_and_counted() {
    let rig = Rig::open(python()).await;
    said(&rig.ask(call(1, "garbage")).await, "after garbage");
    assert_eq!(rig.server.protocol_errors(), 4);
}

#[tokio::test]
async fn answers_to_nobody_are_dropped_and_counted() {
    let mut rig = Rig::open(python()).await;
    said(&rig.ask(call(1, "twice")).await, "first");
    said(&rig.ask(call(2, "echo")).await, "echo");
    assert_eq!(rig.server.protocol_errors(), 3);
    assert!(rig.inbox.try_recv().is_err());
}

#[tokio::test]
async fn a_flood_on_standard_error_stops_nothing() {
    let rig = Rig::open(python()).await;
    let log = Log::default();
    let logging = log.listen();
    said(&rig.ask(call(1, "noise")).await, "after noise");
    drop(logging);
    let logged = log.lines().iter().filter(|line| line.contains("stderr of the server")).count();
    // 10,001 lines were written; so many a second are logged.
    assert!((1..=1000).contains(&logged), "{logged}");
}

#[tokio::test]
async fn progress_belongs_to_its_request() {
    let mut rig = Rig::open(python()).await;
    let pieces = rig.pieces(call_with_progress(1, "progress")).await;
    let pieces: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[0].progress_token(), Some(r#""t""#));
    said(&pieces[2], "done");
    assert!(rig.inbox.try_recv().is_err());
    let direct = rig.send(call_with_progress(2, "echo")).await.unwrap();
    assert!(matches!(direct, Answer::Message(_)), "no progress, no stream");
}

#[tokio::test]
async fn requests_of_the_server_come_through_the_inbox() {
    let mut rig = Rig::open(python()).await;
    let connection = Arc::clone(&rig.connection);
    let asked = tokio::spawn(async move {
        match connection.send(permit(), call(1, "ask")).await.unwrap() {
            Answer::Message(message) => message,
            Answer::Accepted | Answer::Stream(_) => panic!("not one message"),
        }
    });
    let request = rig.delivered().await;
    assert_eq!((request.kind(), request.id()), (Kind::Request, Some(r#""s1""#)));
    rig.connection.refuse(&request, &Failure::new(ErrorKind::PolicyDenied, "denied")).await;
    said(&timeout(PATIENCE, asked).await.unwrap().unwrap(), "-31001");
}

#[tokio::test]
async fn a_request_without_an_answer_times_out_and_is_cancelled() {
    let rig = Rig::open(Config { timeout: TIMEOUT, ..python() }).await;
    let failure = rig.expire(call(7, "hang"), async {}).await;
    failed(&failure, ErrorKind::UpstreamTimeout, "in time");
    assert!(!failure.detail.contains("env_allow"), "it has said something: {failure}");
    let told = async {
        while !text(&rig.ask(call(7, "greeted")).await).contains("notifications/cancelled") {}
    };
    timeout(PATIENCE, told).await.expect("the child is told");
}

#[tokio::test]
async fn programs_that_cannot_be_started_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    std::fs::File::create(&plain).unwrap().write_all(b"text").unwrap();
    let plain = plain.to_str().unwrap().to_owned();
    for (program, expected) in
        [("no-such-program", "not found on PATH"), (&plain, "can be executed")]
    {
        let rig = Rig::new(Config { command: vec![program.to_owned()], ..python() });
        rig.server.check().await;
        assert!(matches!(rig.server.health(), domain::Health::Down(why) if why.contains(expected)));
        let failure = rig.failure(message(INITIALIZE)).await;
        failed(&failure, ErrorKind::UpstreamError, expected);
        assert!(failure.unsent, "{failure:?}");
    }
    let relative = Config { command: vec!["./server".to_owned()], ..python() };
    let refused = UpstreamServer::new(relative, [], Arc::new(SystemClock)).err().unwrap();
    assert!(refused.to_string().contains("`upstream.command`"), "{refused}");
    let rig = Rig::new(python());
    rig.server.check().await;
    assert_eq!(rig.server.health(), domain::Health::Up);
}
