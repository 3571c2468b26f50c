use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{keep, read_file};
use crate::fixture::{SHARED, keys, packed, signed};
use crate::{Algorithm, Bundle, Config, Verification};

#[test]
fn what_is_kept_is_read_and_verified_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle.tar.gz");
    let mut config = Config { key_id: Some("a".to_owned()), ..Config::default() };
    let key = domain::Secret::new(SHARED.to_owned());
    config.shared_keys.insert("a".to_owned(), key);
    assert!(read_file(&path, &config).unwrap_err().to_string().contains("bundle.tar.gz"));

    let bytes = signed(&packed("r1"), &keys(Algorithm::HS256).0);
    let bundle = Bundle::read(bytes.into(), &config.verification().unwrap()).unwrap();
    keep(&path, &bundle).unwrap();
    keep(&path, &bundle).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
    assert_eq!(read_file(&path, &config).unwrap().manifest().revision, "r1");

    // Somebody has put another in its place.
    fs::write(&path, packed("r2")).unwrap();
    assert!(read_file(&path, &config).unwrap_err().to_string().contains("signature"));
    let large = Config { max_bytes: 10, ..Config::default() };
    assert!(read_file(&path, &large).unwrap_err().to_string().contains("max_bytes"));
}

#[test]
fn what_cannot_be_written_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle.tar.gz");
    fs::create_dir(folder.path().join("bundle.tar.gz.new")).unwrap();
    fs::write(&path, "old").unwrap();
    let bundle = Bundle::read(packed("r1").into(), &Verification::default()).unwrap();
    assert!(keep(&path, &bundle).unwrap_err().to_string().contains("persist_file"));
    assert_eq!(fs::read(&path).unwrap(), b"old");
}
