//! However a rule comes to read a value, a decision is never reused for another value of it.

use domain::Verdict::{Allow, Deny};
use serde_json::json;

use crate::tests::fixture::{Ask, patient};
use crate::{Config, PolicyEngine, Sources};

/// Rules that deny a call whose argument `secret` is `1`, and let others pass.
const RULES: [&str; 38] = [
    "deny if { x := input; x.arguments.secret == \"1\" }",
    "deny if f(input)\nf(x) if x.arguments.secret == \"1\"",
    "deny if f(input.arguments)\nf(x) if g(x)\ng(x) if x.secret == \"1\"",
    "deny if f(input) == \"1\"\nf(x) := g(x.arguments)\ng(x) := x.secret",
    "import input.arguments as given\ndeny if given.secret == \"1\"",
    "import input as message\ndeny if message.arguments.secret == \"1\"",
    "deny if { walk(input, [_, value]); value == \"1\" }",
    "deny if object.get(input, [\"arguments\", \"secret\"], \"\") == \"1\"",
    "deny if { some key; input[key].secret == \"1\" }",
    "deny if input[concat(\"\", [\"argu\", \"ments\"])].secret == \"1\"",
    "deny if { some value in {value | value := input[_].secret}; value == \"1\" }",
    "deny if json.filter(input, [\"arguments/secret\"]).arguments.secret == \"1\"",
    "deny if inner with input as {\"tool\": input.arguments.secret}\ninner if input.tool == \"1\"",
    "deny if not fine\nfine if { every _, value in input.arguments { value != \"1\" } }",
    "level := 1 if input.tool == \"x\" else := 2 if input.arguments.secret == \"1\"\ndeny if level == 2",
    "deny if not level\nlevel if input.arguments.secret == \"2\" else := false if input.arguments.secret\nlevel if not input.arguments.secret",
    "members[key] := value if some key, value in input.arguments\ndeny if members.secret == \"1\"",
    "deny if not fine\nfine if input.arguments.secret != \"1\"\nfine if not input.arguments.secret",
    "deny if { some one in [input]; one.arguments.secret == \"1\" }",
    "deny if {\"a\": input}.a.arguments.secret == \"1\"",
    "deny if input.arguments == {\"secret\": \"1\"}",
    "deny if { [_, whole] := [1, input]; whole.arguments.secret == \"1\" }",
    "arguments := input.arguments\ndeny if arguments.secret == \"1\"",
    "deny if input[`arguments`][`secret`] == \"1\"",
    "deny if input[\"argu\\u006dents\"].secret == \"1\"",
    "deny if input.arguments[\"sec\\u0072et\"] == \"1\"",
    "deny if { key := \"secret\"; input.arguments[key] == \"1\" }",
    "deny if input.arguments[data.key] == \"1\"",
    "deny if contains(json.marshal(input.arguments), \"\\\"1\\\"\")",
    "deny if \"1\" in input.arguments",
    "deny if { [\"secret\", \"1\"] in [[key, value] | some key, value in input.arguments] }",
    "deny if { {\"secret\": value} = input.arguments; value == \"1\" }",
    "deny if input.request.arguments.secret == \"1\"",
    "deny if { data[\"swi\\u0074ch\"]; input.arguments.secret == \"1\" }",
    "violations contains \"v\" if count(data.mcp.policy.deny) > 0\ndeny contains \"d\" if input.arguments.secret == \"1\"",
    "default allow := false\nallow if count(deny) == 0\ndeny contains \"d\" if input.arguments.secret == \"1\"",
    "default allow := false\nallow if count(data.mcp.policy.violations) < 1\nviolations contains \"a\" if input.arguments.secret == \"1\"\nviolations contains \"b\" if input.session.request_count > 9",
    "deny contains {\"msg\": input.arguments.secret} if input.arguments.secret == \"1\"\ndeny contains \"x\" if input.session.request_count > 9",
];

/// Other ways to say something, whatever it is.
const OTHERS: [&str; 60] = [
    "deny if { x := `secret`; input.arguments[x] == \"1\" }",
    "deny if { x := input.tool == \"t\"; x }",
    "deny if { x := \"t\" == input.tool; x == false }",
    "deny if { x := [1, \"secret\"]; input.arguments[x[1]] == \"1\" }",
    "deny if { x := {\"k\": \"secret\"}; input.arguments[x.k] == \"1\" }",
    "deny if { x := {\"secret\"}; some k; x[k]; input.arguments[k] == \"1\" }",
    "deny if { x := \"a\\\"b\"; count(x) == 3 }",
    "deny if { x := sprintf(\"%s\", [input.arguments.secret]); x == \"1\" }",
    "deny if { x := \"1\" # comment\n  input.arguments.secret == x }",
    "deny if { x := \"1\"; y := \"secret\"; input.arguments[y] == x }",
    "deny contains x if { x := \"reason\"; input.arguments.secret == \"1\" }",
    "deny contains x if { x := input.arguments.secret; x == \"1\" }",
    "deny contains {\"msg\": x, \"rule\": y} if { x := \"a\"; y := \"b\"; input.arguments.secret == \"1\" }",
    "violations contains v if { v := {\"msg\": \"a\", \"rule\": \"b\"}; input.arguments.secret == \"1\" }",
    "deny if { not input.arguments.secret == \"2\"; input.arguments.secret }",
    "deny if { not startswith(input.arguments.secret, \"2\") }",
    "deny if { x := not_there(input.arguments); x }\nnot_there(a) if a.secret == \"1\"",
    "deny if f(\"secret\", \"1\")\nf(k, v) if input.arguments[k] == v",
    "deny if f(\"secret\") == \"1\"\nf(k) := v if v := input.arguments[k]",
    "f(x) := \"one\" if x == \"1\"\nf(x) := \"two\" if x == \"2\"\ndeny if f(input.arguments.secret) == \"one\"",
    "deny if { some i; input.arguments[i] == \"1\" }",
    "deny if { input.arguments[_] == \"1\" }",
    "deny if { some i, v in input.arguments; v == \"1\"; i == \"secret\" }",
    "deny if count([v | v := input.arguments[_]; v == \"1\"]) > 0",
    "deny if count({k | some k, v in input.arguments; v == \"1\"}) > 0",
    "deny if { o := {k: v | some k, v in input.arguments}; o.secret == \"1\" }",
    "deny if { xs := [\"1\", \"3\"]; input.arguments.secret in xs }",
    "deny if input.arguments.secret in [\"1\", \"3\"]",
    "deny if not input.arguments.secret in {\"2\", \"3\"}",
    "deny if { every x in [\"1\"] { input.arguments.secret == x } }",
    "deny if { every x in [] { x == input.arguments.secret } }",
    "deny if to_number(input.arguments.secret) == 1",
    "deny if to_number(input.arguments.secret) < 2",
    "deny if input.arguments.secret < \"2\"",
    "deny if { a := input.arguments; b := a.secret; c := b; c == \"1\" }",
    "deny if { [a, b] = [input.tool, input.arguments.secret]; a == \"t\"; b == \"1\" }",
    "deny if { {\"secret\": \"1\"} = input.arguments }",
    "deny if input.arguments.secret = \"1\"",
    "deny if { x = \"1\"; input.arguments.secret = x }",
    "ok := true if input.arguments.secret == \"2\"\nok := true if not input.arguments.secret\ndeny if not ok",
    "default ok := false\nok if input.arguments.secret == \"2\"\ndeny if ok == false",
    "default ok := \"no\"\nok := \"yes\" if input.arguments.secret == \"2\"\ndeny if ok == \"no\"",
    "bad contains k if { some k, v in input.arguments; v == \"1\" }\ndeny if bad.secret",
    "bad contains k if { some k, v in input.arguments; v == \"1\" }\ndeny if bad[\"secret\"]",
    "bad contains k if { some k, v in input.arguments; v == \"1\" }\ndeny if { some x in bad; x == \"secret\" }",
    "bad contains k if { some k, v in input.arguments; v == \"1\" }\ndeny if bad == {\"secret\"}",
    "bad contains \"x\" if input.arguments.secret == \"1\"\ndeny if bad",
    "bad := {\"x\"} if input.arguments.secret == \"1\"\ndeny if count(bad) == 1",
    "bad := null if input.arguments.secret == \"1\"\ndeny if bad == null",
    "bad := false if input.arguments.secret == \"1\"\ndeny if not bad",
    "deny if object.get(input.arguments, \"secret\", \"1\") == \"1\"",
    "deny if is_null(input.arguments.secret)",
    "deny if is_string(input.arguments.secret)",
    "deny if { x := input.arguments.missing; x != \"1\" }",
    "deny if { x := {\"a\": input.arguments.secret}; x.a == \"1\" }",
    "deny if { x := [input.arguments.secret]; count(x) == 1 }",
    "deny if concat(\"\", [\"s\", input.arguments.secret]) == \"s1\"",
    "deny if regex.match(`^1$`, input.arguments.secret)",
    "deny if glob.match(\"1*\", [], input.arguments.secret)",
    "deny if { x := \"t\"; y := x; input.tool == y; z := `1`; input.arguments.secret == z }",
];

/// The rules of the verdict in every form, in both languages, stable and volatile.
const FORMS: [&str; 28] = [
    "deny[\"m\"] { input.arguments.secret == \"1\" }",
    "deny[`m`] { input.arguments.secret == `1` }",
    "deny[msg] { msg := \"m\"; input.arguments.secret == \"1\" }",
    "deny[msg] { input.arguments.secret == \"1\"; msg = `m` }",
    "deny { input.arguments.secret == \"1\" }",
    "deny = true { input.arguments.secret == \"1\" }",
    "violations[{\"msg\": \"m\", \"rule\": \"r\"}] { input.arguments.secret == \"1\" }",
    "deny[msg] { msg := \"live\"; input.session.request_count > 0; input.arguments.secret == \"1\" }\ndeny[msg] { msg := \"m\"; input.arguments.secret == \"1\" }",
    "default allow = false\nallow { input.arguments.secret != \"1\" }",
    "allow { not bad }\nbad { x := \"1\"; input.arguments.secret == x }",
    "obligations[o] { o := {\"action\": \"log\", \"level\": \"info\"}; input.arguments.secret == \"1\" }\nallow = true",
    "deny contains \"m\" if input.arguments.secret == \"1\"\ndeny contains \"live\" if { input.session.request_count > 0; x := \"1\"; input.arguments.secret == x }",
    "deny contains `m` if input.arguments.secret == `1`\ndeny contains `live` if input.session.request_count > 0",
    "violations contains sprintf(\"%s\", [x]) if { x := \"secret\"; input.arguments[x] == \"1\" }",
    "violations contains {\"msg\": `raw`, \"rule\": `r`} if input.arguments.secret == `1`",
    "obligations contains {\"action\": \"log\", \"level\": \"info\"} if input.arguments.secret == \"1\"\nallow := true",
    "obligations contains o if { o := {\"action\": \"strip\", \"path\": \"/a\"}; input.session.request_count > 0; input.arguments.secret == \"1\" }\nobligations contains {\"action\": \"log\", \"level\": \"info\"} if input.arguments.secret == \"2\"\nallow := true",
    "decision := {\"allow\": false, \"matched_rule\": \"a\"} if input.arguments.secret == \"1\" else := {\"allow\": true}",
    "default decision := {\"allow\": false}\ndecision := found if { found := {\"allow\": true, \"obligations\": []}; input.arguments.secret != \"1\" }",
    "default decision := {\"allow\": false}\ndecision := {\"allow\": true, \"matched_rule\": name} if { name := \"m\"; input.arguments.secret != \"1\" }",
    "default deny := false\ndeny if input.arguments.secret == \"1\"",
    "deny := true if input.arguments.secret == \"1\"",
    "deny := [\"m\"] if input.arguments.secret == \"1\"",
    "deny := {\"m\"} if input.arguments.secret == \"1\"",
    "deny contains x if { some x in {\"a\", \"b\"}; input.arguments.secret == \"1\" }",
    "deny contains x if { x := [\"a\", input.arguments.secret][_]; input.arguments.secret }",
    "violations contains {\"msg\": m, \"rule\": \"r\"} if { m := data.key; input.arguments.secret == \"1\" }\nviolations contains {\"msg\": \"n\", \"rule\": \"s\"} if { input.session.request_count > 0; not input.arguments.secret == \"2\" }",
    "default allow := false\nallow if { x := \"2\"; input.arguments.secret == x }\nallow if input.session.request_count > 5",
];

fn load(rules: &str) -> PolicyEngine {
    let data = ("d.json", json!({ "key": "secret", "switch": true }).to_string());
    let (imports, rules): (Vec<&str>, Vec<&str>) =
        rules.lines().partition(|line| line.starts_with("import"));
    let text = format!("package mcp.policy\n{}\n{}", imports.join("\n"), rules.join("\n"));
    let sources = Sources::from_texts(&[("a.rego", &text), (data.0, &data.1)]).unwrap();
    let mut config = patient(&Config::default());
    // Every reused decision is made again by the golden engine.
    config.cache.verify_every = 1;
    PolicyEngine::new(&sources, &config).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn a_decision_is_not_reused_for_another_value() {
    let asks = [("{}", Allow), (r#"{"secret":"2"}"#, Allow), (r#"{"secret":"1"}"#, Deny)];
    for rules in RULES {
        let engine = load(rules);
        for _ in 0..2 {
            for (arguments, verdict) in asks {
                let decision = Ask::call("t").arguments(arguments).decide(&engine);
                assert_eq!((decision.verdict, &decision.error), (verdict, &None), "{rules}");
            }
        }
        assert_eq!(engine.cache_checks().failed, 0, "{rules}");
    }
}

#[test]
fn what_serves_says_the_same_as_the_golden_engine() {
    let values = [
        "\"1\"",
        "\"2\"",
        "\"\"",
        "null",
        "1",
        "2.5",
        "true",
        "false",
        "[]",
        "[\"1\"]",
        "{}",
        "{\"secret\":\"1\"}",
    ];
    let mut asks: Vec<_> = values
        .iter()
        .map(|value| Ask::call("t").arguments(&format!("{{\"secret\":{value}}}")))
        .collect();
    asks.extend(
        ["{}", "[\"1\"]", "null", r#"{"other":"1"}"#].map(|it| Ask::call("t").arguments(it)),
    );
    asks.push(Ask::method("ping"));
    for rules in RULES.iter().chain(&OTHERS).chain(&FORMS) {
        let engine = load(rules);
        for ask in &asks {
            let (first, again) = (ask.decide(&engine), ask.decide(&engine));
            let plain = |it: domain::Decision| (it.verdict, it.reasons, it.error);
            assert_eq!(plain(first), plain(again), "{rules}: {:?}", ask.arguments);
        }
        assert_eq!(engine.cache_checks().failed, 0, "{rules}");
    }
}
