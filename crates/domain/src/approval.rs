//! Asking a person.

use std::time::Duration;

use uuid::Uuid;

/// A message that waits for a person (obligation `require_approval`).
#[derive(Clone, Debug)]
pub struct ApprovalRequest {
    /// The decision that asks; it names the request for people, too.
    pub decision_id: Uuid,
    /// Who asks.
    pub agent_id: Box<str>,
    /// The server that the message is for.
    pub server: Box<str>,
    /// What is asked for: the method.
    pub method: Box<str>,
    /// The tool of `tools/call`.
    pub tool: Option<Box<str>>,
    /// The URI or the prompt of other methods.
    pub target: Option<Box<str>>,
    /// Digest of the tool's definition, as far as the server has listed it: a grant is for the tool that it was then.
    pub definition: Option<Box<str>>,
    /// The arguments, or the parameters of methods that have none, raw JSON: hashed for the scope of a grant, and kept masked for the person.
    pub arguments: Option<Box<str>>,
    /// What policy tells the person.
    pub message: Option<Box<str>>,
    /// How long the message may wait for the answer.
    pub wait: Duration,
}

/// What became of the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// A person has granted it; the text names the grant.
    Granted(Box<str>),
    /// A person has denied it.
    Denied(Box<str>),
    /// Nobody has answered yet; the text names the question.
    Pending(Box<str>),
}
