use std::collections::BTreeSet;
use std::path::Path;

use super::*;

fn pages() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

#[test]
fn each_page_has_a_kind_and_each_kind_its_page() {
    let files: BTreeSet<_> = std::fs::read_dir(pages())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let kinds: BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| format!("{kind}.md")).collect();
    assert_eq!(files, kinds);
    for kind in ErrorKind::ALL {
        let written = std::fs::read_to_string(pages().join(format!("{kind}.md"))).unwrap();
        assert_eq!(page(*kind), written, "{kind}");
    }
}

#[test]
fn each_page_says_what_why_and_what_to_do() {
    for kind in ErrorKind::ALL {
        let page = page(*kind);
        assert!(page.starts_with("# "), "{kind}");
        assert_eq!(page.matches("\n**Cause.** ").count(), 1, "{kind}");
        assert_eq!(page.matches("\n**What to do.** ").count(), 1, "{kind}");
        assert!(page.lines().all(|line| line.chars().count() <= 120), "{kind}");
    }
}

#[test]
fn what_is_no_kind_is_refused() {
    let error = execute(&ExplainArgs { kind: Some("policy_deny".to_owned()) }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`policy_deny` is no error kind; `mcp-proxy explain` lists them all"
    );
}
