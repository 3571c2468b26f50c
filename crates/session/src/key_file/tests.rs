use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use tempfile::TempDir;

use crate::{Config, Error, KeyFile, Keys};

fn load(path: &Path) -> Result<Keys, Error> {
    Keys::load(&Config { key_file: Some(path.to_owned()), ..Config::default() })
}

fn look(path: &Path) -> Result<Option<KeyFile>, Error> {
    Keys::check(&Config { key_file: Some(path.to_owned()), ..Config::default() })
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

fn line(byte: u8) -> String {
    BASE64.encode(&[byte; 32])
}

fn opens(sealed: &[u8], keys: &Keys) -> bool {
    keys.open(b"", sealed).is_some()
}

#[test]
fn a_file_is_made_once_private_and_read_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys");
    let sealed = load(&path).unwrap().seal(b"", vec![1]).unwrap();
    assert!(opens(&sealed, &load(&path).unwrap()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn gateways_that_start_together_agree() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys");
    let keys: Vec<Keys> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load(&path).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let sealed = keys[0].seal(b"", vec![1]).unwrap();
    assert!(keys.iter().all(|keys| opens(&sealed, keys)));
}

#[test]
fn the_first_line_seals_and_all_open() {
    let (_one, old) = file(&line(1));
    let (_two, both) = file(&format!("# new first\n\n  {}\r\n{}\n", line(2), line(1)));
    let (_three, new) = file(&line(2));
    let [old, both, new] = [old, both, new].map(|path| load(&path).unwrap());
    let seal = |keys: &Keys| keys.seal(b"", vec![1]).unwrap();
    assert!(opens(&seal(&old), &both));
    assert!(opens(&seal(&both), &new));
    assert!(!opens(&seal(&both), &old));
}

/// `text` is refused with an error that says `says`, and none of the text, whoever looks.
#[track_caller]
fn check(text: &str, says: &str) {
    let (_folder, path) = file(text);
    let error = load(&path).err().expect("an error").to_string();
    assert_eq!(look(&path).unwrap_err().to_string(), error);
    assert!(error.contains(says) && error.contains("`session.key_file`"), "{error}");
    for word in text.split_whitespace().filter(|word| word.len() > 1) {
        assert!(!error.contains(word), "{error}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    check("", "holds no key");
    check("# only a comment\n\n", "holds no key");
    check(&format!("{}\nhunter2!\n", line(1)), "line 2 of");
    check("c2hvcnQ=\n", "it has 5 bytes");
    check(&BASE64.encode(&[0; 33]), "it has 33 bytes");
    check(&"A".repeat(100_000), "not a small file");
}

#[test]
fn others_must_not_write_and_may_read() {
    let (_folder, path) = file(&line(1));
    for (mode, refused) in
        [(0o600, false), (0o400, false), (0o644, false), (0o660, true), (0o602, true)]
    {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = load(&path).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), refused, "{mode:o} {error:?}");
        assert_eq!(look(&path).err().map(|error| error.to_string()), error);
        assert!(error.is_none_or(|error| error.contains(&format!("{mode:04o}"))));
    }
}

#[test]
fn looking_makes_nothing() {
    assert_eq!(Keys::check(&Config::default()).unwrap(), None);
    let folder = TempDir::new().unwrap();
    assert_eq!(look(&folder.path().join("keys")).unwrap(), Some(KeyFile::Missing));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let (_folder, path) = file(&line(1));
    assert_eq!(look(&path).unwrap(), Some(KeyFile::Private));
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert_eq!(look(&path).unwrap(), Some(KeyFile::Readable));
}

/// What is no file is refused, with what to do instead.
#[track_caller]
fn check_place(path: &Path, says: &str) {
    let error = load(path).err().expect("an error").to_string();
    assert!(error.ends_with(says), "{error}");
}

#[test]
fn a_wrong_place_is_named_with_the_remedy() {
    let (folder, path) = file(&line(1));
    check_place(folder.path(), "cannot be read: it is a directory; name a file in it");
    check_place(
        Path::new("/dev/null"),
        "cannot be read: it is not a small file; name another file",
    );
    check_place(&path.join("keys"), "name another file");
    let missing = folder.path().join("missing/keys");
    check_place(&missing, "create its directory, or name another file");
}
