//! The router on ports that answer at once, and a call to route.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use domain::{Agent, Clock, Fixed, Policy, Recorder, SystemClock, Transport};
use futures_util::FutureExt;
use limits::RateLimiter;
use observability::Metrics;
use policy::{CacheConfig, PolicyEngine, Sources};
use router::{Caller, Options, Ports, Reply, ReplyBody, Router, Ticket};
use session::{Keys, Session, Sessions};
use testkit::ports::{ScriptedUpstream, result};

/// A session after its handshake.
pub(crate) fn open(router: &Arc<Router>) -> Arc<Session> {
    let opened = router.open(&caller()).now_or_never().expect("nothing waits");
    let session = opened.map_err(drop).expect("there is room");
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
    send(router, &session, Bytes::from_static(initialize.as_bytes()));
    session
}

/// Takes a call down the path and back, which never waits: every port answers at once.
pub(crate) fn send(router: &Arc<Router>, session: &Arc<Session>, body: Bytes) -> Reply {
    path(router, session, body).now_or_never().expect("nothing waits")
}

pub(crate) async fn path(router: &Arc<Router>, session: &Arc<Session>, body: Bytes) -> Reply {
    let ticket = Ticket::Session(Arc::clone(session));
    let received = router.receive(body, caller(), ticket).await;
    let reply = match received {
        Ok(received) => router.handle(received).await,
        Err(reply) => reply,
    };
    assert!(matches!(reply.body, ReplyBody::Json(_)) && reply.status == 200, "the call passes");
    reply
}

pub(crate) fn router(policy: Arc<dyn Policy>, recorder: Arc<dyn Recorder>) -> Arc<Router> {
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
    let limiter = RateLimiter::new(&limits::Config::default(), clock().monotonic());
    let ports = Ports {
        policy: Arc::new(Fixed(policy)),
        upstream,
        recorder,
        approvals: None,
        limiter: Arc::new(limiter),
        metrics,
        clock: clock(),
    };
    let options = Options {
        agent: Arc::new(Agent { capabilities: vec!["*".into()], ..Agent::default() }),
        ..Options::default()
    };
    let config = session::Config::default();
    let keys = Keys::load(&config).expect("a random key");
    Router::new(ports, options, Sessions::new(config, clock(), keys))
}

/// The policies, with the default cache or none.
pub(crate) fn policy(sources: &Sources, cached: bool) -> Arc<dyn Policy> {
    let config = policy::Config {
        cache: CacheConfig { enabled: cached, ..CacheConfig::default() },
        ..policy::Config::default()
    };
    Arc::new(PolicyEngine::new(sources, &config).expect("the policies compile"))
}

fn caller() -> Caller {
    let source_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Caller { source_ip, ..Caller::over(Transport::Sse) }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// A `tools/call` of exactly `size` bytes.
pub(crate) fn call(size: usize) -> Bytes {
    let head = r#"{"jsonrpc":"2.0","id":1042,"method":"tools/call","params":{"_meta":{"progressToken":1042},"name":"read_file","arguments":{"path":"/srv/projects/report/2026/q3.md","encoding":"utf-8","text":""#;
    let tail = r#""}}}"#;
    let filling = size.checked_sub(head.len() + tail.len()).expect("room for the envelope");
    format!("{head}{}{tail}", "x".repeat(filling)).into()
}
