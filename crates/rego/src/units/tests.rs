use crate::source::SourceFile;
use crate::syntax;

#[track_caller]
fn check(rules: &str, expected: &[(u32, u32)]) {
    let text = format!("package a\n{rules}").into();
    let module = syntax::parse(&SourceFile { name: "a.rego".to_owned(), text }).unwrap();
    let seen: Vec<_> = module.units().iter().map(|it| (*it.start(), *it.end())).collect();
    assert_eq!(seen, expected, "{rules}");
}

#[test]
fn conditions_and_values_are_units() {
    check("x if input.a", &[(2, 2)]);
    check("x := 1", &[(2, 2)]);
    check("x contains y if {\n  some y\n  y = 1\n  not y == 2\n}", &[(2, 2), (4, 4), (5, 5)]);
    check("x := {\n  \"a\": 1,\n} if input.a", &[(2, 4), (4, 4)]);
    check("x := 1 if {\n  input.a\n} else := 2 if {\n  input.b\n}", &[(2, 2), (3, 3), (5, 5)]);
    check("x if {\n  every y in z {\n    y\n  }\n}\nz := [1]", &[(3, 5), (4, 4), (7, 7)]);
    check("x if {\n  count({y |\n    some y in z\n  }) == 1\n}\nz := 1", &[(3, 5), (4, 4), (7, 7)]);
    check("default x := 1", &[]);
}
