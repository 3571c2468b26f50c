//! A router over scripted ports.

use std::future::ready;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use domain::{
    Agent, Answer, Approvals, AuditEvent, Clock, Decision, ErrorKind, Failure, Fixed, Identity,
    Inbox, Mode, Policies, PolicyInput, Revision, Span, Stage, Transport, Verdict,
};
use futures_util::StreamExt;
use limits::RateLimiter;
use observability::Metrics;
use protocol::{Message, Method, encode};
use session::{Keys, Session, Sessions};
use testkit::clock::ManualClock;
use testkit::ports::{Scripted, allowed};

use super::ports::{Log, Rules, Script, ScriptedPolicy, Server};
pub(super) use super::ports::{People, Room};
use crate::{Caller, HttpTicket, Options, Ports, Received, Reply, ReplyBody, Router, Ticket};

pub(super) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"probe","version":"7"}}}"#;
pub(super) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
pub(super) const CALL: &str = r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"a.txt"}}}"#;

/// What the server says to `initialize`.
pub(super) const WELCOME: &str =
    r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#;

/// What differs between tests.
pub(super) struct Setup {
    pub(super) mode: Mode,
    pub(super) rules: Rules,
    /// What rules look at besides requests.
    pub(super) examines: &'static [Stage],
    /// How the server is reached.
    pub(super) transport: &'static str,
    pub(super) script: Script,
    pub(super) queue_size: usize,
    pub(super) max_sessions: usize,
    pub(super) capture: bool,
    /// Where the keys of session ids are; what one gateway leaves there, the next finds.
    pub(super) key_file: Option<PathBuf>,
    pub(super) agent: &'static str,
    pub(super) approvals: Option<Arc<dyn Approvals>>,
    /// Policies instead of `rules`.
    pub(super) policies: Option<Arc<dyn Policies>>,
    /// What the configuration says of denials, headers and the like.
    pub(super) options: Options,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            rules: Box::new(|_| allow()),
            examines: &[],
            transport: "stdio",
            script: Box::new(|message, _| obliging(&message)),
            queue_size: 2,
            max_sessions: 8,
            capture: false,
            key_file: None,
            agent: "anonymous",
            approvals: None,
            policies: None,
            options: Options::default(),
        }
    }
}

impl Setup {
    pub(super) fn audit(self) -> Self {
        Self { mode: Mode::Audit, ..self }
    }

    pub(super) fn rules(
        self,
        rules: impl Fn(&PolicyInput<'_>) -> Decision + Send + Sync + 'static,
    ) -> Self {
        Self { rules: Box::new(rules), ..self }
    }

    pub(super) fn examining(self) -> Self {
        Self { examines: &[Stage::Response], ..self }
    }

    pub(super) fn capturing(self) -> Self {
        Self { capture: true, ..self }
    }

    /// Has the server do that with everything but `initialize`.
    pub(super) fn server(
        self,
        script: impl Fn(Message, Arc<dyn Inbox>) -> Scripted + Send + Sync + 'static,
    ) -> Self {
        self.raw_server(move |message, inbox| match message.method() {
            Some(Method::Initialize | Method::Initialized) => obliging(&message),
            _ => script(message, inbox),
        })
    }

    /// Has the server do that with every message.
    pub(super) fn raw_server(
        self,
        script: impl Fn(Message, Arc<dyn Inbox>) -> Scripted + Send + Sync + 'static,
    ) -> Self {
        Self { script: Box::new(script), ..self }
    }

    /// Has the server answer every request with that result.
    pub(super) fn answering(self, result: &'static str) -> Self {
        self.server(move |_, _| now(Answer::Message(response(result))))
    }

    /// Has the server answer every request with those messages as a stream.
    pub(super) fn streaming(self, messages: &'static [&'static str]) -> Self {
        self.server(move |_, _| now(stream_of(messages)))
    }

    pub(super) fn start(self) -> Gateway {
        let clock = ManualClock::new();
        let metrics = Arc::new(Metrics::new("files").unwrap());
        let policy = Arc::new(ScriptedPolicy::new(self.rules, self.examines));
        let server = Arc::new(Server::new(self.transport, self.script));
        let log = Arc::new(Log::default());
        let ports = Ports {
            policy: self.policies.unwrap_or_else(|| Arc::new(Fixed(Arc::clone(&policy) as _))),
            upstream: Arc::clone(&server) as _,
            recorder: Arc::clone(&log) as _,
            approvals: self.approvals,
            limiter: Arc::new(RateLimiter::new(&limits::Config::default(), clock.monotonic())),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock) as _,
        };
        let options = Options {
            mode: self.mode,
            agent: Arc::new(Agent { id: self.agent.into(), ..Agent::default() }),
            identity: Arc::new(Identity::configured()),
            environment: "test".into(),
            capture_arguments: self.capture,
            capture_responses: self.capture,
            ..self.options
        };
        let limits = session::Config {
            ttl: Span::secs(1000),
            idle_timeout: Span::secs(100),
            max_sessions: self.max_sessions,
            queue_size: self.queue_size,
            max_in_flight: 4,
            key_file: self.key_file,
            ..session::Config::default()
        };
        let keys = Keys::load(&limits).unwrap();
        let sessions = Sessions::new(limits, Arc::clone(&clock) as Arc<dyn Clock>, keys);
        let router = Router::new(ports, options, sessions);
        Gateway { router, policy, server, log, metrics, clock }
    }
}

pub(super) struct Gateway {
    pub(super) router: Arc<Router>,
    pub(super) policy: Arc<ScriptedPolicy>,
    pub(super) server: Arc<Server>,
    pub(super) log: Arc<Log>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<ManualClock>,
}

/// What a client of a session posts with.
pub(super) fn with_token(token: Option<&str>) -> Ticket {
    Ticket::Http(HttpTicket { session: token.map(str::to_owned), ..HttpTicket::default() })
}

impl Gateway {
    /// An initialized session; what that took is forgotten.
    pub(super) async fn session(&self) -> Arc<Session> {
        let reply = self.post(INITIALIZE, None).await;
        let token = reply.session.clone().expect("a session is announced");
        drop(read(reply).await);
        self.log.take();
        self.server.state().sent.clear();
        self.server.state().headers.clear();
        self.policy.asked().clear();
        self.router.find(token.expose(), &caller()).expect("the session lives")
    }

    /// Has a client post that over Streamable HTTP.
    pub(super) async fn post(&self, body: &str, token: Option<&str>) -> Reply {
        match self.receive(body, with_token(token)).await {
            Ok(received) => self.router.handle(received).await,
            Err(reply) => reply,
        }
    }

    pub(super) async fn receive(&self, body: &str, ticket: Ticket) -> Result<Received, Reply> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.router.receive(body, caller(), ticket).await
    }

    /// Has a client say that on a session; gives status and body.
    pub(super) async fn say(&self, session: &Arc<Session>, body: &str) -> (u16, String) {
        read(self.post(body, Some(session.token().expose())).await).await
    }

    /// The only row since the last look, in short. Checks that nothing is left over.
    #[track_caller]
    pub(super) fn row(&self) -> String {
        let rows = self.rows();
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.into_iter().next().unwrap()
    }

    /// The rows since the last look, in short. Checks that nothing is left over.
    #[track_caller]
    pub(super) fn rows(&self) -> Vec<String> {
        self.settled();
        self.log.take().iter().map(short).collect()
    }

    /// Checks that no message is under way: each that came in was recorded, once, and counted.
    #[track_caller]
    pub(super) fn settled(&self) {
        assert_eq!(self.log.state().reserved, 0, "room was reserved and not used");
        assert_eq!(self.metric("mcp_proxy_requests_in_flight"), 0);
        for session in self.router.sessions().all() {
            assert_eq!(session.in_flight(), 0);
        }
    }

    /// A metric by its name with labels.
    #[track_caller]
    pub(super) fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not among\n{text}")).parse().unwrap()
    }
}

pub(super) fn caller() -> Caller {
    Caller {
        source_ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        user_agent: Some("probe/7".into()),
        ..Caller::over(Transport::Http)
    }
}

/// Stage, decision, whether the message left on the other side, and what went wrong.
pub(super) fn short(event: &AuditEvent) -> String {
    let (stage, decision) = (event.stage.as_str(), event.decision.as_str());
    let went = if event.forwarded { "forwarded" } else { "held" };
    let error = event.error_kind.map_or("-", ErrorKind::as_str);
    format!("{stage} {decision} {went} {error}")
}

/// Status and body; events one a line.
pub(super) async fn read(reply: Reply) -> (u16, String) {
    let body = match reply.body {
        ReplyBody::Empty => String::new(),
        ReplyBody::Json(body) => text(&body),
        ReplyBody::Events(events) => {
            events.map(|event| text(&event)).collect::<Vec<_>>().await.join("\n")
        }
    };
    (reply.status, body)
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(super) fn allow() -> Decision {
    Decision { revision: Revision("r1".into()), ..allowed() }
}

pub(super) fn deny(reason: &str) -> Decision {
    let matched_rule = Some("data.mcp.policy.deny".into());
    Decision { verdict: Verdict::Deny, reasons: [reason.into()].into(), matched_rule, ..allow() }
}

pub(super) fn failed() -> Decision {
    let error = Some("rules.rego:3: secret detail".into());
    Decision { verdict: Verdict::Deny, error, ..allow() }
}

/// A message of the server.
pub(super) fn message(body: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

/// A response under an id of the connection.
pub(super) fn response(result: &str) -> Message {
    Message::parse(encode::result_reply("77", result)).unwrap()
}

pub(super) fn now(answer: Answer) -> Scripted {
    Box::pin(ready(Ok(answer)))
}

pub(super) fn failing(kind: ErrorKind) -> Scripted {
    Box::pin(ready(Err(Failure::new(kind, "it failed").detail("at 10.0.0.7:99"))))
}

pub(super) fn obliging(message: &Message) -> Scripted {
    now(match (message.id(), message.method()) {
        (Some(_), Some(Method::Initialize)) => Answer::Message(response(WELCOME)),
        (Some(_), Some(_)) => Answer::Message(response("{}")),
        _ => Answer::Accepted,
    })
}

pub(super) fn stream_of(messages: &'static [&'static str]) -> Answer {
    let messages = messages.iter().map(|body| Ok(message(body)));
    Answer::Stream(Box::pin(futures_util::stream::iter(messages)))
}
