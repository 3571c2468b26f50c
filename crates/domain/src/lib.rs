//! What every crate of the gateway agrees on: the vocabulary of a decision and the three ports.
//!
//! Nothing here does I/O. The types that carry an invariant are [`Permit`] (permission to send is a
//! value that only [`Permit::grant`] makes out of a decision), [`ErrorKind`] (the one table from which JSON-RPC codes,
//! HTTP statuses, metric labels, audit columns and the pages of `docs/errors` come) and
//! [`AuditEvent`] (one a message, whatever became of it).

mod agent;
mod approval;
mod clock;
mod decision;
mod error;
mod event;
mod handshake;
mod host;
mod input;
mod lock;
mod obligation;
mod port;
mod secret;
mod session_id;
mod span;
mod stage;
mod state;
mod throttle;

pub use agent::{Agent, Identity};
pub use approval::{Approval, ApprovalRequest};
pub use clock::{Clock, SystemClock};
pub use decision::{Decision, Permit, Reason, Revision, Verdict};
pub use error::{ErrorKind, Failure, Origin};
pub use event::{AuditEvent, Evidence, Latency, Outcome};
pub use handshake::Handshake;
pub use host::bare_host;
pub use input::{ContextView, PolicyInput, ServerView, SessionView, ToolView};
pub use lock::lock;
pub use obligation::{Obligation, RateKey, RateLimit};
pub use port::{
    Answer, Approvals, BoxFuture, Connection, Fixed, Health, Inbox, MessageStream, Party, Policies,
    Policy, Probe, Recorder, Slot, Upstream,
};
pub use secret::Secret;
pub use session_id::{SessionId, SessionToken, random_uuid};
pub use span::{ParseSpanError, Span};
pub use stage::{Mode, RuleMode, Stage, Transport};
pub use state::SessionState;
pub use throttle::Throttle;
