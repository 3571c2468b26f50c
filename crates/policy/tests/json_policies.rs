//! What JSON policies mean: compiled, loaded and evaluated, never compared as text.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "these are tests and their fixtures"
)]

use domain::{Decision, Span, Verdict};
use policy::{Config, Sources, eval};
use serde_json::{Value, json};

/// The decision on `input` of the files together with whatever `rego` says.
fn decide(files: &[&Value], rego: &str, input: &Value) -> Decision {
    let compiled: Vec<(String, String)> = files
        .iter()
        .enumerate()
        .map(|(index, file)| {
            let name = format!("{index}.json");
            let compiled = json_policy::compile(&name, &file.to_string()).unwrap();
            (format!("{name}.rego"), compiled.rego)
        })
        .collect();
    let mut texts: Vec<(&str, &str)> =
        compiled.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    if !rego.is_empty() {
        texts.push(("own.rego", rego));
    }
    let sources = Sources::from_texts(&texts).unwrap();
    let mut config = Config::default();
    config.evaluation.timeout = Span::secs(10);
    let outcome = eval(&sources, &config, &input.to_string()).unwrap();
    assert!(outcome.agrees, "the engines differ on {input} under {compiled:?}");
    assert_eq!(outcome.decision.error, None, "{input} under {compiled:?}");
    outcome.decision
}

fn file(name: &str, rules: Value) -> Value {
    json!({"version": "1.0", "name": name, "rules": rules})
}

fn custom(conditions: &Value) -> Value {
    file("t", json!([{"id": "it", "type": "custom", "action": "deny", "conditions": conditions}]))
}

/// A message with everything that conditions are about.
fn message() -> Value {
    json!({
        "stage": "request",
        "method": "tools/call",
        "tool": "write_file",
        "arguments": {"path": "/etc/passwd", "size": 10, "tags": ["a", "b"], "dry": true, "none": null},
        "agent": {"id": "alice", "capabilities": ["read:*"], "model": "m-1"},
        "identity": {"verified": false, "did": ""},
        "session": {"request_count": 5},
    })
}

#[track_caller]
fn check(conditions: Value, matches: bool) {
    let decision = decide(&[&custom(&conditions)], "", &message());
    assert_eq!(decision.verdict == Verdict::Deny, matches, "{conditions}");
}

#[test]
fn operators() {
    let cases = json!([
        ["tool", "eq", "write_file", true],
        ["tool", "eq", "Write_file", false],
        ["arguments.size", "eq", 10, true],
        ["arguments.size", "eq", 10.0, true],
        ["arguments.size", "eq", "10", false],
        ["arguments.none", "eq", null, true],
        ["arguments.dry", "eq", true, true],
        ["arguments.absent", "eq", null, false],
        ["tool", "ne", "read_file", true],
        ["tool", "ne", "write_file", false],
        ["arguments.absent", "ne", "x", false],
        ["arguments.size", "gt", 9, true],
        ["arguments.size", "gt", 10, false],
        ["arguments.size", "gte", 10, true],
        ["arguments.size", "lt", 10.5, true],
        ["arguments.size", "lt", 10, false],
        ["arguments.size", "lte", 10, true],
        ["arguments.path", "gt", 1, false],
        ["arguments.size", "lt", "zzz", false],
        ["arguments.path", "gt", "/a", true],
        ["arguments.path", "contains", "passwd", true],
        ["arguments.path", "contains", "shadow", false],
        ["arguments.tags", "contains", "a", true],
        ["arguments.tags", "contains", "c", false],
        ["arguments.size", "contains", "1", false],
        ["arguments.path", "startswith", "/etc/", true],
        ["arguments.path", "startswith", "etc", false],
        ["arguments.size", "startswith", "1", false],
        ["arguments.path", "endswith", "passwd", true],
        ["arguments.path", "endswith", "/etc", false],
        ["agent.id", "matches", "^al.*e$", true],
        ["agent.id", "matches", "^bob", false],
        ["arguments.size", "matches", "1", false],
        ["agent.id", "in", ["bob", "alice"], true],
        ["agent.id", "in", ["bob"], false],
        ["arguments.size", "in", [10, "x"], true],
        ["arguments.absent", "in", ["x"], false],
        ["agent.id", "not_in", ["bob"], true],
        ["agent.id", "not_in", ["bob", "alice"], false],
        ["arguments.absent", "not_in", ["x"], false],
        ["arguments.dry", "not_in", [false], true]
    ]);
    for case in cases.as_array().unwrap() {
        let [field, op, value, matches] = &case.as_array().unwrap()[..] else { panic!("{case}") };
        check(json!({"field": field, "op": op, "value": value}), matches.as_bool().unwrap());
    }
}

#[test]
fn tables_and_bare_paths_hold_together() {
    check(json!({"field_equals": {"tool": "write_file", "agent.id": "alice"}}), true);
    check(json!({"field_equals": {"tool": "write_file", "agent.id": "bob"}}), false);
    check(json!({"field_in": {"tool": ["x", "write_file"], "agent.model": ["m-1"]}}), true);
    check(json!({"field_in": {"tool": ["x"], "agent.model": ["m-1"]}}), false);
    check(json!({"field_matches": {"tool": "^write", "agent.id": "^a"}}), true);
    check(json!({"field_matches": {"tool": "^write", "agent.id": "^b"}}), false);
    check(json!({"tool_in": ["write_file"], "agent_in": ["alice"]}), true);
    check(json!({"tool_in": ["write_file"], "agent_in": ["bob"]}), false);
    check(json!({"agent.id": "alice", "tool": "write_file"}), true);
    check(json!({"agent.id": "bob", "tool": "write_file"}), false);
    check(json!({"agent.id": "alice", "tool": "read_file"}), false);
    check(json!({"input.agent.id": "alice"}), true);
    check(
        json!({"tool": "write_file", "all": [{"agent.id": "alice"}], "not": {"agent.id": "bob"}}),
        true,
    );
    check(
        json!({"tool": "write_file", "all": [{"agent.id": "alice"}], "not": {"tool": "write_file"}}),
        false,
    );
}

#[test]
fn connectives_have_their_truth_tables() {
    let is = |truth: bool| json!({"tool": if truth { "write_file" } else { "other" }});
    for a in [false, true] {
        check(json!({"not": is(a)}), !a);
        check(json!({"not": {"not": is(a)}}), a);
        for b in [false, true] {
            let both = json!([is(a), is(b)]);
            check(json!({"all": both}), a && b);
            check(json!({"any": both}), a || b);
            check(json!({"not": {"all": both}}), !(a && b));
            check(json!({"not": {"any": both}}), !(a || b));
            check(json!({"any": [{"all": both}, {"not": {"any": both}}]}), (a && b) || !(a || b));
        }
    }
    check(json!({"not": {"arguments.absent": "x"}}), true);
}

#[test]
fn the_matching_rule_of_the_highest_priority_decides() {
    let rule = |id: &str, action: &str, priority: i64| json!({"id": id, "type": "custom", "action": action, "priority": priority, "conditions": {"tool": "write_file"}});
    for (allow, deny, denied) in
        [(2, 1, false), (1, 2, true), (1, 1, true), (-1, -2, false), (0, -3, false)]
    {
        let file = file("t", json!([rule("a", "allow", allow), rule("d", "deny", deny)]));
        let decision = decide(&[&file], "", &message());
        assert_eq!(decision.verdict == Verdict::Deny, denied, "allow {allow}, deny {deny}");
    }
    let disabled = json!({"id": "d", "type": "custom", "action": "deny", "enabled": false, "conditions": {"tool": "write_file"}});
    let other = json!({"id": "e", "type": "blocklist", "conditions": {"match_type": "tool", "values": ["x"]}});
    let decision = decide(&[&file("t", json!([disabled, other]))], "", &message());
    assert_eq!(decision.verdict, Verdict::Allow);
}

#[track_caller]
fn check_rule(rule: Value, input: &[(&str, Value)], message_text: Option<&str>) {
    let mut message = message();
    for (pointer, value) in input {
        *message.pointer_mut(pointer).unwrap() = value.clone();
    }
    let decision = decide(&[&file("t", json!([rule]))], "", &message);
    let text = decision.reasons.first().map(|reason| reason.message.as_str());
    assert_eq!(text, message_text, "{rule} on {input:?}");
}

#[test]
fn capabilities() {
    let rule = json!({"id": "c", "type": "capability",
                      "conditions": {"tool": "write_file", "requires_capability": "write:files"}});
    let lacks = Some("agent `alice` lacks the capability for tool `write_file`");
    check_rule(rule.clone(), &[], lacks);
    for held in ["write:files", "write:*", "*"] {
        check_rule(rule.clone(), &[("/agent/capabilities", json!(["x", held]))], None);
    }
    for held in ["write:file", "read:*", "write:files2"] {
        check_rule(rule.clone(), &[("/agent/capabilities", json!([held]))], lacks);
    }
    check_rule(rule.clone(), &[("/tool", json!("read_file"))], None);
    check_rule(rule, &[("/method", json!("tools/list"))], None);
}

#[test]
fn lists() {
    let rule = |kind: &str, values: Value| json!({"id": "b", "type": "blocklist", "message": "no", "conditions": {"match_type": kind, "values": values}});
    check_rule(rule("tool", json!(["rm_rf", "Write_File"])), &[], Some("no"));
    check_rule(rule("tool", json!(["rm_rf"])), &[], None);
    check_rule(rule("agent", json!(["alice"])), &[], Some("no"));
    check_rule(rule("agent", json!(["bob"])), &[], None);
    check_rule(
        rule("did", json!(["did:key:x"])),
        &[("/identity/did", json!("did:key:x"))],
        Some("no"),
    );
    check_rule(rule("did", json!(["did:key:x"])), &[], None);
}

#[test]
fn session_limits_let_as_many_pass_as_they_say() {
    let rule = |conditions: Value| json!({"id": "r", "type": "rate_limit", "message": "slow down", "conditions": conditions});
    let count = |count: u64| [("/session/request_count", json!(count))];
    check_rule(rule(json!({"limit": 5})), &count(5), None);
    check_rule(rule(json!({"limit": 5})), &count(6), Some("slow down"));
    check_rule(
        rule(json!({"limit": 5, "window": "session", "agent_id": "alice"})),
        &count(6),
        Some("slow down"),
    );
    check_rule(rule(json!({"limit": 5, "agent_id": "bob"})), &count(6), None);
    check_rule(rule(json!({"limit": 5, "agent_pattern": "^al"})), &count(6), Some("slow down"));
    check_rule(rule(json!({"limit": 5, "agent_pattern": "^b"})), &count(6), None);
}

#[test]
fn windows_become_obligations() {
    let rule = |window: &str, agent: &str| {
        file(
            "t",
            json!([{"id": "r", "type": "rate_limit", "conditions": {"limit": 7, "window": window, "agent_id": agent}}]),
        )
    };
    for (window, agent, seconds) in
        [("minute", "alice", Some(60)), ("hour", "alice", Some(3600)), ("hour", "bob", None)]
    {
        let decision = decide(
            &[&rule(window, agent)],
            "package mcp.policy\nimport rego.v1\ndeny := false",
            &message(),
        );
        assert_eq!(decision.verdict, Verdict::Allow);
        let limits: Vec<(u64, u64)> = decision
            .obligations
            .iter()
            .map(|obligation| match obligation {
                domain::Obligation::RateLimit(limit) => (limit.limit, limit.per.as_secs()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(limits, seconds.map(|seconds| (7, seconds)).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn defaults() {
    let allowing = |default: &str| {
        json!({"version": 1, "name": "t", "defaults": {"action": default}, "rules": [
            {"id": "a", "type": "custom", "action": "allow", "conditions": {"tool": "write_file"}},
            {"id": "d", "type": "custom", "action": "deny", "conditions": {"tool": "never"}},
        ]})
    };
    let with = |pointer: &str, value: Value| {
        let mut message = message();
        *message.pointer_mut(pointer).unwrap() = value;
        message
    };
    let verdict =
        |default: &str, message: &Value| decide(&[&allowing(default)], "", message).verdict;
    assert_eq!(verdict("deny", &message()), Verdict::Allow);
    assert_eq!(verdict("deny", &with("/tool", json!("read_file"))), Verdict::Deny);
    assert_eq!(verdict("allow", &with("/tool", json!("read_file"))), Verdict::Allow);
    // What opens a session is not denied by silence.
    let ping =
        json!({"stage": "request", "method": "ping", "agent": {"id": "a", "capabilities": []}});
    assert_eq!(verdict("deny", &ping), Verdict::Allow);
    let limited = json!({"version": 1, "name": "t", "defaults": {"rate_limit": 5}, "rules": [
        {"id": "r", "type": "rate_limit", "conditions": {"limit": 100, "agent_id": "bob"}},
    ]});
    assert_eq!(decide(&[&limited], "", &message()).verdict, Verdict::Allow);
    assert_eq!(
        decide(&[&limited], "", &with("/session/request_count", json!(6))).verdict,
        Verdict::Deny
    );
    let mut bob = with("/session/request_count", json!(6));
    bob["agent"]["id"] = json!("bob");
    assert_eq!(decide(&[&limited], "", &bob).verdict, Verdict::Allow);
}

#[test]
fn messages_show_fields() {
    let rule = |message: &str| json!({"id": "m", "type": "custom", "action": "deny", "message": message, "conditions": {"tool": "write_file"}});
    check_rule(rule("agent %{agent.id} may not"), &[], Some("agent alice may not"));
    check_rule(
        rule("100 % of %{arguments.size}s, %{arguments.absent}"),
        &[],
        Some("100 % of 10s, unknown"),
    );
    check_rule(
        rule("%{tool}%{tool} \"q\" \\ \n ü 𝄞"),
        &[],
        Some("write_filewrite_file \"q\" \\ \n ü 𝄞"),
    );
    let long = "x".repeat(1000);
    check_rule(rule(&long), &[], Some(&long));
}

#[test]
fn files_and_rego_only_add_denials() {
    let allow = |name: &str| {
        json!({"version": 1, "name": name, "defaults": {"action": "deny"}, "rules": [
            {"id": "a", "type": "custom", "action": "allow", "priority": 1000, "conditions": {"tool": "write_file"}},
        ]})
    };
    let deny = file(
        "other",
        json!([{"id": "d", "type": "custom", "action": "deny", "conditions": {"tool": "write_file"}}]),
    );
    assert_eq!(decide(&[&allow("one"), &allow("two")], "", &message()).verdict, Verdict::Allow);
    assert_eq!(decide(&[&allow("one"), &deny], "", &message()).verdict, Verdict::Deny);
    let rego =
        "package mcp.policy\nimport rego.v1\ndeny contains \"no\" if input.tool == \"write_file\"";
    assert_eq!(decide(&[&allow("one")], rego, &message()).verdict, Verdict::Deny);
    let shipped = decide(&[&deny], "", &message());
    assert_eq!(shipped.matched_rule.as_deref(), Some("other/d"));
}

/// What a tree of conditions means, said a second time without Rego.
fn holds(conditions: &Value, message: &Value) -> bool {
    let members = conditions.as_object().unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let field = |path: &str| message.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
    members.iter().all(|(key, value)| match key.as_str() {
        "all" => list(value).iter().all(|item| holds(item, message)),
        "any" => list(value).iter().any(|item| holds(item, message)),
        "not" => !holds(value, message),
        "op" | "value" => true,
        "field" => {
            let (wanted, found) = (&conditions["value"], field(value.as_str().unwrap()));
            let Some(found) = found else { return false };
            match conditions["op"].as_str().unwrap() {
                "eq" => found == *wanted,
                "ne" => found != *wanted,
                "gt" => found.as_i64().zip(wanted.as_i64()).is_some_and(|(a, b)| a > b),
                "startswith" => {
                    found.as_str().zip(wanted.as_str()).is_some_and(|(a, b)| a.starts_with(b))
                }
                other => panic!("{other}"),
            }
        }
        path => field(path).is_some_and(|found| found == *value),
    })
}

mod agreement {
    use proptest::prelude::*;

    use super::*;

    fn leaf() -> impl Strategy<Value = Value> {
        let path =
            prop::sample::select(vec!["tool", "agent.id", "arguments.size", "arguments.none"]);
        let text = prop::sample::select(vec!["a", "ab", "b"]);
        prop_oneof![
            (path.clone(), text.clone()).prop_map(|(path, text)| json!({path: text})),
            (path.clone(), prop::sample::select(vec!["eq", "ne", "startswith"]), text)
                .prop_map(|(path, op, text)| json!({"field": path, "op": op, "value": text})),
            (path, 0..3_i64)
                .prop_map(|(path, value)| json!({"field": path, "op": "gt", "value": value})),
        ]
    }

    fn tree() -> impl Strategy<Value = Value> {
        leaf().prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"all": all})),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|any| json!({"any": any})),
                inner.prop_map(|not| json!({"not": not})),
            ]
        })
    }

    fn input() -> impl Strategy<Value = Value> {
        let text = prop::sample::select(vec!["a", "ab", "b", "c"]);
        (text.clone(), text, 0..3_i64, any::<bool>()).prop_map(|(tool, agent, size, sized)| {
            let arguments = if sized { json!({"size": size}) } else { json!({"size": "ab"}) };
            json!({"stage": "request", "method": "tools/call", "tool": tool, "arguments": arguments,
                   "agent": {"id": agent, "capabilities": []}})
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn compiled_conditions_mean_what_the_tree_says(tree in tree(), input in input()) {
            let denied = decide(&[&custom(&tree)], "", &input).verdict == Verdict::Deny;
            prop_assert_eq!(denied, holds(&tree, &input), "{} on {}", tree, input);
        }
    }
}
