use std::path::Path;

use super::*;

fn load(files: &[(&str, &str)]) -> Result<PolicySet, Error> {
    PolicySet::load(&Sources::from_texts(files).unwrap(), &Config::default())
}

#[track_caller]
fn check_error(files: &[(&str, &str)], expected: &str) {
    let error = load(files).unwrap_err().to_string();
    assert_eq!(error.lines().next(), Some(expected), "{error}");
}

#[test]
fn a_set_that_decides_nothing_is_refused() {
    let expected = "policies: no rule `deny`, `violations`, `allow` or `decision` in package `mcp.policy`, so nothing \
                    would be decided; add one, or set `policy.enabled: false`";
    check_error(&[], expected);
    check_error(&[("a.rego", "package mcp.policy\nhelper := 1")], expected);
    check_error(&[("a.rego", "package other\ndeny if input.arguments.x")], expected);
}

#[test]
fn recursion_is_refused_before_an_engine_sees_it() {
    check_error(
        &[("a.rego", "package mcp.policy\ndeny if a\na if b\nb if a")],
        "a.rego:3:1: recursion: `data.mcp.policy.a` -> `data.mcp.policy.b` -> `data.mcp.policy.a`; Rego has none, \
         break the cycle",
    );
    check_error(
        &[("a.rego", "package mcp.policy\ndeny if f(1)\nf(x) := f(x + 1)")],
        "a.rego:3:1: recursion: `data.mcp.policy.f` -> `data.mcp.policy.f`; Rego has none, break the cycle",
    );
    let across = load(&[
        ("a.rego", "package mcp.policy\nimport data.mcp.lib as l\ndeny if l.x"),
        ("b.rego", "package mcp.lib\nx if { some name; data.mcp.policy[name] }"),
    ]);
    let error = across.unwrap_err().to_string();
    assert!(error.contains("recursion: `data.mcp.policy.deny` -> `data.mcp.lib.x`"), "{error}");
    // A local variable hides the rule of its name.
    load(&[("a.rego", "package mcp.policy\ndeny if f(input.tool)\nx if f(2)\nf(x) if x == 1")])
        .unwrap();
}

#[test]
fn calls_of_what_is_not_there_are_refused() {
    check_error(
        &[("a.rego", "package mcp.policy\ndeny if {\n  http.send({})\n}")],
        "a.rego:3:12: unknown function `http.send`; policies cannot reach the network; put what they need into a \
         data file",
    );
    check_error(
        &[("a.rego", "package mcp.policy\ndeny if data.mcp.lib.f(1)")],
        "a.rego:2:23: unknown function `data.mcp.lib.f`; no policy file defines it",
    );
    let error =
        load(&[("a.rego", "package mcp.policy\ndeny if nonsense(1)")]).unwrap_err().to_string();
    assert!(error.contains("a.rego:2:") && error.contains("`nonsense`"), "{error}");
}

#[test]
fn other_mistakes_are_refused_with_their_place() {
    let error =
        load(&[("a.rego", "package mcp.policy\ndeny if {\n  y == 1\n}")]).unwrap_err().to_string();
    assert_eq!(
        error,
        "a.rego:3:3: variable `y` is unsafe; no statement gives it a value; assign it, or correct the name\n  |\n3 |   \
         y == 1\n  |   ^"
    );
    check_error(
        &[
            ("a.rego", "package mcp.policy\nimport data.mcp.lib\ndeny if lib"),
            ("b.rego", "package mcp.lib\nx := 1"),
        ],
        "a.rego:3:1: `data.mcp.lib` is a package, not a rule; name the rules that are meant",
    );
    check_error(
        &[("a.rego", "package mcp_proxy_verdict\nx := 1")],
        "a.rego:1:1: package `mcp_proxy_verdict` is taken by the gateway; choose another",
    );
    for document in [r#"{"mcp": {"policy": {"deny": 1}}}"#, r#"{"mcp": 1}"#] {
        check_error(
            &[("a.rego", "package mcp.policy\n\ndeny if input.arguments.x"), ("d.json", document)],
            "a.rego:3:1: `data.mcp.policy.deny` is also defined by d.json; keep one of them",
        );
    }
}

/// Which engine serves `rules`, and that they can be served at all.
#[track_caller]
fn check_engine(rules: &str, reason: Option<&str>) {
    let set = load(&[("a.rego", &format!("package mcp.policy\n{rules}"))]).unwrap();
    let expected = match reason {
        None => Engine::Rvm,
        Some(reason) => Engine::Interpreter { reason: reason.to_owned() },
    };
    assert_eq!(*set.engine(), expected, "{rules}");
    set.runner().unwrap();
}

#[test]
fn constructs_that_the_virtual_machine_gets_wrong_stay_on_the_interpreter() {
    check_engine("deny if input.tool == \"a\"", None);
    check_engine("deny if { x := input.arguments.missing }", None);
    check_engine("deny if f(1)\nf(x) if x == 1\nf(x) if x == 2", None);
    check_engine(
        "deny if f(1) == 7\ndefault f(_) := 7",
        Some("`data.mcp.policy.f` uses a default function"),
    );
    check_engine(
        "deny if a.b.c\na.b.c := input.arguments.x",
        Some("`data.mcp.policy.a.b.c` uses a head of several parts"),
    );
    check_engine(
        "deny if x == 1\nx := 1 if input.arguments.a\nx := 2 if input.arguments.b",
        Some("`data.mcp.policy.x` uses definitions that can give different values"),
    );
    check_engine(
        "deny if x == 1\nx := input.arguments.a if input.arguments.b else := 2",
        Some("`data.mcp.policy.x` uses `else` after a computed value"),
    );
    check_engine(
        "deny if count([input.arguments.missing | true]) == 1",
        Some(
            "`data.mcp.policy.deny` uses an array or object comprehension over a computed element",
        ),
    );
    check_engine(
        "deny if { some x in input.arguments.list; x == 1 }",
        Some("`data.mcp.policy.deny` uses `some .. in` over what may be no collection"),
    );
    check_engine(
        "deny if { [a, _] := input.arguments.pair; a == 1 }",
        Some("`data.mcp.policy.deny` uses `:=` with a pattern"),
    );
    check_engine(
        "deny if { data.x == 1 with data.x as 1 }",
        Some("`data.mcp.policy.deny` uses `with`"),
    );
    check_engine(
        "deny if x.a\nx[k] := v if { v := input.arguments[k] }",
        Some("`data.mcp.policy.x` uses an object rule with values or computed keys"),
    );
}

#[test]
fn constant_keys_of_the_verdict_are_refused() {
    for rule in [
        "deny[\"big\"] if input.arguments.x",
        "violations.big := 1 if input.arguments.x",
        "deny.a contains \"b\" if input.arguments.x",
    ] {
        let error = load(&[("a.rego", &format!("package mcp.policy\n\n{rule}\nallow := true"))])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("a.rego:3:1: the head of `data.mcp.policy."), "{error}");
        assert!(error.contains("write `contains` with the member instead"), "{error}");
    }
    // In v0 the same text is a member of a set.
    load(&[("a.rego", "package mcp.policy\ndeny[\"big\"] { input.arguments.x }")]).unwrap();
    check_engine(
        "deny if x.a\nx[\"a\"] if input.arguments.x",
        Some("`data.mcp.policy.x.a` uses an object rule with values or computed keys"),
    );
}

#[test]
fn rules_of_an_imported_package_are_whole_however_many_files_they_fill() {
    let files = [
        (
            "a.rego",
            "package mcp.lib\nbad contains \"a\" if input.tool == \"a\"\nother if input.arguments.x",
        ),
        ("b.rego", "package mcp.lib\nbad contains needed\nneeded := \"b\" if input.tool == \"b\""),
        ("c.rego", "package mcp.policy\nimport data.mcp.lib\ndeny if lib.bad[input.tool]"),
    ];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let set = load(&order.map(|place| files[place])).unwrap();
        assert_eq!(*set.engine(), Engine::Rvm);
        let engine = crate::PolicyEngine::with_clock(set, std::sync::Arc::new(domain::SystemClock));
        for (tool, verdict) in [
            ("a", domain::Verdict::Deny),
            ("b", domain::Verdict::Deny),
            ("c", domain::Verdict::Allow),
        ] {
            assert_eq!(
                crate::tests::fixture::Ask::call(tool).decide(&engine).verdict,
                verdict,
                "{order:?} {tool}"
            );
        }
    }
}

#[test]
fn the_revision_follows_the_content() {
    let revision =
        |rego, data| load(&[("a.rego", rego), ("d.json", data)]).unwrap().revision().to_string();
    let one = revision("package mcp.policy\ndeny if input.arguments.a", "{}");
    assert_eq!(one.len(), 64);
    assert_eq!(one, revision("package mcp.policy\ndeny if input.arguments.a", "{}"));
    assert_ne!(one, revision("package mcp.policy\ndeny if input.arguments.b", "{}"));
    assert_ne!(one, revision("package mcp.policy\ndeny if input.arguments.a", r#"{"x": 1}"#));
}

#[test]
fn rules_that_read_counters_are_split_from_the_rest() {
    /// Rules of the stable and of the volatile group.
    #[track_caller]
    fn check(rules: &str, stable: &[&str], volatile: &[&str]) {
        let set = load(&[("a.rego", &format!("package mcp.policy\n{rules}"))]).unwrap();
        for role in Role::ALL {
            let key = role.key();
            let seen = (set.split.stable.has(role), set.split.volatile.has(role));
            assert_eq!(seen, (stable.contains(&key), volatile.contains(&key)), "{key} in {rules}");
        }
    }
    let count = "input.session.request_count > 1";
    check("deny if input.tool", &["deny"], &[]);
    check(&format!("deny if {count}"), &[], &["deny"]);
    check(&format!("deny if {count}\ndeny if input.tool"), &["deny"], &["deny"]);
    check(&format!("deny if h\nh if {count}\ndeny if input.tool"), &["deny"], &["deny"]);
    check(
        "violations contains \"t\" if time.now_ns() > 1\nviolations contains \"s\" if input.tool",
        &["violations"],
        &["violations"],
    );
    check(
        &format!("violations[m] if {{ m := \"a\"; {count} }}\nviolations[m] if {{ m := \"b\" }}"),
        &["violations"],
        &["violations"],
    );
    // Not when something else uses the rule, or when its definitions could disagree.
    check(
        &format!("deny if {count}\ndeny if input.tool\nallow if not deny"),
        &["baseline"],
        &["deny", "allow"],
    );
    check(
        &format!("deny := true if {count}\ndeny := false if input.tool == \"x\""),
        &[],
        &["deny"],
    );
    check(&format!("deny if {count}\ndeny if input.tool\ndeny__volatile := 1"), &[], &["deny"]);
    check(&format!("decision := {{\"allow\": true}} if {count}"), &[], &["decision"]);
    check("allow if input.tool", &["allow", "baseline"], &[]);
    check(
        &format!("default deny := false\ndeny if {count}\ndeny if input.tool"),
        &["deny"],
        &["deny"],
    );
}

#[test]
fn calls_with_too_few_or_too_many_arguments_are_refused() {
    #[track_caller]
    fn check(rules: &str, expected: &str) {
        check_error(&[("a.rego", &format!("package mcp.policy\n{rules}"))], expected);
    }
    check(
        "deny contains \"m\" if { startswith(input.tool) }",
        "a.rego:2:34: `startswith` takes 2 arguments, not 1; correct the call",
    );
    check(
        "deny if startswith(input.tool, \"a\", true, 1)",
        "a.rego:2:19: `startswith` takes 2 arguments, not 4; correct the call",
    );
    check(
        "deny if glob.match(\"a*\", input.tool)",
        "a.rego:2:19: `glob.match` takes 3 arguments, not 2; correct the call",
    );
    check(
        "deny if { x := lower(input.tool, \"b\"); x }",
        "a.rego:2:21: `lower` takes 1 argument, not 2; correct the call",
    );
    check(
        "deny if f(1)\nf(x, y) if x == y",
        "a.rego:2:10: `f` takes 2 arguments, not 1; correct the call",
    );
    check(
        "deny if f(1, 2, 3)\ndefault f(_) := true",
        "a.rego:2:10: `f` takes 1 argument, not 3; correct the call",
    );
    // As a statement, a call may take one argument more, which receives the value.
    load(&[(
        "a.rego",
        "package mcp.policy\ndeny if { lower(input.tool, x); x == \"b\"; f(1, y); y }\nf(x) := x",
    )])
    .unwrap();
    load(&[(
        "a.rego",
        "package mcp.policy\ndeny if { print(1, 2, 3); count([1]) == 1 }\ncount := 1",
    )])
    .unwrap();
}

/// Left to the interpreter, it would fail at the first message instead of at load.
#[test]
fn what_the_compiler_of_the_virtual_machine_finds_wrong_is_refused() {
    check_error(
        &[("a.rego", "package mcp.policy\ndeny if { some x; f(x) }\nf(y) if y == 1")],
        "policies: a.rego:2:21: Undefined variable: 'x'",
    );
}

#[test]
fn a_verdict_that_nobody_reads_is_refused() {
    #[track_caller]
    fn check(package: &str, more: &str, served: bool) {
        let stray = format!(
            "package {package}\nimport rego.v1\ndeny contains \"x\" if input.tool == \"rm\""
        );
        let policy = format!("package mcp.policy\nimport rego.v1\nallow if input.tool\n{more}");
        match load(&[("a.rego", &stray), ("b.rego", &policy)]) {
            Ok(_) => assert!(served, "{package}"),
            Err(error) => {
                let expected = format!("a.rego:3:1: `data.{package}.deny` decides nothing; ");
                assert!(!served && error.to_string().starts_with(&expected), "{error}");
            }
        }
    }
    check("mcp.polcy", "", false);
    check("mcp.policy.files", "", false);
    check("mcp.lib", "deny contains r if some r in data.mcp.lib.deny", true);
    check("mcp.policy", "", true);
    check("other.team", "", true);
}

#[test]
fn what_can_deny_is_counted_by_its_name() {
    #[track_caller]
    fn check(text: &str, expected: &[(&str, usize)]) {
        let sources = Sources::from_texts(&[("a.rego", text)]).unwrap();
        let set = PolicySet::load(&sources, &Config::default()).unwrap();
        let denials: Vec<_> =
            set.denials().iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(denials, expected);
    }
    let head = "package mcp.policy\n";
    check(
        &format!("{head}deny contains \"no\" if input.tool == \"a\""),
        &[("data.mcp.policy.deny", 1)],
    );
    check(
        &format!(
            "{head}violations contains {{\"msg\": \"no\", \"rule\": \"writes\"}} if input.tool == \"a\"\n\
             violations contains {{\"msg\": \"no\", \"rule\": \"writes\"}} if input.tool == \"b\"\n\
             violations contains \"no\" if input.tool == \"c\""
        ),
        &[("data.mcp.policy.violations", 1), ("writes", 2)],
    );
    check(
        &format!(
            "{head}default allow := false\nallow if input.tool == \"a\"\nallow if input.tool == \"b\""
        ),
        &[("data.mcp.policy.allow", 1)],
    );
}

#[test]
fn the_revision_is_that_of_the_content_wherever_it_lies() {
    let revision = |sources: &Sources| {
        PolicySet::load(sources, &Config::default()).unwrap().revision().to_string()
    };
    let copied = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("deep")).unwrap();
        std::fs::write(dir.path().join("deep/a.rego"), text).unwrap();
        revision(&Sources::from_dir(dir.path()).unwrap())
    };
    let text = "package mcp.policy\n\ndeny if input.tool == \"x\"\n";
    assert_eq!(copied(text), copied(text));
    assert_ne!(copied(text), copied(&text.replace('x', "y")));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let on_disk = Sources::from_dir(&shipped).unwrap();
    assert_eq!(revision(&on_disk), revision(&Sources::embedded().unwrap()));
}
