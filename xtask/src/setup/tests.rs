use std::fs;

use super::{GUNGRAUN_RUNNER, Stamp};
use crate::tree;

#[test]
fn a_stamp_holds_until_its_source_changes() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("lock");
    fs::write(&source, "one").unwrap();
    let stamp = || Stamp::of(&source, home.path()).unwrap();
    assert!(!stamp().holds(), "nothing is installed yet");
    stamp().set().unwrap();
    assert!(stamp().holds());
    fs::write(&source, "two").unwrap();
    assert!(!stamp().holds());
}

#[test]
fn the_runner_is_of_the_version_of_the_library() {
    let manifest = fs::read_to_string(tree::at("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("gungraun = \"={GUNGRAUN_RUNNER}\"")), "{GUNGRAUN_RUNNER}");
}
