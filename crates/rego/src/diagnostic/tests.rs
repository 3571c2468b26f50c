use super::*;

#[track_caller]
fn check(text: &str, line: u32, column: u32, expected: &str) {
    assert_eq!(excerpt(text, line, column), expected);
}

#[test]
fn an_excerpt_points_at_the_place() {
    check("package a\nx := )\n", 2, 6, "  |\n2 | x := )\n  |      ^");
    check("a\n\tb", 2, 2, "  |\n2 |  b\n  |  ^");
    check("a\u{0}b", 1, 1, "  |\n1 | a b\n  | ^");
    // Past the end of the line, and of the text.
    check("ab", 1, 99, "  |\n1 | ab\n  |   ^");
    check("ab", 7, 1, "");
    check("ab", 0, 0, "");
}

#[test]
fn of_a_long_line_only_the_surroundings_are_shown() {
    let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
    let shown = excerpt(&text, 1, 501);
    assert!(shown.len() < 400 && shown.contains("aXb"), "{shown}");
    let mut lines = shown.lines().skip(1);
    let at = lines.next().and_then(|line| line.find('X'));
    assert_eq!(at, lines.next().and_then(|line| line.find('^')));
}

#[test]
fn a_report_is_in_order_and_says_each_thing_once() {
    let file = SourceFile { name: "b.rego".to_owned(), text: "x\ny".into() };
    let at = |line| Diagnostic::error(&file, (line, 1), "code", "wrong".to_owned(), "mend it");
    let all = Diagnostic::of_all("a", "code", "wrong".to_owned(), "mend it".to_owned());
    let report = Report::new(vec![at(2).warning(), at(1), at(1), all.clone()]);
    assert_eq!(report.diagnostics, [all.clone(), at(1), at(2).warning()]);
    assert_eq!((report.errors().count(), report.warnings().count()), (2, 1));
    let error = report.accept().unwrap_err().to_string();
    assert_eq!(error, "a: wrong; mend it\nb.rego:1:1: wrong; mend it\n  |\n1 | x\n  | ^");
    assert!(Report::new(vec![at(1).warning()]).accept().is_ok());
}
