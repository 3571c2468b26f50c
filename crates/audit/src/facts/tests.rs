use std::sync::Arc;

use rusqlite::Connection;

use crate::{Capture, fixture};

/// Number, last day and text of all facts.
fn kept(connection: &Connection) -> Vec<(i64, i64, String)> {
    let mut statement =
        connection.prepare("SELECT id, last_day, json FROM audit_facts ORDER BY id").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

#[test]
fn facts_are_kept_once_and_with_the_last_day_of_their_rows() {
    const DAY: u32 = 24 * 60 * 60;
    let (config, _directory) = fixture::config();
    let shared: Arc<str> = "{\"a\":1}".into();
    let of = |number: u32, facts: &Arc<str>| {
        let mut event = fixture::event(number);
        event.evidence.facts = Some(Arc::clone(facts));
        event
    };
    let batches = [
        vec![
            of(0, &shared),
            of(1, &shared),
            of(2, &"{\"a\":2}".into()),
            of(3, &"{\"a\":1}".into()),
        ],
        // Another text with the same content, in a later transaction and on a later day; then an earlier day.
        vec![of(2 * DAY, &"{\"a\":1}".into()), of(DAY, &shared)],
    ];
    for batch in batches {
        fixture::write(&config.db_path, Capture::default(), &batch);
    }
    let numbers: Vec<Option<i64>> =
        fixture::rows(&config.db_path).iter().map(|row| row.facts_id).collect();
    assert_eq!(numbers, [Some(1), Some(1), Some(2), Some(1), Some(1), Some(1)]);
    let first = i64::from(fixture::START_DAY);
    let connection = Connection::open(&config.db_path).unwrap();
    let expected = [(1, first + 2, "{\"a\":1}".to_owned()), (2, first, "{\"a\":2}".to_owned())];
    assert_eq!(kept(&connection), expected);
}
