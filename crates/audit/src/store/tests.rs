use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{Store, beside};
use crate::fixture;
use crate::insert::Inserter;

fn add(store: &mut Store, number: u32) {
    let mut inserter = Inserter::new(crate::Capture::default());
    store.with(|connection| inserter.insert(connection, &[fixture::event(number)])).unwrap();
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn rows(path: &Path) -> i64 {
    number(&Connection::open(path).unwrap(), "SELECT count(*) FROM audit_log")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_database_is_set_up_for_one_writer_and_many_readers() {
    let (config, _directory) = fixture::config();
    let mut store = Store::open(&config.db_path).unwrap();
    store
        .with(|connection| {
            let text = |sql| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(text("PRAGMA journal_mode"), "wal");
            assert_eq!(number(connection, "PRAGMA synchronous"), 1);
            assert_eq!(number(connection, "PRAGMA auto_vacuum"), 2);
            assert_eq!(number(connection, "PRAGMA user_version"), 3);
            Ok(())
        })
        .unwrap();
}

#[test]
fn nobody_else_can_read_the_files() {
    let (config, _directory) = fixture::config();
    let path = &config.db_path;
    let mut store = Store::open(path).unwrap();
    add(&mut store, 1);
    for file in [path.clone(), beside(path, "-wal"), beside(path, "-shm")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    // A log that was opened up is closed again.
    for file in [path.clone(), beside(path, "-wal")] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let _second = Store::open(path).unwrap();
    assert_eq!((mode(path), mode(&beside(path, "-wal"))), (0o600, 0o600));
}

#[test]
fn an_existing_log_is_continued() {
    let (config, _directory) = fixture::config();
    add(&mut Store::open(&config.db_path).unwrap(), 1);
    add(&mut Store::open(&config.db_path).unwrap(), 2);
    assert_eq!(rows(&config.db_path), 2);
}

#[test]
fn a_log_that_is_moved_keeps_its_rows_and_a_new_one_begins() {
    let (config, directory) = fixture::config();
    let old = directory.path().join("old.db");
    let mut store = Store::open(&config.db_path).unwrap();
    add(&mut store, 1);
    add(&mut store, 2);
    std::fs::rename(&config.db_path, &old).unwrap();
    add(&mut store, 3);
    drop(store);
    assert_eq!((rows(&old), rows(&config.db_path)), (2, 1));
}

#[test]
fn a_wal_without_its_database_is_not_replayed() {
    let (config, directory) = fixture::config();
    let mut store = Store::open(&config.db_path).unwrap();
    add(&mut store, 1);
    let stale = std::fs::read(beside(&config.db_path, "-wal")).unwrap();
    drop(store);
    let path = directory.path().join("fresh.db");
    std::fs::write(beside(&path, "-wal"), stale).unwrap();
    drop(Store::open(&path).unwrap());
    assert_eq!(rows(&path), 0);
}

#[test]
fn names_that_mean_something_to_sqlite_are_plain_files() {
    let directory = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:x?mode=memory", "a b%20'ü.db"] {
        let path = directory.path().join(name);
        add(&mut Store::open(&path).unwrap(), 1);
        assert_eq!(rows(&path), 1, "{name}");
    }
}

#[track_caller]
fn check(path: PathBuf, wanted: &str) {
    let error = Store::open(&path).map(drop).unwrap_err().to_string();
    assert!(error.contains(wanted) && error.contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn what_cannot_be_a_log_is_refused_with_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("text.db"), "not a database, however long this text may be: ".repeat(100))
        .unwrap();
    std::fs::write(at("file"), "").unwrap();
    let foreign = Connection::open(at("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE audit_log (id INTEGER PRIMARY KEY)").unwrap();
    check(at(""), "is a directory: set `audit.db_path` to a file in it");
    check(at("missing/audit.db"), "create its directory");
    check(at("file/audit.db"), "a part of the path is a file");
    check(at("text.db"), "is not a SQLite database");
    check(at("foreign.db"), "not an audit log of this program");
    let journal: String = foreign.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(journal, "delete", "another program's database is left as it was");
}
