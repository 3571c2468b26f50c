use super::*;

/// The findings on files, each as its first line.
fn found(files: &[(&str, &str)], strict: bool) -> Vec<String> {
    let report = check(&Sources::from_texts(files).unwrap(), strict);
    report.diagnostics.iter().map(|it| format!("{}: {it}", it.severity)).collect()
}

/// The findings on `rules` of package `mcp.policy`, which begin on line 3: severity, place, code, and what message and
/// hint say.
#[track_caller]
fn check_rules(rules: &str, strict: bool, expected: &[(&str, &str, &str)]) {
    let text = format!("package mcp.policy\n\n{rules}\n");
    let report = check(&Sources::from_texts(&[("a.rego", &text)]).unwrap(), strict);
    let seen: Vec<String> = report
        .diagnostics
        .iter()
        .map(|it| format!("{} {} {}:{}", it.severity, it.code, it.line, it.column))
        .collect();
    let wanted: Vec<String> =
        expected.iter().map(|(kind, place, _)| format!("{kind} {place}")).collect();
    assert_eq!(seen, wanted, "{rules}\n{:#?}", report.diagnostics);
    for (diagnostic, (_, _, says)) in report.diagnostics.iter().zip(expected) {
        let text = diagnostic.to_string();
        assert!(text.contains(says), "{rules}: {text}");
        assert!(!diagnostic.excerpt.is_empty(), "{text}");
    }
}

#[test]
fn unknown_fields_are_errors_with_a_suggestion() {
    let unknown = |read: &str, says: &str| {
        let place = ("error unknown-field", "3:9", says);
        check_rules(&format!("deny if {read} == \"x\""), false, &[place]);
    };
    unknown("input.argument.path", "did you mean `input.arguments`?");
    unknown("input.usrname", "there are stage, method, tool");
    unknown("input.agent.capabilites", "did you mean `input.agent.capabilities`?");
    unknown("input.capabilities", "did you mean `input.agent.capabilities`?");
    unknown("input.sesion.id", "did you mean `input.session`?");
    unknown("input[\"agnt\"].id", "did you mean `input.agent`?");
    unknown("input.context.proxy_region", "no field of `input.context`");
    unknown("input.findings[_].detecter", "did you mean `input.findings[_].detector`?");
    for known in [
        "input.arguments.path.to[0].anything",
        "input.result.content[_].text",
        "input.session.tools_used.send_mail",
        "input.context.headers[\"x-team\"]",
        "input.server.tool.annotations.readOnlyHint",
        "input.agent.capabilities[0]",
        "input[data.field]",
    ] {
        check_rules(&format!("deny if {known} == data.x"), true, &[]);
    }
    check_rules(
        "import input.agent as a\ndeny if a.nam == \"x\"",
        false,
        &[("error unknown-field", "4:9", "did you mean `input.agent.name`?")],
    );
}

#[test]
fn tests_are_checked_like_policies() {
    let seen = found(
        &[
            ("a.rego", "package mcp.policy\ndeny if input.tool == \"rm\""),
            (
                "a_test.rego",
                "package mcp.policy_test\nimport data.mcp.policy\n\
                 test_x if policy.deny with input.tol as \"rm\"",
            ),
        ],
        false,
    );
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].starts_with("error: a_test.rego:3:"), "{seen:?}");
    assert!(seen[0].contains("did you mean `input.tool`?"), "{seen:?}");
}

#[test]
fn documents_that_stand_for_the_input_have_its_members() {
    let test = |document: &str| {
        let text = format!(
            "package mcp.policy_test\nimport data.mcp.policy\n\
             test_x if count([1 | policy.deny with input as {document}]) == 1"
        );
        let policy = ("a.rego", "package mcp.policy\ndeny if input.tool == \"rm\"");
        found(&[policy, ("a_test.rego", &text)], false)
    };
    assert_eq!(test("{\"tool\": \"rm\", \"arguments\": {\"any\": 1}}"), [] as [&str; 0]);
    let seen = test("{\"tol\": \"rm\", \"agent\": {\"rols\": []}}");
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].starts_with("warning: a_test.rego:3:50: `input.tol` is no field"), "{seen:?}");
    assert!(seen[1].contains("did you mean `input.agent.roles`?"), "{seen:?}");
}

#[test]
fn members_of_what_has_none_are_errors() {
    let mismatch = |read: &str, says: &str| {
        check_rules(&format!("deny if {read}"), false, &[("error type-mismatch", "3:9", says)]);
    };
    mismatch("input.tool.name", "`input.tool` is a string and has no members");
    mismatch("input.agent.roles.admin", "write `\"admin\" in input.agent.roles`");
    mismatch("input.request.size[_]", "is a number and has no members");
}

#[test]
fn comparisons_that_never_hold_are_warnings_and_strictly_errors() {
    let never = |rule: &str, code: &str, place: &str, says: &str| {
        check_rules(rule, false, &[(&format!("warning {code}"), place, says)]);
        check_rules(rule, true, &[(&format!("error {code}"), place, says)]);
    };
    let numbers = "`input.tool` is a string and is compared with a number";
    never("deny if input.tool == 5", "type-mismatch", "3:9", numbers);
    never("deny if 5 == input.tool", "type-mismatch", "3:14", numbers);
    never("deny if input.tool in {\"a\", 5}", "type-mismatch", "3:9", numbers);
    never("deny if input.tool = -5", "type-mismatch", "3:9", numbers);
    never(
        "deny if input.session.request_count > \"10\"",
        "type-mismatch",
        "3:9",
        "compare it with a number",
    );
    never("deny if input.agent.id == input.agent.tags", "type-mismatch", "3:9", "an array");
    never("deny if input.stage == \"lists\"", "unknown-constant", "3:9", "did you mean `list`?");
    never(
        "deny if input.context.transport in [\"http\", \"tcp\"]",
        "unknown-constant",
        "3:9",
        "it is one of http, sse, websocket, stdio",
    );
    for fine in [
        "input.tool == data.x",
        "input.tool == \"rm\"",
        "input.arguments.n == 5",
        "input.identity.verified == false",
        "input.stage != \"list\"",
        "input.agent.roles == [\"admin\"]",
        "count(input.agent.roles) > 2",
    ] {
        check_rules(&format!("deny if {fine}"), true, &[]);
    }
}

#[test]
fn what_a_stage_does_not_have_is_reported() {
    let pinned = |body: &str, place: &str, says: &str| {
        let rule = format!("deny if {{ {body} }}");
        check_rules(&rule, false, &[("error field-not-at-stage", place, says)]);
    };
    let list = "`input.arguments.path` is not there at stage list, so this never holds";
    pinned("input.stage == \"list\"; input.arguments.path == \"x\"", "3:34", list);
    pinned("input.arguments.path == \"x\"; \"list\" = input.stage", "3:11", list);
    pinned("input.stage in {\"list\", \"connect\"}; input.request.id == 1", "3:47", "request.id");
    pinned("input.stage == \"request\"; startswith(input.result.x, \"y\")", "3:48", "at response");
    pinned("input.stage == \"connect\"; input.tool == \"x\"", "3:37", "connect");
    pinned("input.stage == \"connect\"; some x in input.arguments.xs; x == 1", "3:47", "connect");
    check_rules(
        "deny contains input.arguments.x if input.stage == \"list\"",
        false,
        &[("error field-not-at-stage", "3:15", "never holds")],
    );
    check_rules(
        "deny if { input.stage == \"list\"; not input.arguments.ok }",
        false,
        &[("warning field-not-at-stage", "3:38", "the negation always holds")],
    );
    for fine in [
        "input.stage == \"request\"; input.arguments.path == \"x\"",
        "input.stage != \"list\"; input.arguments.path == \"x\"",
        "not input.stage == \"list\"; input.arguments.path == \"x\"",
        "input.stage in [\"list\", \"request\"]; input.arguments.path == \"x\"",
        "input.stage == \"list\"; count([1 | input.arguments.x]) == 0",
        "input.stage == \"response\"; input.result.isError",
        "input.stage == data.stage; input.arguments.x",
        "input.stage == \"list\"; data.x with input.arguments as {}",
    ] {
        check_rules(&format!("deny if {{ {fine} }}"), false, &[]);
    }
}

#[test]
fn a_negation_that_holds_for_every_entry_of_a_list_is_a_strict_warning() {
    let strict = |rule: &str, expected: &[(&str, &str, &str)]| {
        check_rules(rule, false, &[]);
        check_rules(rule, true, expected);
    };
    let says = "at stage list, so the negation always holds there; say at which stage";
    strict(
        "deny if { input.method == \"tools/call\"; not input.arguments.reason }",
        &[("warning negated-stage-field", "3:45", says)],
    );
    strict(
        "deny if not startswith(input.request.params.name, \"a\")",
        &[("warning negated-stage-field", "3:24", says)],
    );
    strict("deny if not input.result.ok", &[("warning negated-stage-field", "3:13", "request")]);
    strict("deny if { input.stage == \"request\"; not input.arguments.reason }", &[]);
    strict("deny if not input.tool in data.tools", &[]);
    let helper = "`inside` never holds at stage list, so its negation always does there";
    let inside = "inside if startswith(input.arguments.path, \"/tmp/\")";
    strict(
        &format!("deny if not inside\n{inside}"),
        &[("warning negated-stage-field", "3:13", helper)],
    );
    strict(
        &format!(
            "deny if not inside\ndefault inside := false\n{inside}\ninside if input.arguments.ok"
        ),
        &[("warning negated-stage-field", "3:13", helper)],
    );
    strict(&format!("deny if not inside\n{inside}\ninside if input.method == \"tools/call\""), &[]);
    strict(&format!("deny if {{ input.stage == \"request\"; not inside }}\n{inside}"), &[]);
    strict(
        "deny if not f(\"x\")\nf(x) if input.arguments.kind == x",
        &[("warning negated-stage-field", "3:13", "`f` never holds at stage list")],
    );
    // No entry of a list is decided under this method.
    strict(
        "deny if { input.method == \"sampling/createMessage\"; not input.request.params.maxTokens }",
        &[],
    );
}

#[test]
fn everything_is_found_at_once() {
    let seen = found(
        &[
            (
                "a.rego",
                "package mcp.policy\ndeny if {\n  input.usrname == y\n  http.send({})\n}\n\
                 a if b\nb if a\nc if lower(1, 2, 3)\nallow if numbers.range(1, input.request.size)\n\
                 d if bits.lsh(input.request.size, 3)\ne if bits.lsh(1, input.request.size)",
            ),
            ("b.rego", "package mcp.polcy\nviolations contains \"x\" if any([true])"),
        ],
        false,
    );
    let starts = [
        "error: a.rego:3:20: variable `y` is unsafe; ",
        "error: a.rego:3:3: `input.usrname` is no field of `input`; ",
        "error: a.rego:4:12: unknown function `http.send`; policies cannot reach the network",
        "error: a.rego:6:1: recursion: `data.mcp.policy.a` -> ",
        "error: a.rego:8:11: `lower` takes 1 argument, not 3; ",
        "error: a.rego:9:23: the work of `numbers.range` has no bound",
        "error: a.rego:11:14: the work of `bits.lsh` has no bound",
        "error: b.rego:2:1: `data.mcp.polcy.violations` decides nothing; ",
        "error: b.rego:2:31: unknown function `any`; it was removed in OPA 1.0; write `true in xs`",
    ];
    let missing: Vec<_> =
        starts.iter().filter(|start| !seen.iter().any(|it| it.starts_with(**start))).collect();
    assert!(missing.is_empty(), "{missing:#?}\n{seen:#?}");
    assert_eq!(seen.len(), starts.len(), "{seen:#?}");
}

#[test]
fn every_file_that_does_not_parse_is_named() {
    let seen = found(
        &[("a.rego", "package a\nx := )"), ("b.rego", ""), ("c.rego", "package mcp.policy\n")],
        false,
    );
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].starts_with("error: a.rego:2:6: expecting expression"), "{seen:?}");
    assert!(seen[1].starts_with("error: b.rego: the file is empty"), "{seen:?}");
}

#[test]
fn builtins_that_are_not_there_are_named_with_what_to_do_instead() {
    let absent = |call: &str, hint: &str| {
        let text = format!("package mcp.policy\ndeny if {call}");
        let seen = found(&[("a.rego", &text)], false);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].contains("unknown function `") && seen[0].contains(hint), "{seen:?}");
    };
    absent("http.send({})", "cannot reach the network");
    absent("io.jwt.decode(\"x\")", "read `input.identity`");
    absent("crypto.sha256(\"x\")", "read `input.identity`");
    absent("opa.runtime()", "do not see the environment");
    absent("rego.metadata.rule()", "names file and line");
    absent("net.lookup_ip_addr(\"x\")", "no builtin of this version");
    absent("re_match(\"a\", \"b\")", "write `regex.match`");
}

#[test]
fn what_nothing_uses_is_a_strict_warning() {
    let strict = |rules: &str, expected: &[(&str, &str, &str)]| {
        check_rules(rules, false, &[]);
        check_rules(rules, true, expected);
    };
    let variable = [("warning unused-variable", "3:11", "variable `x` is not used")];
    strict("deny if { x := input.tool }", &variable);
    strict("deny if { some y in data.xs; [x | x := y] }", &[]);
    strict("deny if { input.tool == x; x = \"a\" }", &[]);
    strict("deny contains x if { x := input.tool }", &[]);
    strict("deny if { y == \"a\"; y := input.tool }", &[]);
    strict(
        "deny if { some k, v in data.xs; v == 1 }",
        &[("warning unused-variable", "3:16", "`k`")],
    );
    strict("deny if { some x; data.xs[x] == 1 }", &[]);
    strict(
        "deny if { every x in data.xs { input.tool } }",
        &[("warning unused-variable", "3:17", "`x`")],
    );
    strict("deny if { [a, b] := data.x; a == 1 }", &[("warning unused-variable", "3:15", "`b`")]);
    strict(
        "deny if f(1, 2)\nf(x, y) if x == 1",
        &[("warning unused-argument", "4:6", "write `_`")],
    );
    strict("deny if f(1)\nf(x) := 1 if { x == 2 } else := x", &[]);
    strict("deny if count({k: v | some k, v in data.xs}) == 1", &[]);
    strict(
        "deny if input.x\nx := 1".replace("input.x", "input.tool").as_str(),
        &[("warning unused-rule", "4:1", "no verdict depends on `data.mcp.policy.x`")],
    );
    strict("deny if x\nx if y[_]\ny contains 1", &[]);
    strict(
        "import data.lib\nimport data.mcp.other as o\ndeny if o.x == 1",
        &[("warning unused-import", "3:8", "import `lib` is not used")],
    );
    strict(
        "import data.a.lib\nimport data.b.lib\ndeny if lib.f == 1",
        &[("warning duplicate-import", "4:8", "`lib` is imported twice")],
    );
}

#[test]
fn what_hides_or_repeats_is_a_strict_warning() {
    check_rules(
        "import data.lib\ndeny if { lib := input.tool; lib == \"a\" }\nallow if lib.x == 2",
        true,
        &[("warning shadowed-name", "4:11", "variable `lib` hides")],
    );
    check_rules(
        "deny if { input.tool == \"a\" }\ndeny if  {  input.tool == \"a\" }",
        true,
        &[("warning duplicate-rule", "4:1", "in the same words at a.rego:3")],
    );
    let reason = |tool: &str| {
        format!(
            "package mcp.policy\nviolations contains {{\"msg\": \"no\", \"rule\": \"r\"}} if input.tool == \"{tool}\""
        )
    };
    let (one, two) = (reason("a"), reason("b"));
    let seen = found(&[("a.rego", &one), ("b.rego", &two)], true);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].contains("b.rego:2:") && seen[0].contains("also given by a.rego"), "{seen:?}");
    let whole = format!("{one}\n{}", two.lines().last().unwrap());
    assert_eq!(found(&[("a.rego", &whole)], true), [] as [&str; 0]);
}

#[test]
fn old_rego_and_packages_that_decide_nothing_are_warnings() {
    let seen = found(
        &[
            ("a.rego", "package mcp.policy\ndeny { input.tool == \"x\" }"),
            ("b.rego", "package lib\nx := 1"),
        ],
        false,
    );
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].starts_with("warning: a.rego:1:1: the file is written in Rego v0"), "{seen:?}");
    assert!(seen[1].starts_with("warning: b.rego:1:1: package `lib` is outside"), "{seen:?}");
}

#[test]
fn loading_refuses_errors_and_keeps_warnings() {
    let sources = |rego: &str| Sources::from_texts(&[("a.rego", rego)]).unwrap();
    let loaded = load(&sources("package mcp.policy\ndeny if input.tool == 5")).unwrap();
    assert_eq!(loaded.modules.len(), 2, "the baseline comes with it");
    let error =
        load(&sources("package mcp.policy\ndeny if input.tol\nallow if input.agnt")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`input.tol`") && text.contains("`input.agnt`"), "{text}");
    assert!(load(&sources("package mcp.policy")).is_err());
    assert!(load_with_tests(&sources("package mcp.policy")).is_ok());
}

#[test]
fn the_shipped_policies_are_found_right() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let report = check(&Sources::from_dir(&dir).unwrap(), true);
    assert!(report.diagnostics.is_empty(), "{:#?}", report.diagnostics);
}
