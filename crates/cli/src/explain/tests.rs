use std::collections::BTreeSet;
use std::path::Path;

use clap::Parser as _;

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
fn every_kind_can_be_asked_for_and_all_be_listed() {
    for kind in ErrorKind::ALL {
        let parsed = crate::Cli::try_parse_from(["mcp-proxy", "explain", kind.as_str()]).unwrap();
        let Some(crate::Command::Explain(args)) = parsed.command else { panic!("{parsed:?}") };
        assert_eq!(args.kind, Some(*kind));
        assert_eq!(execute(&args).unwrap(), Exit::Done);
    }
    assert_eq!(execute(&ExplainArgs { kind: None }).unwrap(), Exit::Done);
}

#[test]
fn the_titles_stand_in_one_column() {
    let overview = overview();
    assert_eq!(overview.lines().count(), ErrorKind::ALL.len());
    let column = |line: &str| {
        line.find("  ").map(|end| line.len() - line.split_at(end).1.trim_start().len())
    };
    let columns: BTreeSet<_> = overview.lines().map(column).collect();
    assert_eq!(columns.len(), 1, "{overview}");
    assert!(columns.iter().all(Option::is_some), "{overview}");
}
