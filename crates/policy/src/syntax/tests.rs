use super::*;

fn parsed(text: &str) -> Result<Module, Error> {
    parse(&SourceFile { name: "dir/p.rego".to_owned(), text: text.into() })
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    assert_eq!(parsed(text).unwrap_err().to_string(), expected);
}

#[test]
fn both_dialects_are_read() {
    let modern = parsed("package mcp.policy\ndeny contains \"a\" if input.x").unwrap();
    assert_eq!((modern.v0, modern.package), (false, vec!["mcp".to_owned(), "policy".to_owned()]));
    let old = parsed("package mcp.policy\ndeny[msg] { msg := \"a\" }").unwrap();
    assert!(old.v0);
}

#[test]
fn errors_name_file_line_column_excerpt_and_remedy() {
    check_error(
        "package a\n\nx := 1 +\n",
        "dir/p.rego:4:1: expecting expression\n  |\n4 | \n  | ^\ncorrect the line (the file was read as Rego v1)",
    );
    // A v0 file with a mistake is reported as v0, which got further.
    check_error(
        "package a\nallow {\n  input.x\n  y := )\n}\n",
        "dir/p.rego:4:8: expecting expression\n  |\n4 |   y := )\n  |        ^\ncorrect the line (the file was read as Rego v0)",
    );
    // A file that claims to be v1 is not tried as v0.
    let error = parsed("package a\nimport rego.v1\nallow { true }").unwrap_err().to_string();
    assert!(error.contains("read as Rego v1") && error.contains("`if` keyword"), "{error}");
}

#[test]
fn what_cannot_be_checked_is_refused() {
    let deep = format!("package a\nx := input{}", ".a".repeat(80));
    let error = parsed(&deep).unwrap_err().to_string();
    assert!(error.starts_with("dir/p.rego:"), "{error}");
}
