//! Writes events as rows.

use std::fmt::Write as _;
use std::sync::Arc;

use domain::{Agent, AuditEvent, Evidence, Reason};
use rusqlite::{CachedStatement, Connection, ToSql, TransactionBehavior};
use serde::Serialize;
use uuid::fmt::Hyphenated;

use crate::config::Capture;
use crate::content::{Content, limited, summary};
use crate::facts::Facts;
use crate::time;

/// The columns that are written, in the order in which [`Inserter::bind`] binds them.
const COLUMNS: [&str; 48] = [
    "request_id",
    "decision_id",
    "session_id",
    "timestamp",
    "timestamp_us",
    "agent_id",
    "agent_name",
    "capabilities",
    "identity_verified",
    "did",
    "method",
    "tool",
    "resource_uri",
    "prompt",
    "arguments",
    "decision",
    "forwarded",
    "mode",
    "stage",
    "matched_rule",
    "violations",
    "reasons",
    "obligations",
    "policy_revision",
    "server",
    "source_ip",
    "environment",
    "transport",
    "user_agent",
    "protocol_version",
    "server_version",
    "latency_total_ns",
    "latency_policy_ns",
    "latency_inspect_ns",
    "latency_upstream_ns",
    "request_bytes",
    "response_bytes",
    "response_summary",
    "error_kind",
    "error",
    "redactions",
    "rules",
    "facts_id",
    "tool_facts_id",
    "request_count",
    "session_state",
    "approval",
    "config_revision",
];

/// Microseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Turns events into rows.
pub(crate) struct Inserter {
    capture: Capture,
    sql: String,
    /// The agent of the last event with its capabilities as JSON: there are few agents, and many events of each.
    agent: Option<(Arc<Agent>, String)>,
    timestamp: String,
    address: String,
}

impl Inserter {
    pub(crate) fn new(capture: Capture) -> Self {
        let marks = vec!["?"; COLUMNS.len()].join(", ");
        let sql = format!("INSERT INTO audit_log ({}) VALUES ({marks})", COLUMNS.join(", "));
        Self { capture, sql, agent: None, timestamp: String::new(), address: String::new() }
    }

    /// Writes all events in one transaction, or none.
    pub(crate) fn insert(
        &mut self,
        connection: &mut Connection,
        events: &[Box<AuditEvent>],
    ) -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let statement = transaction.prepare_cached(&self.sql)?;
        let mut row = RowWriter { statement, bound: 0 };
        let mut facts = Facts::new(&transaction);
        for event in events {
            self.bind(&mut row, event)?;
            bind_evidence(&mut row, &mut facts, event)?;
            row.finish()?;
        }
        drop(row);
        transaction.commit()
    }

    fn bind(&mut self, row: &mut RowWriter<'_>, event: &AuditEvent) -> rusqlite::Result<()> {
        let at = time::micros(event.received_at);
        let content = Content::of(event, &self.capture);
        time::rfc3339(at, &mut self.timestamp);
        row.put(hyphenated(event.request_id, &mut [0; Hyphenated::LENGTH]))?;
        row.put(hyphenated(event.decision_id, &mut [0; Hyphenated::LENGTH]))?;
        row.put(event.session_id.as_ref().map(domain::SessionId::as_str))?;
        row.put(&self.timestamp)?;
        row.put(at)?;
        row.put(&*event.agent.id)?;
        row.put(filled(&event.agent.name))?;
        row.put(capabilities(&mut self.agent, &event.agent))?;
        row.put(event.identity.verified)?;
        row.put(filled(&event.identity.did))?;
        row.put(&content.method)?;
        row.put(&content.tool)?;
        row.put(&content.resource)?;
        row.put(&content.prompt)?;
        row.put(&content.arguments)?;
        row.put(event.decision.as_str())?;
        row.put(event.forwarded)?;
        row.put(event.mode.as_str())?;
        row.put(event.stage.as_str())?;
        row.put(event.matched_rule.as_deref())?;
        row.put(violations(&event.reasons))?;
        row.put(list(&event.reasons))?;
        row.put(list(&event.obligations))?;
        row.put(event.policy_revision.as_deref())?;
        row.put(filled(&event.server))?;
        row.put(event.source_ip.map(|ip| printed(ip, &mut self.address)))?;
        row.put(filled(&event.environment))?;
        row.put(event.transport.as_str())?;
        row.put(event.user_agent.as_deref().map(limited))?;
        row.put(event.protocol_version)?;
        row.put(event.server_version)?;
        row.put(saturated(event.latency.total.as_nanos()))?;
        row.put(saturated(event.latency.policy.as_nanos()))?;
        row.put(saturated(event.latency.inspect.as_nanos()))?;
        row.put(saturated(event.latency.upstream.as_nanos()))?;
        row.put(saturated(event.request_bytes))?;
        row.put(saturated(event.response_bytes))?;
        row.put(event.response_summary.as_deref().map(|text| summary(&self.capture, text)))?;
        row.put(event.error_kind.map(domain::ErrorKind::as_str))?;
        row.put(event.error.as_deref().map(limited))?;
        row.put(content.redactions())
    }
}

/// Binds what replay needs besides: the columns from `rules` on.
fn bind_evidence(
    row: &mut RowWriter<'_>,
    facts: &mut Facts<'_>,
    event: &AuditEvent,
) -> rusqlite::Result<()> {
    let Evidence {
        rules,
        facts: whole,
        tool,
        request_count,
        state,
        approval,
        config_revision,
        no_arguments: _,
    } = &event.evidence;
    let day = time::micros(event.received_at).div_euclid(DAY);
    let mut number =
        |of: &Option<Arc<str>>| of.as_ref().map(|of| facts.number(of, day)).transpose();
    row.put(rules.as_deref())?;
    row.put(number(whole)?)?;
    row.put(number(tool)?)?;
    row.put(request_count.map(saturated))?;
    row.put(state.as_deref().map(to_json))?;
    row.put(approval.as_deref().map(limited))?;
    row.put(config_revision.as_deref())
}

/// One prepared insertion, bound from the first column to the last.
struct RowWriter<'connection> {
    statement: CachedStatement<'connection>,
    bound: usize,
}

impl RowWriter<'_> {
    fn put(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)
    }

    fn finish(&mut self) -> rusqlite::Result<()> {
        self.bound = 0;
        self.statement.raw_execute().map(drop)
    }
}

fn hyphenated(id: uuid::Uuid, buffer: &mut [u8; Hyphenated::LENGTH]) -> &str {
    id.hyphenated().encode_lower(buffer)
}

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn saturated(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn printed(value: impl std::fmt::Display, text: &mut String) -> &str {
    text.clear();
    // Writing to a `String` does not fail.
    write!(text, "{value}").unwrap_or_default();
    text
}

fn capabilities<'a>(last: &'a mut Option<(Arc<Agent>, String)>, agent: &Arc<Agent>) -> &'a str {
    let known = last.take().filter(|(of, _)| Arc::ptr_eq(of, agent));
    let (_, text) =
        last.insert(known.unwrap_or_else(|| (Arc::clone(agent), to_json(&agent.capabilities))));
    text
}

/// JSON of plain texts, numbers and lists, which always can be written.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The reasons as one line for people.
fn violations(reasons: &[Reason]) -> Option<String> {
    let messages: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
    (!messages.is_empty()).then(|| messages.join("; "))
}

/// A list as JSON for programs, unless it is empty.
fn list(items: &[impl Serialize]) -> Option<String> {
    (!items.is_empty()).then(|| to_json(&items))
}

#[cfg(test)]
mod tests;
