//! Which rows are asked for.

use std::time::SystemTime;

use domain::Outcome;
use rusqlite::types::Value;

use crate::time;

/// Selects rows; the conditions that are set must all hold. Texts are compared as they are, never as SQL or patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Received at this time or later.
    pub since: Option<SystemTime>,
    /// Received before this time.
    pub until: Option<SystemTime>,
    /// Identifier of the agent.
    pub agent: Option<String>,
    /// Public name of the session.
    pub session: Option<String>,
    /// Method, as `tools/call`.
    pub method: Option<String>,
    /// Name of the tool.
    pub tool: Option<String>,
    /// Configured name of the server.
    pub server: Option<String>,
    /// What policy said.
    pub decision: Option<Outcome>,
    /// A part of the name of the rule that decided, in any case.
    pub rule: Option<String>,
    /// A part of the reasons, in any case.
    pub reason: Option<String>,
    /// The beginning of the request id or of the decision id.
    pub id: Option<String>,
    /// Most rows returned.
    pub limit: u32,
    /// Whether the newest row comes first.
    pub descending: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            since: None,
            until: None,
            agent: None,
            session: None,
            method: None,
            tool: None,
            server: None,
            decision: None,
            rule: None,
            reason: None,
            id: None,
            limit: 50,
            descending: true,
        }
    }
}

/// A condition in SQL with the values of its parameters, in the order in which they appear.
pub(crate) struct Condition {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Condition {
    pub(crate) fn new() -> Self {
        Self { sql: "1".to_owned(), values: Vec::new() }
    }

    /// Adds `AND sql` with one parameter; nothing when there is no value.
    pub(crate) fn and(mut self, sql: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.sql.push_str(" AND ");
            self.sql.push_str(sql);
            self.values.push(value.into());
        }
        self
    }
}

impl Filter {
    pub(crate) fn condition(&self) -> Condition {
        let text = |value: &Option<String>| value.clone();
        Condition::new()
            .and("timestamp_us >= ?", self.since.map(time::micros))
            .and("timestamp_us < ?", self.until.map(time::micros))
            .and("agent_id = ?", text(&self.agent))
            .and("session_id = ?", text(&self.session))
            .and("method = ?", text(&self.method))
            .and("tool = ?", text(&self.tool))
            .and("server = ?", text(&self.server))
            .and("decision = ?", self.decision.map(|decision| decision.as_str().to_owned()))
            .and("instr(lower(matched_rule), lower(?)) > 0", text(&self.rule))
            .and("instr(lower(violations), lower(?)) > 0", text(&self.reason))
            .and(
                "EXISTS (SELECT 1 FROM (SELECT lower(?) AS prefix) \
                 WHERE prefix IN (substr(request_id, 1, length(prefix)), substr(decision_id, 1, length(prefix))))",
                text(&self.id),
            )
    }
}
