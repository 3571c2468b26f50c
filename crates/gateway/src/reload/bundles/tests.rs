use std::net::TcpListener;
use std::path::Path;

use bundle::{Bundle, Files, Manifest, Verification};

use super::{Supply, keep};
use crate::fixture::{STRICT, STRICTER};
use crate::parts::Loaded;

fn bundle(revision: &str, text: &str) -> Bundle {
    let manifest = Manifest { revision: revision.to_owned(), roots: None };
    let files = Files::from([("a.rego".to_owned(), text.as_bytes().to_vec())]);
    let packed = bundle::build(&manifest, files).unwrap();
    Bundle::read(packed.into(), &Verification::default()).unwrap()
}

/// A configuration whose server is not there, and that keeps its bundle in `dir`.
fn config(dir: &Path) -> policy::Config {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = policy::Config::default();
    config.bundle.url = Some(format!("http://{address}/b.tar.gz"));
    config.bundle.persist_file = dir.join("kept.tar.gz");
    config
}

#[tokio::test]
async fn without_a_server_the_bundle_on_disk_decides() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let error = Supply::begin(&config).await.err().unwrap().to_string();
    assert!(error.contains("cannot fetch the bundle from `http://127.0.0.1:"), "{error}");
    keep(&config.bundle, &bundle("r1", STRICT));
    let supply = Supply::begin(&config).await.unwrap();
    assert!(supply.fetcher.is_some() && supply.first.is_none());
    Loaded::new(&config, None).unwrap();
    let off = policy::Config { enabled: false, ..config };
    assert!(Supply::begin(&off).await.unwrap().fetcher.is_none());
    assert!(Supply::begin(&policy::Config::default()).await.unwrap().fetcher.is_none());
}

#[test]
fn a_first_bundle_decides_where_there_is_none_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let kept = || {
        let bundle = bundle::read_file(&config.bundle.persist_file, &config.bundle).unwrap();
        bundle.manifest().revision.clone()
    };
    let origin = |first: Option<&Bundle>| Loaded::new(&config, first).unwrap().0.origin.name;
    let broken = bundle("r0", "package mcp.policy\ndeny if {");
    let error = Loaded::new(&config, Some(&broken)).err().unwrap().to_string();
    assert!(error.contains("a.rego:2"), "{error}");
    assert!(!config.bundle.persist_file.exists());
    assert_eq!(origin(Some(&bundle("r1", STRICT))), "the bundle `r1`");
    assert_eq!(kept(), "r1");
    // From then on it is for the keeper to compare.
    assert_eq!(origin(Some(&broken)), "the bundle `r1`");
    assert_eq!(origin(Some(&bundle("r2", STRICTER))), "the bundle `r1`");
    assert_eq!(kept(), "r1");
    std::fs::write(&config.bundle.persist_file, "half of a bundle").unwrap();
    assert_eq!(origin(Some(&bundle("r2", STRICTER))), "the bundle `r2`");
    assert_eq!(kept(), "r2");
}
