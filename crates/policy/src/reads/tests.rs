use super::*;
use crate::{Config, PolicySet, Sources};

/// Loads one rule and says what its stable group reads, by the text and by the program.
fn both(rego: &str) -> (ReadSet, ReadSet) {
    let text = format!("package mcp.policy\nimport rego.v1\n{rego}");
    let sources = Sources::from_texts(&[("a.rego", &text)]).unwrap();
    let set = PolicySet::load(&sources, &Config::default()).unwrap();
    let program = set.runner().unwrap().reads().unwrap_or_else(|| panic!("{:?}", set.engine()));
    (set.reads().stable, program.stable)
}

#[track_caller]
fn check(rego: &str, text: &[&str], program: &[&str]) {
    let (by_text, by_program) = both(rego);
    assert_eq!(by_text.paths(), text, "by the text");
    assert_eq!(by_program.paths(), program, "by the program");
    assert!(by_program.is_within(&by_text));
}

#[test]
fn constant_paths_are_found_by_both() {
    let path = &["input.arguments.path"];
    check("deny if input.arguments.path == \"/etc\"", path, path);
    check("deny if input[\"arguments\"][\"path\"] == \"/etc\"", path, path);
    check("deny if not input.arguments.path", path, path);
    check("deny if { p := input.arguments.path; startswith(p, \"/\") }", path, path);
    check("deny if some p in [input.arguments.path]", path, path);
    check("deny if f(input.arguments.path)\nf(p) if p == \"/\"", path, path);
    check("deny if \"x\" in {input.arguments.path, 1}", path, path);
    check("deny contains sprintf(\"%v\", [input.arguments.path]) if true", path, path);
    check("deny contains input.arguments.path if true", path, path);
    check("deny if helper\nhelper if input.arguments.path", path, path);
    let both = &["input.request.tool", "input.tool"];
    check("deny if input.tool == input.request.tool", both, both);
}

#[test]
fn what_depends_on_a_value_reads_the_subtree() {
    let whole = &["input.arguments"];
    check(
        "deny if input.arguments[input.tool] == 1",
        &["input.arguments", "input.tool"],
        &["input.arguments", "input.tool"],
    );
    check("deny if { some k; input.arguments[k] == 1 }", whole, whole);
    check("deny if count(input.arguments) > 1", whole, whole);
    check(
        "deny if input.arguments.list[0] == 1",
        &["input.arguments.list"],
        &["input.arguments.list"],
    );
    check("deny if object.get(input.arguments, \"path\", \"\") == \"\"", whole, whole);
    check("deny if f(input.arguments)\nf(a) if a.path == 1", whole, whole);
    check("deny if count({v | v := input.arguments[_]}) > 1", whole, whole);
}

/// The guard that the serving text adds uses the variable, so both read it whole.
#[test]
fn a_variable_holds_all_of_its_value() {
    check(
        "deny if { a := input.arguments; a.path == 1 }",
        &["input.arguments"],
        &["input.arguments"],
    );
}

#[test]
fn an_unknown_entry_reads_everything() {
    assert_eq!(of_program(&Program::new(), "data.x"), ReadSet::everything());
}

/// The text forgets a path, the program does not: everything is taken.
#[test]
fn a_disagreement_takes_the_whole_input() {
    let sources =
        Sources::from_texts(&[("a.rego", "package mcp.policy\ndeny if input.tool == \"x\"")])
            .unwrap();
    let mut set = PolicySet::load(&sources, &Config::default()).unwrap();
    let program = set.runner().unwrap().reads().unwrap();
    set.split.confirm(&program);
    assert_eq!(set.reads().paths(), ["input.tool"]);
    set.split.stable.footprint.reads = ReadSet::default();
    set.split.confirm(&program);
    assert_eq!(set.reads().paths(), ["input"]);
}

#[test]
fn counters_are_apart() {
    let text = "package mcp.policy\ndeny contains \"a\" if input.tool == \"x\"\ndeny contains \"b\" if input.session.cumulative_reads > 3";
    let sources = Sources::from_texts(&[("a.rego", text)]).unwrap();
    let reads = PolicySet::load(&sources, &Config::default()).unwrap().reads();
    assert_eq!(reads.stable.paths(), ["input.tool"]);
    assert_eq!(reads.volatile.paths(), ["input.session.cumulative_reads"]);
    assert_eq!(reads.paths(), ["input.session.cumulative_reads", "input.tool"]);
    assert!(reads.intersects(&["session"]) && !reads.intersects(&["arguments"]));
}
