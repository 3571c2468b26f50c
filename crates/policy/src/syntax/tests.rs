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
        "dir/p.rego:3:9: expecting expression\n3 | x := 1 +\ncorrect the line (the file was read as Rego v1)",
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
fn a_file_that_speaks_v1_never_means_what_v0_would_make_of_it() {
    #[track_caller]
    fn check(text: &str, v0: bool) {
        match parsed(&format!("package mcp.policy\n{text}\n")) {
            Ok(module) => assert!(v0 && module.v0, "{text}"),
            Err(error) => assert!(!v0 && error.to_string().contains("read as Rego v1"), "{error}"),
        }
    }
    check("allow if {\n\tinput.tool == \"a\"\n}\n\ndeny { input.tool == \"b\" }", false);
    check("allow if if", false);
    check("deny contains msg if { msg := \"a\" }\ndeny[msg] { msg := \"b\" }", false);
    check("deny contains\nmsg { msg := 1 }", false);
    check("deny { contains(input.tool, \"if\") } # only if", true);
    check("deny { input.tool == \"say \\\"if\\\" contains \" }", true);
    check("deny { input.tool == `if \" contains` }", true);
    check("import future.keywords.if\nallow if { input.x }\ndeny { input.y }", true);
}

#[test]
fn what_cannot_be_checked_is_refused() {
    let deep = format!("package a\nx := input{}", ".a".repeat(80));
    let error = parsed(&deep).unwrap_err().to_string();
    assert!(error.starts_with("dir/p.rego:"), "{error}");
}
