//! One row of the log, as queries return it.

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use serde::Serialize;
use serde_json::value::RawValue;

/// A column that holds JSON; it serialises as that JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl FromSql for Json {
    /// Text that is not JSON, which only another program can have put there, becomes a JSON string.
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        RawValue::from_string(text.to_owned())
            .or_else(|_| serde_json::value::to_raw_value(text))
            .map(Self)
            .map_err(rusqlite::types::FromSqlError::other)
    }
}

/// Declares [`Row`] and [`COLUMNS`] together, so that a field cannot hold the value of another column.
macro_rules! row {
    ($($(#[$doc:meta])* $column:ident: $type:ty,)*) => {
        /// One row of `audit_log`: its columns, which are also the keys of its JSON.
        #[derive(Clone, Debug, Serialize)]
        pub struct Row { $($(#[$doc])* pub $column: $type,)* }

        /// Every column of the table, in the order of the fields of [`Row`].
        pub(crate) const COLUMNS: &[&str] = &[$(stringify!($column),)*];

        impl Row {
            /// Reads a row of a query for [`COLUMNS`].
            pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                let mut columns = 0..COLUMNS.len();
                Ok(Self { $($column: row.get(columns.next().unwrap_or_default())?,)* })
            }
        }
    };
}

row! {
    /// Number of the row, in the order of writing.
    id: i64,
    /// The same, under the name that proofs and exports use.
    seq: i64,
    /// When the message was complete: RFC 3339, UTC, microseconds.
    timestamp: String,
    /// The same in microseconds since 1970.
    timestamp_us: i64,
    /// Names the message in logs and replies.
    request_id: String,
    /// Names the decision in logs and replies.
    decision_id: String,
    /// Public name of the session.
    session_id: Option<String>,
    /// Identifier of the agent.
    agent_id: String,
    /// Name of the agent.
    agent_name: Option<String>,
    /// Capabilities of the agent: a JSON array of strings.
    capabilities: Json,
    /// Whether a credential proved the identity.
    identity_verified: bool,
    /// Decentralised identifier of the agent.
    did: Option<String>,
    /// Method as sent; empty for messages that could not be read and for answers.
    method: String,
    /// Tool of `tools/call`.
    tool: Option<String>,
    /// URI of `resources/*`, masked.
    resource_uri: Option<String>,
    /// Prompt of `prompts/get`.
    prompt: Option<String>,
    /// Arguments, masked, if `audit.capture.request_arguments` is on.
    arguments: Option<Json>,
    /// What the row does not hold as policy saw it: a JSON array of JSON pointers into `input`. `None` when arguments
    /// are not kept at all.
    redactions: Option<Json>,
    /// What policy said: `allow`, `deny`, `would_deny` when a rule that is only watched would have, or `error` when it
    /// never came to a decision.
    decision: String,
    /// Whether policy allowed it, or a rule that is only watched would not have.
    allowed: bool,
    /// Whether bytes of the message left the gateway on the other side.
    forwarded: bool,
    /// The mode under which it was decided: `audit` or `enforce`.
    mode: String,
    /// The same, under the name of older logs.
    policy_mode: String,
    /// What was decided last: `request`, `response`, `server_request` or `connect`; `gateway` for an act of the gateway
    /// itself.
    stage: String,
    /// The rule that decided.
    matched_rule: Option<String>,
    /// The reasons as one line.
    violations: Option<String>,
    /// The reasons: a JSON array of objects with `message` and, where policy gives them, `rule`, `severity`, `owasp`,
    /// `compliance`, `remedy`, `scope`, the place of the rule `at`, and its `mode` unless it is enforced.
    reasons: Option<Json>,
    /// Where the rules stand that decided: a JSON array of objects with `rule` and `at` (`file:line`).
    rules: Option<Json>,
    /// Obligations that policy attached: a JSON array of objects with `action` and its parameters.
    obligations: Option<Json>,
    /// The approval that the message had, or waits for.
    approval: Option<String>,
    /// The policy set that decided.
    policy_revision: Option<String>,
    /// The digest of the configuration in force.
    config_revision: Option<String>,
    /// The row of `audit_facts` with what policy knew of agent, identity, session and server.
    facts_id: Option<i64>,
    /// The row of `audit_facts` with what policy knew of the tool.
    tool_facts_id: Option<i64>,
    /// Messages of the session so far, this one included.
    request_count: Option<i64>,
    /// Counters and marks of the session as policy saw them, when a rule reads them: a JSON object.
    session_state: Option<Json>,
    /// The server it went to.
    server: Option<String>,
    /// The client's address.
    source_ip: Option<String>,
    /// The configured environment.
    environment: Option<String>,
    /// How it came in: `http`, `sse`, `websocket` or `stdio`; `internal` for an act of the gateway itself.
    transport: String,
    /// The client's `User-Agent`.
    user_agent: Option<String>,
    /// Negotiated revision of MCP.
    protocol_version: Option<String>,
    /// Revision of MCP that the server is spoken to in.
    server_version: Option<String>,
    /// Time from the message to the end of its answer, in milliseconds.
    latency_ms: f64,
    /// The same in nanoseconds.
    latency_total_ns: i64,
    /// Time in policy, in nanoseconds.
    latency_policy_ns: i64,
    /// Time in looking into the answer, in nanoseconds.
    latency_inspect_ns: i64,
    /// Time waiting for the server, in nanoseconds.
    latency_upstream_ns: i64,
    /// Bytes of the message.
    request_bytes: i64,
    /// Bytes of the answer.
    response_bytes: i64,
    /// What a list hid, or the beginning of the answer, if `audit.capture.response_summary` is on.
    response_summary: Option<String>,
    /// What went wrong, if anything did.
    error_kind: Option<String>,
    /// The operator's text for it.
    error: Option<String>,
}
