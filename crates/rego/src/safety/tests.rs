use super::*;
use crate::source::SourceFile;
use crate::syntax;

/// The unsafe variables of `rules`, and whether a head binds a variable.
fn unsafe_in(rules: &str) -> (Vec<String>, bool) {
    let text = format!("package mcp.policy\n\n{rules}").into();
    let module = syntax::parse(&SourceFile { name: "a.rego".to_owned(), text }).unwrap();
    let mut found = Vec::new();
    let binding_heads = check(&[module], &mut found);
    (found.iter().map(ToString::to_string).collect(), binding_heads)
}

/// `rules` are refused because of the variable at `place`.
#[track_caller]
fn check_unsafe(rules: &str, place: &str, name: &str) {
    let (found, _) = unsafe_in(rules);
    let expected = format!("a.rego:{place}: variable `{name}` is unsafe; ");
    assert!(found.first().is_some_and(|it| it.starts_with(&expected)), "{rules}: {found:?}");
}

#[track_caller]
fn check_safe(rules: &str) {
    let (found, _) = unsafe_in(rules);
    assert!(found.is_empty(), "{rules}: {found:?}");
}

#[test]
fn heads_need_their_variables() {
    check_unsafe("deny contains msg if { input.method == \"x\" }", "3:15", "msg");
    check_unsafe("deny contains {\"msg\": m} if input.method == \"x\"", "3:23", "m");
    check_unsafe("deny[msg] { input.method == \"x\" }", "3:6", "msg");
    check_unsafe("deny contains sprintf(\"%s\", [t]) if input.method", "3:30", "t");
    check_unsafe("deny := v if input.method", "3:9", "v");
    check_unsafe("deny if f(1)\nf(x) := y if x == 1", "4:9", "y");
    check_unsafe("deny := 1 == 1 if input.a else := v if { input.b }", "3:35", "v");
    check_unsafe("deny if count({y | some x in [1]; x == 1}) == 1", "3:16", "y");
    check_unsafe("deny contains msg", "3:15", "msg");
    check_unsafe("deny contains _ if input.method", "3:15", "_");
    check_unsafe("deny contains msg if { some msg; input.method }", "3:15", "msg");
}

#[test]
fn negations_need_their_variables() {
    let blocked = "blocked := {\"a\": true}\n";
    check_unsafe(&format!("{blocked}deny if {{ not blocked[t] }}"), "4:23", "t");
    check_unsafe(&format!("{blocked}deny if {{ some t; not blocked[t] }}"), "4:31", "t");
    check_unsafe("deny if not startswith(input.tool, prefix)", "3:36", "prefix");
    check_unsafe("deny if { not f(_) }\nf(x) if x == 1", "3:17", "_");
    check_unsafe("deny if { not x == 1; not x == 2 }", "3:15", "x");
    check_unsafe("deny if { every x in [1] { not x == y } }", "3:37", "y");
    check_unsafe("deny if count({x | some x in [1]; not x == y}) == 1", "3:44", "y");
}

#[test]
fn other_statements_need_their_variables() {
    check_unsafe("deny if { some x; x == 1 }", "3:19", "x");
    check_unsafe("deny if { some x; startswith(x, \"a\") }", "3:30", "x");
    check_unsafe("deny contains x if { startswith(x, \"a\") }", "3:33", "x");
    check_unsafe("deny if { some x; x in [1, 2]; x == 1 }", "3:19", "x");
    check_unsafe("deny if { every x in [1] { x == y } }", "3:33", "y");
    check_unsafe("deny if { data.x with input.tool as t }", "3:37", "t");
    check_unsafe("deny if count({1 | some y; y == 1}) == 1", "3:28", "y");
}

#[test]
fn what_is_bound_somewhere_is_safe() {
    check_safe("deny contains msg if { input.method == \"x\"; msg := \"no\" }");
    check_safe("deny contains msg if { msg = sprintf(\"%s\", [input.tool]) }");
    check_safe("deny[msg] { input.method == \"x\"; msg := \"no\" }");
    check_safe("deny contains data.reasons[i]");
    check_safe("deny contains [k, v] if { some k, v in {\"a\": 1} }");
    check_safe("deny if { not data.xs[_] == input.tool }");
    check_safe("deny if { not data.xs[_].y[_] }");
    check_safe("deny if { count(data.xs[_]) > 1; x := [data.xs[i], i]; x[1] == 2 }");
    check_safe("deny if { data.xs[_] in data.ys[_]; every x in data.xs[_] { x == data.ys[_] } }");
    check_safe("deny if { some x in data.xs[_]; not x in data.ys[_] }");
    check_safe(
        "deny if { f(data.xs[_]) }\nf(x) if lower(data.ys[_]) == x\nf(_) if input.method == \"x\"",
    );
    check_safe("deny if f([1, 2])\nf([a, _]) := a");
    check_safe("deny if { [_, y] = data.pair; y }");
    check_safe("deny if { {\"a\": _} = data.pair }");
    check_safe("deny if { _ = input.a; _ := input.b }");
    check_safe("deny if { some i, _ in data.xs; i == 1; some _, v in data.ys; v == 2 }");
    check_safe("deny if { x := {k: v | some k; v := data.xs[k]}; x.a }");
    check_safe("deny if { some i; input.arguments.list[i].name == \"x\"; not data.ok[i] }");
    check_safe("deny contains p if { walk(input.arguments, [p, 1]) }");
    check_safe("deny contains out if { split(input.tool, \"_\", out) }");
    check_safe("deny contains x if { [x, _] := [1, 2] }");
    check_safe("deny contains x if { {\"a\": x} = input.arguments }");
    check_safe("deny if { not blocked[t]; t = input.tool }\nblocked contains \"a\"");
    check_safe("deny if { not data.blocked[_] }");
    check_safe("deny if { some t in [1]; not f(t, 1) }\nf(x, y) if not x == y");
    check_safe("deny if { not any }\nany if input.x");
    check_safe("deny if { every k, v in {\"a\": 1} { not k == v } }");
    check_safe("deny if { x := 1; count([y | y := x; not y == x]) == 0 }");
    check_safe("deny if f(1)\nf(x) := x if { not x == 2 } else := [x]");
    check_safe("import data.lib as l\ndeny if { not l.x; not input.y }");
    check_safe("deny if { not input.tool in {\"a\"} }");
    check_safe("deny if { x := input.tool; not data.b[x] with input.tool as x }");
    check_safe("import future.keywords\ndeny contains m if { m := \"x\"; not input.a }");
}

/// What the interpreter knows and the virtual machine does not is no mistake.
#[test]
fn heads_that_bind_a_variable_are_told() {
    for rules in [
        "deny contains data.reasons[i]",
        "deny contains data.reasons[_]",
        "deny if count({data.xs[i] | input.method}) == 2",
    ] {
        assert_eq!(unsafe_in(rules), (Vec::new(), true), "{rules}");
    }
    let bound = "deny contains data.reasons[i] if data.wanted[i]";
    assert_eq!(unsafe_in(bound), (Vec::new(), false));
}
