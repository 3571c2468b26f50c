//! The record of a message while it is under way.
//!
//! An [`Entry`] is opened before anything is known of the message and holds room in the audit log
//! from then on. Whoever ends the message turns the entry into the reply; if nobody does (the client
//! went away and the future was dropped, or a panic unwound) the entry records itself. Invariant:
//! [`Entry::close`] is the only way to the log, and it empties the entry, so that a message has
//! exactly one row and is counted exactly once.

mod evidence;
mod laps;
mod log;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use domain::{
    Answer, AuditEvent, ErrorKind, Evidence, Failure, Latency, Mode, Origin, Outcome, Policy, Slot,
    Stage, random_uuid,
};
use protocol::{Era, Message, Method, ProtocolVersion};
use session::Session;

use self::laps::Lap;
use crate::envelope;
use crate::reply::{Trace, Unrecorded};
use crate::{Caller, Options, Router};

/// Largest answer that is kept, in bytes.
const SUMMARY_BYTES: usize = 64 << 10;
/// Longest account in the gateway's own words, in bytes.
const ACCOUNT_BYTES: usize = 200;

pub(crate) struct Entry {
    router: Arc<Router>,
    /// What decides all of the message: policy may be exchanged meanwhile.
    policy: Arc<dyn Policy>,
    /// What a denial does: a lockdown holds in audit mode too.
    mode: Mode,
    open: Option<Open>,
    started: Instant,
    era: Era,
    method: Method,
    /// What the server says of the tool that is called, as JSON.
    tool: Option<Arc<str>>,
    trace: Trace,
    lap: Lap,
}

/// What an entry holds until it is closed.
struct Open {
    /// Room in the log; none while it is being waited for.
    slot: Option<Box<dyn Slot>>,
    event: Box<AuditEvent>,
}

impl Router {
    /// Opens the record of a message of `size` bytes, waiting for room in the log.
    pub(crate) async fn open_entry(
        self: &Arc<Self>,
        caller: &Caller,
        size: usize,
    ) -> Result<Entry, Unrecorded> {
        let started = self.ports.clock.monotonic();
        let trace = Trace { request_id: random_uuid(), decision_id: random_uuid() };
        let policy = self.ports.policy.current();
        let mode = if policy.holds_in_audit_mode() { Mode::Enforce } else { self.options.mode };
        let event = Box::new(self.blank_event(caller, size, trace, mode));
        self.ports.metrics.request_started();
        let mut entry = Entry {
            router: Arc::clone(self),
            policy,
            mode,
            open: Some(Open { slot: None, event }),
            started,
            era: Era::Legacy,
            method: Method::Other,
            tool: None,
            trace,
            lap: Lap::Other,
        };
        match self.ports.recorder.reserve().await {
            Ok(slot) => {
                if let Some(open) = &mut entry.open {
                    open.slot = Some(slot);
                }
                Ok(entry)
            }
            Err(failure) => {
                entry.note(&failure.detail);
                entry.close(Some(failure.kind));
                Err(Unrecorded { failure, trace })
            }
        }
    }

    fn blank_event(&self, caller: &Caller, size: usize, trace: Trace, mode: Mode) -> AuditEvent {
        AuditEvent {
            request_id: trace.request_id,
            decision_id: trace.decision_id,
            received_at: self.ports.clock.wall(),
            session_id: None,
            agent: Arc::clone(&self.options.agent),
            identity: Arc::clone(&self.options.identity),
            stage: Stage::Request,
            mode,
            transport: caller.transport,
            source_ip: caller.source_ip,
            user_agent: caller.user_agent.clone(),
            environment: Arc::clone(&self.options.environment),
            protocol_version: None,
            server_version: None,
            method: Box::default(),
            tool: None,
            resource_uri: None,
            prompt: None,
            arguments: None,
            decision: Outcome::Error,
            forwarded: false,
            matched_rule: None,
            reasons: Arc::default(),
            obligations: Arc::default(),
            policy_revision: None,
            server: Arc::clone(&self.server),
            latency: Latency::default(),
            request_bytes: size as u64,
            response_bytes: 0,
            response_summary: None,
            error_kind: None,
            error: None,
            evidence: Evidence {
                config_revision: self.options.config_revision.clone(),
                ..Evidence::default()
            },
        }
    }
}

/// What becomes known on the way.
impl Entry {
    /// What decides.
    pub(crate) fn policy(&self) -> &Arc<dyn Policy> {
        &self.policy
    }

    /// Has a lockdown decide from now on that began after the message did: it denies on the way back what was allowed
    /// before.
    pub(crate) fn heed_lockdown(&mut self) {
        let now = self.router.ports.policy.current();
        if now.holds_in_audit_mode() {
            (self.policy, self.mode) = (now, Mode::Enforce);
            if let Some(event) = self.event() {
                event.mode = Mode::Enforce;
            }
        }
    }

    /// When the message was complete, on the wall clock.
    pub(crate) fn received_at(&self) -> SystemTime {
        self.open.as_ref().map_or(SystemTime::UNIX_EPOCH, |open| open.event.received_at)
    }

    /// Notes the era that the sender speaks, which says how it is told of errors.
    pub(crate) fn speaks(&mut self, era: Era) {
        self.era = era;
    }

    /// What the configuration says.
    pub(crate) fn options(&self) -> &Options {
        &self.router.options
    }

    /// The method of the message.
    pub(crate) fn method(&self) -> Method {
        self.method
    }

    /// The era that the sender speaks.
    pub(crate) fn era(&self) -> Era {
        self.era
    }

    /// Notes what the message is.
    pub(crate) fn describe(&mut self, message: &Message) {
        let capture_arguments = self.router.options.capture_arguments;
        if message.era() == Era::Modern {
            self.era = Era::Modern;
        }
        let method = message.method().unwrap_or(Method::Other);
        self.method = method;
        let Some(event) = self.event() else { return };
        event.method = message.method_name().into();
        let name = || message.name().map(Box::from);
        event.tool = if method == Method::ToolsCall { name() } else { None };
        event.prompt = if method == Method::PromptsGet { name() } else { None };
        event.resource_uri = message.uri().map(Box::from);
        event.protocol_version = envelope::spoken(message).map(ProtocolVersion::as_str);
        event.evidence.no_arguments = message.arguments().is_none();
        if capture_arguments {
            event.arguments = message.arguments().map(Box::from);
        }
    }

    /// Notes the session of the message.
    pub(crate) fn belongs_to(&mut self, session: &Session) {
        let Some(event) = self.event() else { return };
        event.session_id = (!session.is_stateless()).then(|| session.id().clone());
        event.agent = Arc::clone(session.agent());
        event.identity = Arc::clone(session.identity());
        let negotiated = session.negotiated().map(ProtocolVersion::as_str);
        event.protocol_version = event.protocol_version.or(negotiated);
    }

    /// Notes the revision that the server is spoken to in.
    pub(crate) fn served_in(&mut self, version: Option<ProtocolVersion>) {
        if let Some(event) = self.event() {
            event.server_version = version.map(ProtocolVersion::as_str);
        }
    }

    /// Notes whether the message leaves the gateway on the other side.
    pub(crate) fn forwarded(&mut self, forwarded: bool) {
        if let Some(event) = self.event() {
            event.forwarded = forwarded;
        }
    }

    /// Sends the message to the server, noting that it leaves and how long the server takes.
    pub(crate) async fn send(
        &mut self,
        sending: impl Future<Output = Result<Answer, Failure>>,
    ) -> Result<Answer, Failure> {
        self.forwarded(true);
        self.wait();
        let answer = sending.await;
        self.waited();
        match &answer {
            // Its end is counted when it has come.
            Ok(Answer::Stream(_)) => {}
            Ok(Answer::Accepted | Answer::Message(_)) => self.served(None),
            Err(failure) => {
                self.forwarded(!failure.unsent);
                // What the gateway itself held back says nothing of the server.
                if !failure.unsent || failure.kind.origin() == Origin::Upstream {
                    self.served(Some(failure.kind));
                }
            }
        }
        answer
    }

    /// Counts how the server ended its part.
    pub(crate) fn served(&mut self, error: Option<ErrorKind>) {
        let elapsed = self.event().map_or(Duration::ZERO, |event| event.latency.upstream);
        self.router.ports.metrics.upstream_done(error, elapsed);
    }

    /// Notes the revision of MCP that this message settled.
    pub(crate) fn negotiated(&mut self, version: ProtocolVersion) {
        if let Some(event) = self.event() {
            event.protocol_version = Some(version.as_str());
        }
    }

    /// The names of the message in the log.
    pub(crate) fn trace(&self) -> Trace {
        self.trace
    }

    /// What a denial does.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Counts bytes that go back to the sender.
    pub(crate) fn answered(&mut self, bytes: usize) {
        if let Some(event) = self.event() {
            event.response_bytes += bytes as u64;
        }
    }

    /// Keeps the answer, if the configuration asks for it: whole, so that the log can mask what is secret before it
    /// cuts. Of one that is too large only the size is kept.
    pub(crate) fn summarise(&mut self, answer: &str) {
        if !self.router.options.capture_responses {
            return;
        }
        if answer.len() > SUMMARY_BYTES {
            return self.account(&format!("{} bytes", answer.len()));
        }
        if let Some(event) = self.event() {
            event.response_summary = Some(answer.into());
        }
    }

    /// Keeps the beginning of an account of the answer, whatever the configuration says.
    pub(crate) fn account(&mut self, account: &str) {
        let Some(event) = self.event() else { return };
        let end = account.floor_char_boundary(ACCOUNT_BYTES);
        event.response_summary = account.get(..end).map(Box::from);
    }

    /// Notes what went wrong, for the operator.
    pub(crate) fn note(&mut self, detail: &str) {
        let Some(event) = self.event() else { return };
        event.error = Some(match event.error.take() {
            Some(earlier) => format!("{earlier}; {detail}").into(),
            None => detail.into(),
        });
    }

    /// Notes under which method something inside the message was denied: the row has the message's
    /// own.
    pub(crate) fn denied_as(&mut self, method: &str) {
        self.note(&format!("denied as `{method}`"));
    }

    fn now(&self) -> Instant {
        self.router.ports.clock.monotonic()
    }

    pub(crate) fn event(&mut self) -> Option<&mut AuditEvent> {
        self.open.as_mut().map(|open| &mut *open.event)
    }
}

/// The end.
impl Entry {
    /// Hands the event over. Every way of ending comes here; the first time counts.
    pub(crate) fn close(&mut self, error_kind: Option<ErrorKind>) {
        let now = self.now();
        self.end_lap(now);
        let Some(Open { slot, mut event }) = self.open.take() else { return };
        event.latency.total = now.duration_since(self.started);
        event.error_kind = error_kind;
        self.router.ports.metrics.request_done(self.method, error_kind, event.latency.total);
        log::say(error_kind, &event);
        if let Some(slot) = slot {
            slot.record(event);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.open.is_none() {
            return;
        }
        let (kind, text) = if std::thread::panicking() {
            (ErrorKind::Internal, "a panic ended the handling of the message")
        } else {
            (ErrorKind::Abandoned, "the client went away before the answer")
        };
        self.note(text);
        self.close(Some(kind));
    }
}
