use std::fs;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[track_caller]
fn check(command: &[&str], own: &[(&str, &str)], ours: &[(&str, &str)], expected: &str) {
    let command: Vec<String> = command.iter().map(|&part| part.to_owned()).collect();
    let made = Command::new(&command, variables(own), &variables(ours), None);
    let outcome = match made.and_then(|command| command.check()) {
        Ok(()) => "found".to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(outcome.contains(expected), "{command:?}: {outcome}");
}

#[test]
fn a_program_is_named_so_that_no_working_directory_decides_what_it_is() {
    check(&[], &[], &[], "no program");
    check(&["/bin/sh", "a\0b"], &[], &[], "NUL");
    check(&["./sh"], &[("PATH", "/bin")], &[], "absolute path");
    check(&["bin/sh"], &[("PATH", "/")], &[], "absolute path");
    check(&["sh"], &[("PATH", "bin:.:")], &[], "not found on PATH");
}

#[test]
fn a_program_is_looked_for_on_the_path_of_the_child_before_ours() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    check(&["sh"], &[("PATH", "/bin")], &[("PATH", empty)], "found");
    check(&["sh"], &[("PATH", empty)], &[("PATH", "/bin")], "`sh` was not found on PATH");
    check(&["sh"], &[], &[("PATH", "/bin")], "found");
    check(&["sh"], &[], &[], "`sh` was not found on PATH");
}

#[test]
fn a_program_is_a_file_that_can_be_executed() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "text").unwrap();
    check(&[plain.to_str().unwrap()], &[], &[], "plain` is not a file that can be executed");
    check(&[folder.path().to_str().unwrap()], &[], &[], "is not a file that can be executed");
    check(&["plain"], &[("PATH", folder.path().to_str().unwrap())], &[], "not found on PATH");
    check(&["/bin/sh"], &[], &[], "found");
}
