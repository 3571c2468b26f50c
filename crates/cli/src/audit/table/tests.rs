use audit::{Filter, Reader};
use domain::{AuditEvent, ErrorKind};

use super::*;
use crate::audit::fixture::{Fixture, allowed, denied};

async fn rows(events: impl IntoIterator<Item = AuditEvent>) -> Vec<Row> {
    let fixture = Fixture::new();
    fixture.record(events).await;
    let filter = Filter { descending: false, ..Filter::default() };
    Reader::open(&fixture.path).unwrap().query(&filter).unwrap()
}

#[tokio::test]
async fn a_row_is_one_line_and_columns_line_up() {
    let failed = AuditEvent {
        method: "resources/read".into(),
        tool: None,
        resource_uri: Some("file:///notes.txt".into()),
        error_kind: Some(ErrorKind::UpstreamTimeout),
        error: Some("no answer within 30s".into()),
        ..allowed(3)
    };
    let unread = AuditEvent { method: "".into(), tool: None, ..denied(4) };
    let rows = rows([allowed(1), denied(2), failed, unread]).await;
    insta::assert_snapshot!(Table::default().show(&rows));
}

#[tokio::test]
async fn headings_stand_once_and_columns_only_grow() {
    let long = AuditEvent { tool: Some("a_tool_with_a_long_name".into()), ..allowed(2) };
    let rows = rows([allowed(1), long, denied(3)]).await;
    let mut table = Table::default();
    let shown: String = rows.iter().map(|row| table.show(std::slice::from_ref(row))).collect();
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn what_an_agent_wrote_cannot_reach_the_terminal_or_fill_it() {
    let hostile = AuditEvent {
        tool: Some("\u{1b}[1A\u{1b}[2Kread_file\nallow".into()),
        reasons: std::sync::Arc::new([format!("{}\u{1b}[2J", "no ".repeat(1000)).as_str().into()]),
        ..denied(1)
    };
    let shown = Table::default().show(&rows([hostile]).await);
    assert_eq!(shown.lines().count(), 2);
    assert!(shown.lines().all(|line| line.chars().count() < 400), "{shown}");
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert!(shown.contains(r"\u{1b}[1A\u{1b}[2Kread_file\nallow"), "{shown}");
}

#[track_caller]
fn check_cut(text: &str, most: usize, expected: &str) {
    assert_eq!(cut(text, most), expected);
}

#[test]
fn long_cells_are_cut() {
    check_cut("", 4, "");
    check_cut("four", 4, "four");
    check_cut("fives", 4, "fiv…");
    check_cut("größer", 4, "grö…");
    check_cut("a\nb", 4, r"a\nb");
    check_cut("a\nbc", 4, r"a\n…");
}
