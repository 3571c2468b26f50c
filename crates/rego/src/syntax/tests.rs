use super::*;

fn parsed(text: &str) -> Result<Module, Box<Diagnostic>> {
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
        "dir/p.rego:3:9: expecting expression; correct the line (the file was read as Rego v1)\n  |\n3 | x := 1 +\n  |         ^",
    );
    // A v0 file with a mistake is reported as v0, which got further.
    check_error(
        "package a\nallow {\n  input.x\n  y := )\n}\n",
        "dir/p.rego:4:8: expecting expression; correct the line (the file was read as Rego v0)\n  |\n4 |   y := )\n  |        ^",
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

#[test]
fn files_that_no_parser_takes_are_named_with_the_reason() {
    check_error(
        "",
        "dir/p.rego: the file is empty; write `package mcp.policy` and a rule, or remove the file",
    );
    check_error(
        " \n\t\n",
        "dir/p.rego: the file is empty; write `package mcp.policy` and a rule, or remove the file",
    );
    check_error(
        &format!("package a\n{}", "# x\n".repeat(512 * 1024)),
        "dir/p.rego: the file has 2097162 bytes, and 1 MiB is the limit; split it",
    );
    check_error(
        &format!("package a\n{}", "#\n".repeat(20_000)),
        "dir/p.rego: the file has 20001 lines, and 20000 is the limit; split it",
    );
    let cut = parsed("package a\n\u{0}x := 1").unwrap_err().to_string();
    assert!(cut.starts_with("dir/p.rego:2:1: the line has a NUL character; "), "{cut}");
    let long = parsed(&format!("package a\n# {}", "x".repeat(1100))).unwrap_err().to_string();
    assert!(
        long.starts_with("dir/p.rego:2:1: the line is longer than 1024 columns; break it"),
        "{long}"
    );
    // Half of a file, and what is no text.
    for half in [
        "package mcp.policy\n\ndeny contains \"a\" if {\n  input.tool ==",
        "package mcp.pol",
        "pack",
        "\u{1}\u{2}ELF",
    ] {
        let Err(error) = parsed(half) else {
            assert_eq!(half, "package mcp.pol");
            continue;
        };
        let text = error.to_string();
        assert!(text.starts_with("dir/p.rego:") && text.contains("correct the line"), "{text}");
    }
}
