use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::{Agent, AuditEvent, Outcome};
use rusqlite::Connection;

use super::{Reader, snapshot};
use crate::insert::Inserter;
use crate::row::COLUMNS;
use crate::schema::{self, MIGRATIONS};
use crate::store::Store;
use crate::{Capture, Filter, fixture};

/// The documentation of the log.
const DOCS: &str = include_str!("../../../../docs/audit.md");

fn seconds(number: u64) -> Option<SystemTime> {
    Some(fixture::event(0).received_at + Duration::from_secs(number))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Rows 1 to 4: a call, a denied call of another agent, a list on another server, a failure. Row 5 is received before
/// all of them.
fn sample() -> [Box<AuditEvent>; 5] {
    let mut list = fixture::event(3);
    list.method = "tools/list".into();
    list.tool = None;
    list.server = "mail".into();
    list.session_id = Some("s-2".into());
    let mut denied = fixture::denied(2);
    denied.agent = Arc::new(Agent { id: "agent-2".into(), ..Agent::default() });
    denied.tool = Some("write_file".into());
    let mut failed = fixture::event(4);
    failed.decision = Outcome::Error;
    failed.tool = Some("100%_done".into());
    [fixture::event(1), denied, list, failed, fixture::event(0)]
}

#[track_caller]
fn check(filter: Filter, expected: &[i64]) {
    let (config, _directory) = fixture::config();
    fixture::write(&config.db_path, Capture::default(), &sample());
    let rows = Reader::open(&config.db_path).unwrap().query(&filter).unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, expected, "{filter:?}");
}

#[test]
fn every_condition_of_a_filter_counts() {
    let all = Filter::default;
    check(all(), &[4, 3, 2, 1, 5]);
    check(Filter { descending: false, ..all() }, &[5, 1, 2, 3, 4]);
    check(Filter { limit: 2, ..all() }, &[4, 3]);
    check(Filter { limit: 0, ..all() }, &[]);
    check(Filter { since: seconds(3), ..all() }, &[4, 3]);
    check(Filter { until: seconds(3), ..all() }, &[2, 1, 5]);
    check(Filter { since: seconds(1), until: seconds(2), ..all() }, &[1]);
    check(Filter { agent: some("agent-2"), ..all() }, &[2]);
    check(Filter { session: some("s-2"), ..all() }, &[3]);
    check(Filter { method: some("tools/list"), ..all() }, &[3]);
    check(Filter { tool: some("write_file"), ..all() }, &[2]);
    check(Filter { tool: some("read_file"), agent: some("agent-2"), ..all() }, &[]);
    check(Filter { server: some("mail"), ..all() }, &[3]);
    check(Filter { decision: Some(Outcome::Deny), ..all() }, &[2]);
    check(Filter { decision: Some(Outcome::WouldDeny), ..all() }, &[]);
    check(Filter { decision: Some(Outcome::Error), ..all() }, &[4]);
    check(Filter { decision: Some(Outcome::Allow), ..all() }, &[3, 1, 5]);
    check(Filter { rule: some("POLICY.deny"), ..all() }, &[2]);
    check(Filter { rule: some("%"), ..all() }, &[]);
    check(Filter { reason: some("Not allowed"), ..all() }, &[2]);
    check(Filter { id: some("00000003-"), ..all() }, &[3]);
    check(Filter { id: some("00000000-0000-0000-0000-000000000004"), ..all() }, &[4]);
    check(Filter { id: some("00000000"), ..all() }, &[4, 3, 2, 1, 5]);
    check(Filter { id: some("0_"), ..all() }, &[]);
}

#[test]
fn filters_are_values_not_sql() {
    let hostile = || some("' OR 1=1; DROP TABLE audit_log; --%_");
    let all = Filter::default;
    check(Filter { agent: hostile(), ..all() }, &[]);
    check(Filter { session: hostile(), ..all() }, &[]);
    check(Filter { method: hostile(), ..all() }, &[]);
    check(Filter { tool: hostile(), ..all() }, &[]);
    check(Filter { tool: some("100%_done"), ..all() }, &[4]);
    check(Filter { server: hostile(), ..all() }, &[]);
    check(Filter { rule: hostile(), ..all() }, &[]);
    check(Filter { reason: hostile(), ..all() }, &[]);
    check(Filter { id: hostile(), ..all() }, &[]);
}

#[test]
fn a_reader_follows_a_log_that_is_being_written() {
    let (config, _directory) = fixture::config();
    let mut store = Store::open(&config.db_path).unwrap();
    let mut inserter = Inserter::new(Capture::default());
    let reader = Reader::open(&config.db_path).unwrap();
    assert_eq!(reader.last_id().unwrap(), 0);
    store.with(|connection| inserter.insert(connection, &sample())).unwrap();
    assert_eq!(reader.last_id().unwrap(), 5);
    let ids = |after, filter: &Filter| -> Vec<i64> {
        reader.tail(after, filter).unwrap().iter().map(|row| row.id).collect()
    };
    assert_eq!(ids(0, &Filter::default()), [1, 2, 3, 4, 5]);
    assert_eq!(ids(3, &Filter::default()), [4, 5]);
    assert_eq!(ids(5, &Filter::default()), [0; 0]);
    assert_eq!(ids(0, &Filter { limit: 2, ..Filter::default() }), [1, 2]);
    assert_eq!(ids(1, &Filter { decision: Some(Outcome::Allow), ..Filter::default() }), [3, 5]);
    drop(store);
    assert_eq!(ids(0, &Filter::default()).len(), 5);
}

#[test]
fn the_history_is_in_the_order_of_time_and_names_its_facts() {
    let (config, _directory) = fixture::config();
    let mut events = sample();
    events[0].evidence.facts = Some("{\"agent\":1}".into());
    fixture::write(&config.db_path, Capture::default(), &events);
    let reader = Reader::open(&config.db_path).unwrap();
    let history = |filter: Filter| {
        let mut ids = Vec::new();
        reader.history(&filter, |row| ids.push(row.id)).unwrap();
        ids
    };
    let all = || Filter { limit: u32::MAX, ..Filter::default() };
    assert_eq!(history(all()), [5, 1, 2, 3, 4]);
    assert_eq!(history(Filter { limit: 2, ..all() }), [3, 4]);
    assert_eq!(history(Filter { since: seconds(2), session: some("s-1"), ..all() }), [2, 4]);
    let facts = fixture::rows(&config.db_path)[0].facts_id.unwrap();
    assert_eq!(reader.facts(facts).unwrap().as_deref(), Some("{\"agent\":1}"));
    assert_eq!(reader.facts(facts + 1).unwrap(), None);
}

#[test]
fn a_reader_cannot_write() {
    let (config, _directory) = fixture::config();
    fixture::write(&config.db_path, Capture::default(), &sample());
    for reader in
        [Reader::open(&config.db_path).unwrap().connection, snapshot(&config.db_path).unwrap()]
    {
        reader.execute_batch("DELETE FROM audit_log").unwrap_err();
        let rows: i64 =
            reader.query_row("SELECT count(*) FROM audit_log", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 5);
    }
}

#[test]
fn a_log_of_an_earlier_release_is_read_as_it_is_and_continued() {
    let (config, _directory) = fixture::config();
    let path = &config.db_path;
    let mut earlier = Connection::open(path).unwrap();
    schema::migrate(&mut earlier, path, &MIGRATIONS[..1]).unwrap();
    let row = "INSERT INTO audit_log (request_id, decision_id, timestamp, timestamp_us, agent_id, capabilities,
         identity_verified, method, decision, forwarded, mode, stage, protocol_version, transport, latency_total_ns,
         latency_policy_ns, latency_inspect_ns, latency_upstream_ns, request_bytes, response_bytes)
         VALUES ('r', 'd', 't', 1, 'a', '[]', 0, 'ping', 'allow', 1, 'audit', 'request', '2025-06-18', 'http',
         5, 0, 0, 0, 7, 0)";
    earlier.execute_batch(row).unwrap();
    drop(earlier);
    let revisions = |reader: &Reader| -> Vec<(Option<String>, Option<String>)> {
        let rows = reader.tail(0, &Filter::default()).unwrap();
        rows.into_iter().map(|row| (row.protocol_version, row.server_version)).collect()
    };
    let old = (Some("2025-06-18".to_owned()), None);
    let reader = Reader::open(path).unwrap();
    assert_eq!(revisions(&reader), std::slice::from_ref(&old));
    fixture::write(path, Capture::default(), &[fixture::event(2)]);
    let new = (Some("2025-06-18".to_owned()), Some("2025-11-25".to_owned()));
    assert_eq!(revisions(&Reader::open(path).unwrap()), [old.clone(), new]);
    assert_eq!(revisions(&reader)[0], old, "an open reader goes on");
}

#[track_caller]
fn check_refused(path: &Path, wanted: &str) {
    let error = Reader::open(path).map(drop).unwrap_err().to_string();
    assert!(error.contains(wanted) && error.contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn what_is_not_a_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("text.db"), "plain text ".repeat(100)).unwrap();
    std::fs::write(at("empty.db"), "").unwrap();
    let foreign = Connection::open(at("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE audit_log (id INTEGER PRIMARY KEY)").unwrap();
    Store::open(&at("newer.db")).unwrap();
    let newer = Connection::open(at("newer.db")).unwrap();
    newer.execute_batch("PRAGMA user_version = 7").unwrap();
    check_refused(&at("missing.db"), "no audit log at");
    check_refused(&at("text.db/x"), "cannot be opened");
    check_refused(directory.path(), "is a directory");
    check_refused(&at("text.db"), "is not a SQLite database");
    check_refused(&at("empty.db"), "not an audit log of this program");
    check_refused(&at("foreign.db"), "not an audit log of this program");
    check_refused(&at("newer.db"), "has schema 7, and this release knows 3");
    assert!(!at("missing.db").exists());
}

/// All rows of a query, each value as text.
fn texts(connection: &Connection, sql: &str) -> Vec<Vec<String>> {
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let text = |at| match row.get::<_, rusqlite::types::Value>(at).unwrap() {
            rusqlite::types::Value::Null => String::new(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Real(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Blob(_) => "blob".to_owned(),
        };
        Ok((0..width).map(text).collect())
    };
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_views_answer() {
    let (config, _directory) = fixture::config();
    fixture::write(&config.db_path, Capture::default(), &sample());
    let reader = Reader::open(&config.db_path).unwrap();
    let check = |sql: &str, expected: &[&[&str]]| {
        assert_eq!(texts(&reader.connection, sql), expected, "{sql}");
    };
    check("SELECT id FROM audit_recent", &[&["5"], &["4"], &["3"], &["2"], &["1"]]);
    check(
        "SELECT id, tool, violations, forwarded FROM audit_denials",
        &[&["2", "write_file", "writing is not allowed", "0"]],
    );
    check(
        "SELECT hour, messages, allowed, denied, errors, forwarded, request_bytes FROM audit_hourly",
        &[&["2026-11-20T10:00:00Z", "5", "3", "1", "1", "4", "1500"]],
    );
    check(
        "SELECT agent_id, messages, denied, sessions, tools, first_seen FROM audit_by_agent",
        &[
            &["agent-1", "4", "0", "2", "2", "2026-11-20T10:40:00.000000Z"],
            &["agent-2", "1", "1", "1", "1", "2026-11-20T10:40:02.000000Z"],
        ],
    );
    check(
        "SELECT server, tool, messages, errors FROM audit_by_tool",
        &[
            &["files", "read_file", "2", "0"],
            &["files", "100%_done", "1", "1"],
            &["files", "write_file", "1", "0"],
        ],
    );
}

#[test]
fn what_a_watched_rule_would_deny_is_allowed_and_listed_apart() {
    let (config, _directory) = fixture::config();
    let mut watched = fixture::denied(6);
    watched.decision = Outcome::WouldDeny;
    watched.forwarded = true;
    fixture::write(&config.db_path, Capture::default(), &[watched, fixture::denied(7)]);
    let reader = Reader::open(&config.db_path).unwrap();
    let rows =
        reader.query(&Filter { decision: Some(Outcome::WouldDeny), ..Filter::default() }).unwrap();
    assert_eq!(rows.iter().map(|row| (row.id, row.allowed)).collect::<Vec<_>>(), [(1, true)]);
    let sql = "SELECT id, violations FROM audit_would_deny";
    assert_eq!(texts(&reader.connection, sql), [["1", "writing is not allowed"]]);
    let sql = "SELECT messages, allowed, denied, would_deny FROM audit_hourly";
    assert_eq!(texts(&reader.connection, sql), [["2", "1", "1", "1"]]);
}

#[test]
fn time_ranges_and_denials_use_their_index() {
    let (config, _directory) = fixture::config();
    fixture::write(&config.db_path, Capture::default(), &sample());
    let reader = Reader::open(&config.db_path).unwrap();
    let plan = |sql: &str| {
        texts(&reader.connection, &format!("EXPLAIN QUERY PLAN {sql}")).concat().join(" ")
    };
    let range = plan(
        "SELECT * FROM audit_log WHERE timestamp_us > 1 ORDER BY timestamp_us DESC, id DESC LIMIT 5",
    );
    assert!(
        range.contains("USING INDEX audit_log_timestamp") && !range.contains("B-TREE"),
        "{range}"
    );
    let denials = plan("SELECT * FROM audit_denials");
    assert!(
        denials.contains("USING INDEX audit_log_denials") && !denials.contains("B-TREE"),
        "{denials}"
    );
}

#[test]
fn rows_show_every_column_and_the_documentation_names_them() {
    let (config, _directory) = fixture::config();
    fixture::write(&config.db_path, Capture::default(), &sample());
    let connection = Connection::open(&config.db_path).unwrap();
    let names = |table: &str| -> BTreeSet<String> {
        let sql = format!("SELECT name FROM pragma_table_xinfo('{table}')");
        texts(&connection, &sql).concat().into_iter().collect()
    };
    let table = names("audit_log");
    assert_eq!(table, COLUMNS.iter().map(|&name| name.to_owned()).collect());
    for name in &table {
        assert!(DOCS.contains(&format!("| `{name}` |")), "`{name}` has no line in docs/audit.md");
    }
    let views = texts(&connection, "SELECT name FROM sqlite_schema WHERE type = 'view'").concat();
    assert_eq!(views.len(), 6);
    for view in views {
        let (_, section) = DOCS.split_once(&format!("`{view}`")).expect(&view);
        let line = section.lines().next().unwrap();
        for name in names(&view) {
            assert!(line.contains(&format!("`{name}`")), "`{view}.{name}` is not in docs/audit.md");
        }
    }
}

#[test]
fn the_examples_of_the_documentation_work() {
    let (config, _directory) = fixture::config();
    fixture::write(&config.db_path, Capture::default(), &sample());
    let reader = Reader::open(&config.db_path).unwrap();
    let examples: Vec<&str> =
        DOCS.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 5);
    for statement in examples.iter().flat_map(|example| example.split_terminator(";\n")) {
        texts(&reader.connection, statement);
    }
}
