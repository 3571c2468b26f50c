use domain::Outcome;

use super::*;
use crate::audit::fixture::{Fixture, allowed, denied};

const NONE: [i64; 0] = [];

fn seconds(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| row.timestamp_us / 1_000_000 % 60).collect()
}

fn begin(fixture: &Fixture, filter: Filter) -> (Tail, Vec<i64>) {
    let reader = Reader::open(&fixture.path).unwrap();
    let (tail, rows) = Tail::begin(reader, filter).unwrap();
    (tail, seconds(&rows))
}

#[tokio::test]
async fn the_last_rows_come_in_the_order_of_time() {
    let fixture = Fixture::new();
    fixture.record((1..=9).map(allowed)).await;
    let (_, rows) = begin(&fixture, Filter { limit: 3, ..Filter::default() });
    assert_eq!(rows, [7, 8, 9]);
}

#[tokio::test]
async fn each_row_is_followed_once() {
    let fixture = Fixture::new();
    fixture.record((1..=2).map(allowed)).await;
    let (mut tail, rows) = begin(&fixture, Filter::default());
    assert_eq!(rows, [1, 2]);
    assert_eq!(seconds(&tail.next().unwrap()), NONE);
    fixture.record((3..=4).map(allowed)).await;
    assert_eq!(seconds(&tail.next().unwrap()), [3, 4]);
    assert_eq!(seconds(&tail.next().unwrap()), NONE);
    fixture.record([allowed(5)]).await;
    assert_eq!(seconds(&tail.next().unwrap()), [5]);
}

#[tokio::test]
async fn conditions_hold_for_what_follows() {
    let fixture = Fixture::new();
    fixture.record([allowed(1), denied(2)]).await;
    let filter = Filter { decision: Some(Outcome::Deny), limit: 0, ..Filter::default() };
    let (mut tail, rows) = begin(&fixture, filter);
    assert_eq!(rows, NONE);
    fixture.record([allowed(3), denied(4), allowed(5)]).await;
    assert_eq!(seconds(&tail.next().unwrap()), [4]);
    assert_eq!(
        tail.last,
        tail.reader.last_id().unwrap(),
        "what the filter left out is not read again"
    );
}

#[tokio::test]
async fn a_log_without_rows_can_be_followed() {
    let fixture = Fixture::new();
    let (mut tail, rows) = begin(&fixture, Filter::default());
    assert_eq!(rows, NONE);
    fixture.record([allowed(1)]).await;
    assert_eq!(seconds(&tail.next().unwrap()), [1]);
}
