use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use testkit::clock::ManualClock;

use crate::fixture::Fixture;
use crate::{ApprovalStore, Config};

fn open(path: &Path) -> Result<ApprovalStore, crate::Error> {
    ApprovalStore::open(path, &Config::default(), ManualClock::new())
}

#[track_caller]
fn check_refused(path: &Path, wanted: &str) {
    let error = open(path).map(drop).unwrap_err().to_string();
    assert!(error.contains(wanted) && error.contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn what_does_not_hold_approvals_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("text.db"), "plain text ".repeat(100)).unwrap();
    let foreign = Connection::open(at("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE approval (id INTEGER PRIMARY KEY)").unwrap();
    open(&at("newer.db")).unwrap();
    let newer = Connection::open(at("newer.db")).unwrap();
    newer.execute_batch("PRAGMA user_version = 7").unwrap();
    check_refused(&at("text.db"), "does not hold approvals");
    check_refused(&at("foreign.db"), "does not hold approvals");
    check_refused(&at("newer.db"), "schema 7, and this release knows 1");
    check_refused(&at("missing/x.db"), "cannot be opened");
    let mode: String = foreign.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn nobody_else_can_read_the_files() {
    let fixture = Fixture::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", fixture.path.display());
        assert_eq!(mode(Path::new(&path)), 0o600, "{path}");
    }
    std::fs::set_permissions(&fixture.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&fixture.path).unwrap());
    assert_eq!(mode(&fixture.path), 0o600);
}

#[test]
fn many_may_open_a_new_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = Arc::new(directory.path().join("approvals.db"));
    let opened = [(); 8].map(|()| {
        let path = Arc::clone(&path);
        std::thread::spawn(move || open(&path).map(drop))
    });
    for thread in opened {
        thread.join().unwrap().unwrap();
    }
}
