use std::sync::Arc;

use domain::{ErrorKind, Health, Probe, Recorder, Slot, Span};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{AuditLog, Disabled, open};
use crate::fixture::{self, eventually};
use crate::{Config, Stats};

fn start(change: impl FnOnce(&mut Config)) -> (AuditLog, Config, TempDir) {
    let (mut config, directory) = fixture::config();
    change(&mut config);
    (AuditLog::open(&config, fixture::clock()).unwrap(), config, directory)
}

async fn slot(log: &AuditLog) -> Box<dyn Slot> {
    log.reserve().await.unwrap()
}

async fn record(log: &AuditLog, number: u32) {
    slot(log).await.record(fixture::event(number));
}

/// What keeps room from being reserved: the text for the operator.
async fn refusal(log: &AuditLog) -> String {
    let failure = log.reserve().await.map(drop).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::AuditUnavailable);
    assert!(!failure.message.contains('/'), "no path for the client: {}", failure.message);
    failure.detail
}

#[tokio::test]
async fn three_thousand_events_one_after_another_are_three_thousand_rows() {
    let (log, config, _directory) = start(|_| {});
    for number in 0..3000 {
        record(&log, number).await;
    }
    log.shutdown();
    let rows = fixture::rows(&config.db_path);
    assert!(rows.iter().map(|row| row.id).eq(1..=3000));
    assert!(rows.is_sorted_by_key(|row| row.timestamp_us));
    assert_eq!((log.stats().written, log.stats().dropped, log.stats().queued), (3000, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_events_of_many_tasks_are_fifty_thousand_rows() {
    // A queue much smaller than the number of events, and time enough to wait for room on a slow machine.
    let (log, config, _directory) = start(|config| {
        config.buffer_size = 1000;
        config.max_wait = Span::secs(60);
    });
    let log = Arc::new(log);
    let tasks = (0..50).map(|task| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for number in 0..1000 {
                record(&log, task * 1000 + number).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    log.shutdown();
    let connection = Connection::open(&config.db_path).unwrap();
    let counts: (i64, i64) = connection
        .query_row("SELECT count(*), count(DISTINCT request_id) FROM audit_log", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(counts, (50_000, 50_000));
    assert_eq!((log.stats().written, log.stats().dropped), (50_000, 0));
}

#[tokio::test]
async fn an_event_is_committed_without_further_ado() {
    let (log, config, _directory) = start(|_| {});
    record(&log, 1).await;
    eventually(|| log.stats().written == 1);
    assert_eq!(fixture::rows(&config.db_path).len(), 1);
    assert_eq!(log.health(), Health::Up);
    assert_eq!(log.name(), "audit");
}

#[tokio::test]
async fn a_queue_that_is_half_full_wakes_the_writer() {
    let (log, _config, _directory) = start(|config| {
        config.flush_interval = Span::secs(3600);
        config.buffer_size = 2;
        config.max_wait = Span::secs(60);
    });
    record(&log, 1).await;
    eventually(|| log.stats().written == 1);
    // Waiting for room wakes it too: one slot is out, and the other room is that of the event.
    let out = slot(&log).await;
    record(&log, 2).await;
    record(&log, 3).await;
    eventually(|| log.stats().written == 3);
    drop(out);
}

#[tokio::test]
async fn a_slot_that_is_not_used_gives_its_room_back() {
    let (log, config, _directory) = start(|config| {
        config.buffer_size = 1;
        config.max_wait = Span::millis(20);
    });
    for _ in 0..3 {
        drop(slot(&log).await);
    }
    let out = slot(&log).await;
    let reason = refusal(&log).await;
    assert!(reason.contains("queue of 1 events") && reason.contains("for 20ms"), "{reason}");
    out.record(fixture::event(1));
    eventually(|| log.stats().written == 1);
    record(&log, 2).await;
    log.shutdown();
    assert_eq!(fixture::rows(&config.db_path).len(), 2);
}

#[tokio::test]
async fn a_locked_database_holds_messages_back_and_loses_nothing() {
    let (log, config, _directory) = start(|config| {
        config.buffer_size = 8;
        config.max_wait = Span::millis(20);
    });
    record(&log, 0).await;
    eventually(|| log.stats().written == 1);
    let other = Connection::open(&config.db_path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for number in 1..=8 {
        record(&log, number).await;
    }
    assert!(refusal(&log).await.contains("`audit.buffer_size`"));
    eventually(|| matches!(log.health(), Health::Down(reason) if reason.contains("locked")));
    assert!(refusal(&log).await.contains("database is locked"));
    other.execute_batch("COMMIT").unwrap();
    eventually(|| log.stats().written == 9);
    assert_eq!(log.health(), Health::Up);
    record(&log, 9).await;
    log.shutdown();
    assert_eq!(fixture::rows(&config.db_path).len(), 10);
    assert_eq!(log.stats().dropped, 0);
}

#[tokio::test]
async fn a_database_that_is_replaced_by_a_directory_comes_back() {
    let (log, config, directory) = start(|config| {
        config.buffer_size = 4;
        config.max_wait = Span::millis(20);
    });
    record(&log, 0).await;
    eventually(|| log.stats().written == 1);
    let old = directory.path().join("old.db");
    std::fs::rename(&config.db_path, &old).unwrap();
    std::fs::create_dir(&config.db_path).unwrap();
    for number in 1..=4 {
        record(&log, number).await;
    }
    eventually(
        || matches!(log.health(), Health::Down(reason) if reason.contains("is a directory")),
    );
    assert!(refusal(&log).await.contains("is a directory"));
    std::fs::remove_dir(&config.db_path).unwrap();
    eventually(|| log.health() == Health::Up);
    log.shutdown();
    assert_eq!((fixture::rows(&old).len(), fixture::rows(&config.db_path).len()), (1, 4));
    assert_eq!((log.stats().written, log.stats().dropped), (5, 0));
}

#[tokio::test]
async fn the_shutdown_counts_what_a_dead_database_does_not_take() {
    let (log, config, _directory) = start(|_| {});
    std::fs::remove_file(&config.db_path).unwrap();
    std::fs::create_dir(&config.db_path).unwrap();
    for number in 0..3 {
        record(&log, number).await;
    }
    log.shutdown();
    assert_eq!(log.stats(), Stats { dropped: 3, ..Stats::default() });
    assert!(matches!(log.health(), Health::Down(_)));
}

#[tokio::test]
async fn the_shutdown_writes_everything_and_refuses_what_comes_later() {
    let (log, config, _directory) = start(|config| config.flush_interval = Span::secs(3600));
    for number in 0..2500 {
        record(&log, number).await;
    }
    log.shutdown();
    log.shutdown();
    assert!(!crate::store::beside(&config.db_path, "-wal").exists(), "the file is whole by itself");
    assert_eq!(fixture::rows(&config.db_path).len(), 2500);
    assert_eq!(refusal(&log).await, "the audit log is closed");
    assert_eq!(log.health(), Health::Down("the audit log is closed".to_owned()));
}

#[tokio::test]
async fn the_shutdown_waits_for_the_slots_that_are_out() {
    let (log, config, _directory) = start(|config| config.max_wait = Span::secs(60));
    let out = slot(&log).await;
    let log = Arc::new(log);
    let closing = std::thread::spawn({
        let log = Arc::clone(&log);
        move || log.shutdown()
    });
    eventually(|| log.shared.is_closing());
    out.record(fixture::event(1));
    closing.join().unwrap();
    assert_eq!(fixture::rows(&config.db_path).len(), 1);
}

#[tokio::test]
async fn an_event_that_comes_after_the_shutdown_is_counted_as_lost() {
    let (log, config, _directory) = start(|config| config.max_wait = Span::millis(0));
    let out = slot(&log).await;
    log.shutdown();
    out.record(fixture::event(1));
    assert_eq!(log.stats(), Stats { dropped: 1, ..Stats::default() });
    assert!(fixture::rows(&config.db_path).is_empty());
}

#[tokio::test]
async fn dropping_the_log_writes_what_is_queued() {
    let (log, config, _directory) = start(|config| config.flush_interval = Span::secs(3600));
    record(&log, 1).await;
    drop(log);
    assert_eq!(fixture::rows(&config.db_path).len(), 1);
}

#[tokio::test]
async fn a_log_that_is_switched_off_writes_nothing() {
    let (mut config, _directory) = fixture::config();
    config.enabled = false;
    assert!(open(&config, fixture::clock()).unwrap().is_none());
    assert!(!config.db_path.exists());
    Disabled.reserve().await.unwrap().record(fixture::event(1));
    config.enabled = true;
    assert!(open(&config, fixture::clock()).unwrap().is_some());
    assert!(config.db_path.exists());
}

#[test]
fn a_wrong_configuration_is_refused() {
    let (config, _directory) = fixture::config();
    let config = Config { buffer_size: 0, ..config };
    let error = AuditLog::open(&config, fixture::clock()).map(drop).unwrap_err().to_string();
    assert!(error.contains("`audit.buffer_size`"), "{error}");
}
