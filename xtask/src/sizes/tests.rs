use std::fs;

use super::{CRATE_LINES, FILE_LINES, measure};

/// Lays out a crate of files of so many lines, and checks its length and the complaints about it.
#[track_caller]
fn check(files: &[(&str, usize)], total: usize, complaints: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    for (name, lines) in files {
        let path = home.path().join("src").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "//\n".repeat(*lines)).unwrap();
    }
    let mut wrong = Vec::new();
    assert_eq!(measure(home.path(), &mut wrong).unwrap(), total);
    assert_eq!(wrong.len(), complaints.len(), "{wrong:?}");
    for (found, expected) in wrong.iter().zip(complaints) {
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn a_file_has_a_limit() {
    check(&[("lib.rs", FILE_LINES)], FILE_LINES, &[]);
    check(&[("lib.rs", 1), ("deep/er.rs", FILE_LINES + 1)], FILE_LINES + 2, &["er.rs: 601 lines"]);
}

#[test]
fn a_crate_has_a_limit() {
    let names: Vec<String> = (0..10).map(|n| format!("part{n}.rs")).collect();
    let mut files: Vec<(&str, usize)> = names.iter().map(|n| (n.as_str(), 500)).collect();
    check(&files, CRATE_LINES, &[]);
    files.push(("lib.rs", 1));
    check(&files, CRATE_LINES + 1, &["5001 lines, limit 5000"]);
}

#[test]
fn tests_do_not_count() {
    check(&[("lib.rs", 3), ("lib/tests.rs", 9_000), ("tests/wire.rs", 9_000)], 3, &[]);
}
