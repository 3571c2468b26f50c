use std::path::Path;

use rusqlite::Connection;

use super::{MIGRATIONS, migrate, version};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

#[track_caller]
fn check(setup: &str, expected: Result<usize, &str>) {
    let mut connection = open();
    connection.execute_batch(setup).unwrap();
    let path = Path::new("some.db");
    let result = migrate(&mut connection, path, MIGRATIONS)
        .and_then(|()| version(&connection, path, MIGRATIONS.len()));
    match (result, expected) {
        (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{setup}"),
        (Err(error), Err(part)) => {
            let text = error.to_string();
            assert!(text.contains("`some.db`") && text.contains(part), "{setup}: {text}");
        }
        (got, _) => panic!("{setup}: {got:?}"),
    }
}

#[test]
fn only_our_own_databases_are_touched() {
    check("", Ok(3));
    check("CREATE TABLE audit_log (id INTEGER)", Err("not an audit log of this program"));
    check("PRAGMA user_version = 1", Err("not an audit log of this program"));
    check("PRAGMA application_id = 7; PRAGMA user_version = 1", Err("not an audit log"));
    check(
        "PRAGMA application_id = 1296257089; PRAGMA user_version = 9",
        Err("has schema 9, and this release knows 3 at most"),
    );
    check("PRAGMA application_id = 1296257089; PRAGMA user_version = -1", Err("has schema -1"));
}

#[test]
fn migrations_that_are_missing_run_once_and_keep_the_rows() {
    let mut connection = open();
    let path = Path::new("some.db");
    let first = ["CREATE TABLE audit_log (id INTEGER PRIMARY KEY) STRICT"];
    let second = [first[0], "ALTER TABLE audit_log ADD COLUMN finding TEXT"];
    migrate(&mut connection, path, &first).unwrap();
    connection.execute_batch("INSERT INTO audit_log DEFAULT VALUES").unwrap();
    migrate(&mut connection, path, &second).unwrap();
    migrate(&mut connection, path, &second).unwrap();
    assert_eq!(version(&connection, path, second.len()).unwrap(), 2);
    let found: (i64, Option<String>) = connection
        .query_row("SELECT id, finding FROM audit_log", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(found, (1, None));
    let older = migrate(&mut connection, path, &first).unwrap_err().to_string();
    assert!(older.contains("has schema 2, and this release knows 1 at most"), "{older}");
}

#[test]
fn a_migration_that_fails_leaves_nothing_behind() {
    let mut connection = open();
    let path = Path::new("some.db");
    let broken = ["CREATE TABLE audit_log (id INTEGER) STRICT", "CREATE NONSENSE"];
    migrate(&mut connection, path, &broken).unwrap_err();
    assert_eq!(version(&connection, path, 2).unwrap(), 0);
    migrate(&mut connection, path, MIGRATIONS).unwrap();
}
