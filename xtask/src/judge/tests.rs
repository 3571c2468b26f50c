use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::copy;

#[test]
fn a_copy_is_writable_and_keeps_what_was_built_in_it() {
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (home.path().join("from"), home.path().join("to"));
    fs::create_dir_all(from.join("deep")).unwrap();
    let script = from.join("deep/run.sh");
    fs::write(&script, "one").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o555)).unwrap();
    fs::create_dir_all(to.join("target")).unwrap();

    copy(&from, &to).unwrap();
    let copied = to.join("deep/run.sh");
    assert_eq!(fs::read_to_string(&copied).unwrap(), "one");
    assert_eq!(fs::metadata(&copied).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(to.join("target").is_dir());

    let written = fs::metadata(&copied).unwrap().modified().unwrap();
    copy(&from, &to).unwrap();
    assert_eq!(fs::metadata(&copied).unwrap().modified().unwrap(), written);

    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&script, "two").unwrap();
    copy(&from, &to).unwrap();
    assert_eq!(fs::read_to_string(&copied).unwrap(), "two");
}
