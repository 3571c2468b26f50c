use std::fs;

use super::Stamp;

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
