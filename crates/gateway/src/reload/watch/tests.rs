use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::{Clock as _, SystemClock};

use super::{RESTLESS, Watch};

const HALF: Duration = Duration::from_millis(500);

struct Looks {
    watch: Watch,
    now: Instant,
}

impl Looks {
    fn at(roots: &[&Path]) -> Self {
        let roots = roots.iter().map(|it| (*it).to_owned()).collect();
        Self { watch: Watch::new(roots), now: SystemClock.monotonic() }
    }

    /// The next look, half a second later.
    fn next(&mut self) -> bool {
        self.now += HALF;
        self.watch.has_news(self.now)
    }
}

/// A folder with one policy in a subfolder, and a data file outside of it.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("policies/deep")).unwrap();
    fs::write(dir.path().join("policies/deep/a.rego"), "package a").unwrap();
    fs::write(dir.path().join("data.yaml"), "a: 1").unwrap();
    dir
}

/// Expects `change` to be news at the second look after it, once.
#[track_caller]
fn check(change: impl FnOnce(&Path), news: bool) {
    let dir = files();
    let (policies, data) = (dir.path().join("policies"), dir.path().join("data.yaml"));
    let mut looks = Looks::at(&[&policies, &data]);
    assert!(!looks.next());
    change(dir.path());
    assert!(!looks.next(), "a change must come to rest");
    assert_eq!(looks.next(), news);
    looks.watch.note();
    assert!(!looks.next() && !looks.next(), "news are told once");
}

#[test]
fn whatever_changes_what_would_be_read_is_news() {
    check(|_| (), false);
    check(|dir| fs::write(dir.join("policies/deep/a.rego"), "package changed").unwrap(), true);
    check(|dir| fs::write(dir.join("policies/b.rego"), "package b").unwrap(), true);
    check(|dir| fs::write(dir.join("data.yaml"), "a: changed").unwrap(), true);
    check(|dir| fs::remove_file(dir.join("policies/deep/a.rego")).unwrap(), true);
    check(|dir| fs::remove_dir_all(dir.join("policies")).unwrap(), true);
    check(|dir| fs::rename(dir.join("policies/deep"), dir.join("policies/far")).unwrap(), true);
    check(
        |dir| {
            fs::write(dir.join("new"), "package b").unwrap();
            fs::rename(dir.join("new"), dir.join("policies/deep/a.rego")).unwrap();
        },
        true,
    );
}

#[test]
fn hidden_files_are_no_news() {
    check(|dir| fs::write(dir.join("policies/.a.rego.swp"), "x").unwrap(), false);
}

#[test]
fn the_swap_of_a_link_is_news() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    for version in ["..v1", "..v2"] {
        fs::create_dir(policies.join(version)).unwrap();
        fs::write(policies.join(version).join("a.rego"), "package a").unwrap();
    }
    symlink("..v1", policies.join("..data")).unwrap();
    symlink("..data/a.rego", policies.join("a.rego")).unwrap();
    let mut looks = Looks::at(&[&policies]);
    assert!(!looks.next());
    symlink("..v2", policies.join("..new")).unwrap();
    fs::rename(policies.join("..new"), policies.join("..data")).unwrap();
    assert!(!looks.next());
    assert!(looks.next());
}

#[test]
fn what_is_put_back_is_no_news() {
    let dir = files();
    let policies = dir.path().join("policies");
    let mut looks = Looks::at(&[&policies]);
    fs::rename(&policies, dir.path().join("away")).unwrap();
    assert!(!looks.next());
    fs::rename(dir.path().join("away"), &policies).unwrap();
    assert!(!looks.next() && !looks.next());
}

#[test]
fn files_that_keep_changing_are_waited_for_but_not_for_ever() {
    let dir = files();
    let mut looks = Looks::at(&[dir.path()]);
    let mut news = Vec::new();
    for number in 0..4 {
        fs::write(dir.path().join("data.yaml"), "x".repeat(number + 10)).unwrap();
        news.push(looks.next());
    }
    assert_eq!(RESTLESS, 2 * HALF);
    assert_eq!(news, [false, false, true, true]);
}

#[test]
fn it_is_known_whether_files_stayed_as_they_were_noted() {
    let dir = files();
    let mut watch = Watch::new(vec![dir.path().to_owned()]);
    assert!(watch.is_as_noted());
    fs::write(dir.path().join("data.yaml"), "changed").unwrap();
    assert!(!watch.is_as_noted());
    watch.note();
    assert!(watch.is_as_noted());
}
