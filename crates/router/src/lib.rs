//! The one path of a message: accept, parse, identify, decide, forward, inspect, record, reply.
//!
//! Read `handle.rs` first: [`Router::receive`] and [`Router::handle`] are that path, and every
//! message of every transport and both directions takes it. What differs between methods is data
//! (`Subject`), never a branch that could forget to ask policy.
//!
//! The router deliberately knows neither HTTP nor Rego nor SQL: it works on three ports
//! ([`domain::Policy`], [`domain::Upstream`], [`domain::Recorder`]) and on the session table.

mod canonical;
mod catalogue;
mod client;
mod companions;
mod connect;
mod conversation;
mod ending;
mod entry;
mod envelope;
mod facts;
mod handle;
mod inbox;
mod inspect;
mod lifecycle;
mod lists;
mod obligations;
mod pointer;
mod reply;
mod ruling;
mod subject;
mod told;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::{
    Agent, Approvals, Clock, Identity, Mode, Policies, Recorder, SessionState, Transport, Upstream,
};
use limits::RateLimiter;
use observability::Metrics;
use protocol::ParamHeader;
use session::{Session, Sessions};

use crate::catalogue::Catalogue;

pub use connect::Refused;
pub use conversation::Conversation;
pub use envelope::named_version;
pub use handle::Received;
pub use reply::{EventStream, Reply, ReplyBody};

/// The parts that the path of a message runs through.
pub struct Ports {
    /// Decides.
    pub policy: Arc<dyn Policies>,
    /// Answers.
    pub upstream: Arc<dyn Upstream>,
    /// Remembers.
    pub recorder: Arc<dyn Recorder>,
    /// Asks people; without it, what needs an approval is denied.
    pub approvals: Option<Arc<dyn Approvals>>,
    /// Counts what policy limits.
    pub limiter: Arc<RateLimiter>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What the configuration says about the path.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a denial does.
    pub mode: Mode,
    /// Who every caller is.
    pub agent: Arc<Agent>,
    /// How that is known.
    pub identity: Arc<Identity>,
    /// `input.context.environment` and the audit column of that name.
    pub environment: Arc<str>,
    /// Whether audit rows hold the arguments of calls.
    pub capture_arguments: bool,
    /// Whether audit rows hold the beginning of answers.
    pub capture_responses: bool,
    /// Whether a denied `tools/call` is answered as a tool that failed, so that the model can read why.
    pub deny_as_tool_error: bool,
    /// Whether what is denied is told as what is not there.
    pub hide_denied: bool,
    /// Names of the clients' HTTP headers that policy sees, in lower case.
    pub headers: Arc<[Box<str>]>,
    /// How long a message waits for its approval.
    pub approval_wait: Duration,
    /// The digest of the configuration, as rows name it.
    pub config_revision: Option<Arc<str>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            agent: Arc::default(),
            identity: Arc::new(Identity::configured()),
            environment: "".into(),
            capture_arguments: false,
            capture_responses: false,
            deny_as_tool_error: false,
            hide_denied: false,
            headers: Arc::default(),
            approval_wait: Duration::ZERO,
            config_revision: None,
        }
    }
}

/// The router: shared by every transport.
pub struct Router {
    ports: Ports,
    options: Options,
    sessions: Sessions,
    /// Stands for all stateless clients, once there is one.
    stateless: OnceLock<Arc<Session>>,
    /// The server's name, as rows share it.
    server: Arc<str>,
    /// What a session has done that nobody asks about.
    blank: Arc<SessionState>,
    /// What the server has said of its tools.
    catalogue: Catalogue,
}

/// HTTP headers by name, in lower case.
pub type ShownHeaders = Arc<[(Box<str>, Box<str>)]>;

/// What a transport knows of the sender of a message.
#[derive(Clone, Debug)]
pub struct Caller {
    /// How the message came in.
    pub transport: Transport,
    /// The client's address.
    pub source_ip: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub user_agent: Option<Arc<str>>,
    /// Those of its headers that [`Options::headers`] names, in lower case.
    pub headers: Option<ShownHeaders>,
}

impl Caller {
    /// A sender of whom nothing else is known.
    #[must_use]
    pub const fn over(transport: Transport) -> Self {
        Self { transport, source_ip: None, user_agent: None, headers: None }
    }
}

/// What a message brings to be assigned to a session.
#[derive(Clone)]
pub enum Ticket {
    /// Its headers (Streamable HTTP).
    Http(HttpTicket),
    /// The session of the stream or pipe that it came over.
    Session(Arc<Session>),
}

/// The headers of Streamable HTTP that say where a message belongs, as they were sent.
#[derive(Clone, Debug, Default)]
pub struct HttpTicket {
    /// `Mcp-Session-Id`, which `initialize` does not have yet (2025-03-26 to 2025-11-25).
    pub session: Option<String>,
    /// `MCP-Protocol-Version`.
    pub version: Option<String>,
    /// `Mcp-Method` (2026-07-28).
    pub method: Option<String>,
    /// `Mcp-Name` (2026-07-28).
    pub name: Option<String>,
    /// `Mcp-Param-*` (2026-07-28).
    pub params: Arc<[ParamHeader]>,
}

impl Router {
    /// A router over its parts.
    #[must_use]
    pub fn new(ports: Ports, options: Options, sessions: Sessions) -> Arc<Self> {
        let server = ports.upstream.view().name.into();
        let (stateless, blank, catalogue) = Default::default();
        Arc::new(Self { ports, options, sessions, stateless, server, blank, catalogue })
    }

    /// Names of the clients' HTTP headers that policy sees, in lower case.
    #[must_use]
    pub fn headers(&self) -> &[Box<str>] {
        &self.options.headers
    }

    /// The session table, for metrics.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

#[cfg(test)]
mod tests;
