use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::{MAX_ENTRIES, MAX_UNPACKED, normal, pack, unpack};
use crate::fixture::files;

/// An archive of entries as they come, whatever their names.
fn raw(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn the_same_files_are_the_same_bytes_and_come_back() {
    let long = format!("{}/a.rego", "folder/".repeat(40).trim_end_matches('/'));
    let files =
        files(&[("b/data.json", "{}"), ("a.rego", "package a"), (&long, "x"), ("empty", "")]);
    let packed = pack(&files).unwrap();
    assert_eq!(packed, pack(&files).unwrap());
    assert_eq!(unpack(&packed).unwrap(), files);
}

#[test]
fn what_stands_in_front_of_a_name_does_not_matter() {
    let kind = EntryType::Regular;
    let packed = raw(&[
        ("/a.rego", kind, b"a"),
        ("./b.rego", kind, b"b"),
        ("c", EntryType::Directory, b""),
        ("c/d.rego", kind, b"d"),
    ]);
    assert_eq!(
        unpack(&packed).unwrap(),
        files(&[("a.rego", "a"), ("b.rego", "b"), ("c/d.rego", "d")])
    );
}

#[track_caller]
fn check_refused(packed: &[u8], expected: &str) {
    let error = unpack(packed).unwrap_err().to_string();
    assert!(error.contains(expected), "{expected} is not in {error}");
}

#[test]
fn what_is_no_plain_file_of_the_bundle_is_refused() {
    for name in ["../a.rego", "a/../../b", "//a", "a//b", "a\\b", "..", "a/", "/../a", "\x1b[2Ja"] {
        check_refused(&raw(&[(name, EntryType::Regular, b"")]), "leads out of the bundle");
        assert_eq!(normal(name), None, "{name}");
        let named = files(&[(name, "")]);
        assert!(pack(&named).unwrap_err().to_string().contains("leads out"), "{name}");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo] {
        check_refused(&raw(&[("a", kind, b"")]), "`a` in the bundle is neither");
    }
    let regular = EntryType::Regular;
    check_refused(&raw(&[("a", regular, b"1"), ("/a", regular, b"2")]), "there twice");
}

#[test]
fn an_archive_that_is_not_whole_is_refused() {
    let packed = pack(&files(&[("a.rego", &"package a\n".repeat(100))])).unwrap();
    check_refused(b"", "no complete");
    check_refused(b"PK\x03\x04", "no complete");
    for length in [1, 10, packed.len() / 2, packed.len() - 9, packed.len() - 1] {
        check_refused(&packed[..length], "no complete");
    }
    let mut damaged = packed.clone();
    let checksum = packed.len() - 6;
    damaged[checksum] ^= 1;
    check_refused(&damaged, "no complete");
}

/// Row 45 of the security plan: a small file that unpacks to a large one.
#[test]
fn what_unpacks_to_too_much_is_refused() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let mut header = Header::new_gnu();
    header.set_path("data.json").unwrap();
    header.set_entry_type(EntryType::Regular);
    header.set_size(MAX_UNPACKED * 2);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..(MAX_UNPACKED * 2) >> 20 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    check_refused(&bomb, "unpacks to more than 64 MiB");

    let names: Vec<String> = (0..=MAX_ENTRIES).map(|index| index.to_string()).collect();
    let many: Vec<_> =
        names.iter().map(|name| (name.as_str(), EntryType::Regular, &b""[..])).collect();
    check_refused(&raw(&many), "more than 10000 files");
    unpack(&raw(&many[1..])).unwrap();
}
