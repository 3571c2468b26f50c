//! What one message costs inside the gateway, step by step: time by criterion, and the allocations
//! of one iteration beside it. Run with `cargo bench -p benches`.
//!
//! Times include the counting of allocations (a few ns for each) and the system's allocator.
//! A new step is one function that ends in [`step`], named in [`main`].
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a report, not part of the gateway")]

use std::alloc::System;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use criterion::Criterion;
use domain::{Agent, Clock, Identity, Mode, Policy, Recorder, SystemClock, Transport};
use futures_util::FutureExt;
use observability::Metrics;
use policy::{CacheConfig, PolicyEngine, Sources};
use protocol::Message;
use router::{Caller, Options, Ports, Reply, ReplyBody, Router, Ticket};
use session::{Keys, Session, Sessions};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use testkit::ports::{ScriptedUpstream, result};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parse(&mut criterion);
    route(&mut criterion, "route, cached decision", Rules::OneDeny, true);
    route(&mut criterion, "route, shipped policy", Rules::Shipped, true);
    route(&mut criterion, "route, shipped policy, cache off", Rules::Shipped, false);
    record(&mut criterion);
    criterion.final_summary();
}

fn parse(criterion: &mut Criterion) {
    let message = call(300);
    step(criterion, "parse tools/call 300 B", || {
        Message::parse(message.clone()).expect("the message is valid")
    });
}

/// The policies to route under.
#[derive(Clone, Copy)]
enum Rules {
    /// One rule about the name of the tool.
    OneDeny,
    /// What the gateway ships with.
    Shipped,
}

/// The whole path of a permitted call but for I/O: parse, identify, decide, permit, answer, event.
fn route(criterion: &mut Criterion, name: &str, rules: Rules, cached: bool) {
    let router = router(policy(rules, cached), Arc::new(audit::Disabled));
    let session = open(&router);
    let message = call(300);
    step(criterion, name, || send(&router, &session, message.clone()));
}

/// The same with rows written to a real log, at the pace of its writer.
fn record(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config =
        audit::Config { db_path: folder.path().join("audit.db"), ..audit::Config::default() };
    let log = Arc::new(audit::AuditLog::open(&config, clock()).expect("the log opens"));
    let router = router(policy(Rules::OneDeny, true), Arc::clone(&log) as Arc<dyn Recorder>);
    let session = open(&router);
    let message = call(300);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    step(criterion, "route and record, sustained", || {
        runtime.block_on(path(&router, &session, message.clone()))
    });
    log.shutdown();
}

/// A session after its handshake.
fn open(router: &Arc<Router>) -> Arc<Session> {
    let session = router.open(&caller()).expect("there is room");
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
    send(router, &session, Bytes::from_static(initialize.as_bytes()));
    session
}

/// Takes a call down the path and back, which never waits: every port answers at once.
fn send(router: &Arc<Router>, session: &Arc<Session>, body: Bytes) -> Reply {
    path(router, session, body).now_or_never().expect("nothing waits")
}

async fn path(router: &Arc<Router>, session: &Arc<Session>, body: Bytes) -> Reply {
    let ticket = Ticket::Session(Arc::clone(session));
    let received = router.receive(body, caller(), ticket).await;
    let reply = match received {
        Ok(received) => router.handle(received).await,
        Err(reply) => reply,
    };
    assert!(matches!(reply.body, ReplyBody::Json(_)) && reply.status == 200, "the call passes");
    reply
}

fn router(policy: Arc<dyn Policy>, recorder: Arc<dyn Recorder>) -> Arc<Router> {
    let upstream = ScriptedUpstream::new(|message, _| {
        Box::pin(async move {
            if message.method() == Some(protocol::Method::Initialize) {
                let opened = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"scripted","version":"1"}}"#;
                return Ok(result(&message, opened));
            }
            Ok(result(&message, r#"{"content":[{"type":"text","text":"hello"}],"isError":false}"#))
        })
    });
    let metrics = Arc::new(Metrics::new("scripted").expect("the metrics register"));
    let ports = Ports { policy, upstream, recorder, metrics, clock: clock() };
    let options = Options {
        mode: Mode::Enforce,
        agent: Arc::new(Agent { capabilities: vec!["*".into()], ..Agent::default() }),
        identity: Arc::new(Identity::configured()),
        environment: "".into(),
        capture_arguments: false,
        capture_responses: false,
    };
    let config = session::Config::default();
    let keys = Keys::load(&config).expect("a random key");
    Router::new(ports, options, Sessions::new(config, clock(), keys))
}

fn policy(rules: Rules, cached: bool) -> Arc<dyn Policy> {
    let sources = match rules {
        Rules::OneDeny => Sources::from_texts(&[(
            "one.rego",
            "package mcp.policy\ndeny contains \"no\" if input.tool == \"rm\"\n",
        )]),
        Rules::Shipped => Sources::embedded(),
    };
    let mut sources = sources.expect("the policies load");
    if matches!(rules, Rules::Shipped) {
        let data = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/bench_limit.yaml"));
        sources = sources.with_data_file(&data).expect("the data loads");
    }
    let config = policy::Config {
        cache: CacheConfig { enabled: cached, ..CacheConfig::default() },
        ..policy::Config::default()
    };
    Arc::new(PolicyEngine::new(&sources, &config).expect("the policies compile"))
}

fn caller() -> Caller {
    let source_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Caller { transport: Transport::Sse, source_ip, user_agent: None }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// A `tools/call` of exactly `size` bytes.
fn call(size: usize) -> Bytes {
    let head = r#"{"jsonrpc":"2.0","id":1042,"method":"tools/call","params":{"_meta":{"progressToken":1042},"name":"read_file","arguments":{"path":"/srv/projects/report/2026/q3.md","encoding":"utf-8","text":""#;
    let tail = r#""}}}"#;
    let filling = size.checked_sub(head.len() + tail.len()).expect("room for the envelope");
    format!("{head}{}{tail}", "x".repeat(filling)).into()
}

/// Reports the time of `run`, and what one run of it allocates, its result included.
fn step<R>(criterion: &mut Criterion, name: &str, mut run: impl FnMut() -> R) {
    criterion.bench_function(name, |bencher| bencher.iter(&mut run));
    drop(black_box(run()));
    let region = Region::new(ALLOCATOR);
    drop(black_box(run()));
    let change = region.change();
    println!(
        "{name}: {} allocations, {} reallocations, {} bytes\n",
        change.allocations, change.reallocations, change.bytes_allocated
    );
}
