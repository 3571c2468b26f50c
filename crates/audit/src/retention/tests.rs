use std::time::Duration;

use domain::Clock as _;
use rusqlite::Connection;
use testkit::clock::ManualClock;

use super::Retention;
use crate::fixture;
use crate::insert::Inserter;
use crate::store::Store;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: u32 = 24 * 60 * 60;

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn rows(store: &mut Store) -> i64 {
    store.with(|connection| Ok(number(connection, "SELECT count(*) FROM audit_log"))).unwrap()
}

fn add(store: &mut Store, seconds: impl Iterator<Item = u32>) {
    let events: Vec<_> = seconds.map(fixture::event).collect();
    let mut inserter = Inserter::new(crate::Capture::default());
    store.with(|connection| inserter.insert(connection, &events)).unwrap();
}

/// Steps until there is nothing more to do at once; returns the rows left after each step.
fn sweep(retention: &mut Retention, store: &mut Store, clock: &ManualClock) -> Vec<i64> {
    let mut left = Vec::new();
    while store.with(|connection| retention.step(connection, clock)).unwrap() {
        left.push(rows(store));
    }
    left
}

#[test]
fn old_rows_go_in_small_steps_and_so_does_their_room() {
    let (config, _directory) = fixture::config();
    let mut store = Store::open(&config.db_path).unwrap();
    let clock = fixture::clock();
    add(&mut store, 0..1200);
    add(&mut store, (9 * DAY)..(9 * DAY + 10));
    let pages = |store: &mut Store| store.with(|db| Ok(number(db, "PRAGMA page_count"))).unwrap();
    let before = pages(&mut store);
    clock.advance(HOUR * 24 * 10);
    let mut retention = Retention::new(5, clock.monotonic());
    let left = sweep(&mut retention, &mut store, &clock);
    assert_eq!(left[..3], [710, 210, 10]);
    assert_eq!(rows(&mut store), 10);
    assert!(pages(&mut store) < before / 4, "{before} pages before, {} after", pages(&mut store));
    let free = store.with(|connection| Ok(number(connection, "PRAGMA freelist_count"))).unwrap();
    assert_eq!(free, 0);
}

#[test]
fn a_sweep_is_due_at_the_start_and_then_every_hour() {
    let (config, _directory) = fixture::config();
    let mut store = Store::open(&config.db_path).unwrap();
    let clock = fixture::clock();
    let mut retention = Retention::new(1, clock.monotonic());
    add(&mut store, [0, 2 * DAY].into_iter());
    assert!(retention.is_due(&*clock));
    sweep(&mut retention, &mut store, &clock);
    assert_eq!(rows(&mut store), 2, "the clock says that the rows are young");
    clock.advance(HOUR * 48);
    assert!(retention.is_due(&*clock));
    sweep(&mut retention, &mut store, &clock);
    assert_eq!(rows(&mut store), 1);
    add(&mut store, [0].into_iter());
    clock.advance(HOUR - Duration::from_secs(1));
    assert!(!retention.is_due(&*clock));
    sweep(&mut retention, &mut store, &clock);
    assert_eq!(rows(&mut store), 2);
    clock.advance(Duration::from_secs(1));
    sweep(&mut retention, &mut store, &clock);
    assert_eq!(rows(&mut store), 1);
}

#[track_caller]
fn check(days: u32, ahead_days: u32, rows_at: &[u32], expected: i64) {
    let (config, _directory) = fixture::config();
    let mut store = Store::open(&config.db_path).unwrap();
    let clock = fixture::clock();
    add(&mut store, rows_at.iter().copied());
    clock.advance(HOUR * 24 * ahead_days);
    let mut retention = Retention::new(days, clock.monotonic());
    sweep(&mut retention, &mut store, &clock);
    assert_eq!(rows(&mut store), expected, "{days} days, {ahead_days} ahead, {rows_at:?}");
}

#[test]
fn rows_are_kept_for_the_configured_days() {
    check(1, 1, &[], 0);
    check(1, 1, &[0, DAY], 2);
    check(1, 1, &[0, DAY + 1], 2);
    check(1, 2, &[0, DAY - 1, DAY, 2 * DAY], 2);
    check(0, 9999, &[0, 9 * DAY], 2);
    check(u32::MAX, 9999, &[0, 9 * DAY], 2);
}

#[test]
fn a_clock_that_jumps_forward_does_not_empty_the_log() {
    check(30, 3650, &[0, DAY, 2 * DAY], 3);
    check(1, 3650, &[0, DAY, 2 * DAY + 1], 1);
    // A row from the future does not make the others old.
    check(30, 1, &[0, 20000 * 3, u32::MAX], 3);
}

#[test]
fn facts_go_with_the_last_of_their_rows() {
    let (config, _directory) = fixture::config();
    let mut store = Store::open(&config.db_path).unwrap();
    let clock = fixture::clock();
    let mut inserter = Inserter::new(crate::Capture::default());
    let events: Vec<_> = [(0, "old"), (0, "shared"), (3 * DAY, "shared"), (4 * DAY, "new")]
        .into_iter()
        .map(|(second, facts)| {
            let mut event = fixture::event(second);
            event.evidence.facts = Some(facts.into());
            event
        })
        .collect();
    store.with(|connection| inserter.insert(connection, &events)).unwrap();
    clock.advance(HOUR * 24 * 4);
    let mut retention = Retention::new(2, clock.monotonic());
    sweep(&mut retention, &mut store, &clock);
    let facts = |connection: &mut Connection| {
        let sql = "SELECT group_concat(json) FROM audit_facts";
        connection.query_row(sql, [], |row| row.get::<_, String>(0))
    };
    assert_eq!(store.with(facts).unwrap(), "shared,new");
    let lost = "SELECT count(*) FROM audit_log WHERE facts_id NOT IN (SELECT id FROM audit_facts)";
    assert_eq!(store.with(|connection| Ok(number(connection, lost))).unwrap(), 0);
}
