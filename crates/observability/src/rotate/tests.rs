use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use domain::{Clock, SystemClock};

use super::{DAY, Rotating};
use crate::LogFile;

/// The system's wall clock and `0` later.
struct Later(Duration);

impl Clock for Later {
    fn wall(&self) -> SystemTime {
        SystemClock.wall() + self.0
    }

    fn monotonic(&self) -> Instant {
        SystemClock.monotonic()
    }
}

fn open(folder: &Path, limit: u64, max_backups: u32, max_age: u32) -> Rotating {
    let config =
        LogFile { path: folder.join("gate.log"), max_backups, max_age, ..LogFile::default() };
    Rotating::with_limit(&config, limit, Arc::new(SystemClock)).unwrap()
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// Writes the lines of `a`, `b`, … into files of ten bytes and looks at what is there.
#[track_caller]
fn check(backups: u32, lines: &[&str], expected: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 10, backups, 0);
    for line in lines {
        log.write_all(line.as_bytes()).unwrap();
    }
    let expected: Vec<_> =
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(files(folder.path()), expected);
}

#[test]
fn a_line_that_would_cross_the_limit_begins_a_new_file() {
    check(3, &["aaaa\n", "bbbb\n"], &[("gate.log", "aaaa\nbbbb\n")]);
    check(3, &["aaaa\n", "bbbb\n", "c\n"], &[("gate.log", "c\n"), ("gate.log.1", "aaaa\nbbbb\n")]);
    check(3, &["a line of its own\n"], &[("gate.log", "a line of its own\n")]);
    check(
        2,
        &["aaaaaaa\n", "bbbbbbb\n", "ccccccc\n", "ddddddd\n"],
        &[("gate.log", "ddddddd\n"), ("gate.log.1", "ccccccc\n"), ("gate.log.2", "bbbbbbb\n")],
    );
    check(0, &["aaaaaaa\n", "bbbbbbb\n"], &[("gate.log", "bbbbbbb\n")]);
}

#[test]
fn the_file_is_continued_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), 10, 1, 0).write_all(b"aaaa\n").unwrap();
    let mut log = open(folder.path(), 10, 1, 0);
    log.write_all(b"bbbb\n").unwrap();
    log.write_all(b"c\n").unwrap();
    let expected = [("gate.log", "c\n"), ("gate.log.1", "aaaa\nbbbb\n")];
    assert_eq!(files(folder.path()), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn what_is_too_many_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        File::create(folder.path().join(format!("gate.log.{number}"))).unwrap();
    }
    open(folder.path(), 10, 1, 0);
    let names: Vec<_> = files(folder.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["gate.log", "gate.log.1"]);
}

#[test]
fn what_has_passed_its_age_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    for (number, days) in [(1, 1), (2, 3)] {
        let file = File::create(folder.path().join(format!("gate.log.{number}"))).unwrap();
        let then = SystemClock.wall() - DAY * days;
        file.set_times(FileTimes::new().set_modified(then)).unwrap();
    }
    let names = || files(folder.path()).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    open(folder.path(), 10, 5, 0);
    assert_eq!(names(), ["gate.log", "gate.log.1", "gate.log.2"]);
    open(folder.path(), 10, 5, 2);
    assert_eq!(names(), ["gate.log", "gate.log.1"]);
}

#[test]
fn age_is_looked_at_when_a_file_begins() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogFile {
        path: folder.path().join("gate.log"),
        max_backups: 5,
        max_age: 2,
        ..LogFile::default()
    };
    let mut log = Rotating::with_limit(&config, 4, Arc::new(Later(DAY * 3))).unwrap();
    log.write_all(b"aaa\n").unwrap();
    log.write_all(b"bbb\n").unwrap();
    assert_eq!(files(folder.path()).len(), 1, "the older file is three days old at once");
}

#[test]
fn a_file_that_cannot_be_moved_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 4, 1, 0);
    fs::create_dir(folder.path().join("gate.log.1")).unwrap();
    log.write_all(b"aaa\n").unwrap();
    log.write_all(b"bbb\n").unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("gate.log")).unwrap(), "aaa\nbbb\n");
}
