use std::sync::Mutex;
use std::time::SystemTime;

use domain::Identity;

use super::*;
use crate::set::Engine;
use crate::tests::fixture::{Ask, engine, engine_with, messages, patient};

const README_1: &str = r#"package mcp.policy

default allow = false

# Allow read operations for agents with read capability
allow {
    input.method == "tools/call"
    startswith(input.tool, "read_")
    has_capability("read:*")
}

# Block write operations to sensitive directories
deny {
    input.method == "tools/call"
    input.tool == "write_file"
    startswith(input.arguments.path, "/etc/")
}

# Helper: check if agent has capability
has_capability(cap) {
    input.agent.capabilities[_] == cap
}
"#;

/// What the shipped data say of everybody.
const LIMIT: u64 = 100_000;

const README_2: &str = r#"package mcp.policy

# Limit to 100 requests per session
deny {
    input.session.request_count > 100
}
"#;

/// Asks twice, so that the second answer comes from the cache where there is one.
#[track_caller]
fn check(engine: &PolicyEngine, ask: &Ask, allowed: bool, rule: &str) {
    for _ in 0..2 {
        let decision = ask.decide(engine);
        let seen =
            (decision.verdict == Verdict::Allow, decision.matched_rule.as_deref(), &decision.error);
        assert_eq!(
            seen,
            (allowed, Some(rule).filter(|rule| !rule.is_empty()), &None),
            "{ask:?} {decision:?}"
        );
        assert_eq!(decision.reasons.is_empty(), allowed, "a denial has reasons: {decision:?}");
    }
}

#[test]
fn first_example_of_the_ancestors_readme_works_as_printed() {
    let engine = engine(README_1);
    let (allow, deny, baseline) =
        ("data.mcp.policy.allow", "data.mcp.policy.deny", "data.mcp.baseline.allow");
    check(&engine, &Ask::call("read_file"), true, allow);
    check(&engine, &Ask::call("read_file").capabilities(&["write:*"]), false, allow);
    check(&engine, &Ask::call("echo"), false, allow);
    check(&engine, &Ask::call("write_file").arguments(r#"{"path":"/etc/passwd"}"#), false, deny);
    check(&engine, &Ask::call("write_file").arguments(r#"{"path":"/tmp/x"}"#), false, allow);
    for method in ["initialize", "ping", "notifications/initialized", "tools/list", "prompts/list"]
    {
        check(&engine, &Ask::method(method), true, baseline);
    }
    // Lists show what may be called.
    check(&engine, &Ask::call("read_file").stage(Stage::List), true, allow);
    check(&engine, &Ask::call("echo").stage(Stage::List), false, allow);
    // The baseline opens nothing else.
    check(&engine, &Ask::method("resources/read"), false, allow);
    check(
        &engine,
        &Ask::method("sampling/createMessage").stage(Stage::ServerRequest),
        false,
        allow,
    );
    check(
        &engine,
        &Ask::method("notifications/message").stage(Stage::ServerRequest),
        true,
        baseline,
    );
    check(&engine, &Ask::method("initialize").stage(Stage::ServerRequest), false, allow);
    assert!(!engine.examines(Stage::Response));
}

#[test]
fn second_example_of_the_ancestors_readme_allows_exactly_a_hundred() {
    let engine = engine(README_2);
    check(&engine, &Ask::call("anything").count(100), true, "");
    check(&engine, &Ask::call("anything").count(101), false, "data.mcp.policy.deny");
    check(&engine, &Ask::method("initialize").count(101), false, "data.mcp.policy.deny");
}

#[test]
fn shipped_policies_decide_as_documented() {
    let engine =
        PolicyEngine::new(&Sources::embedded().unwrap(), &patient(&Config::default())).unwrap();
    assert_eq!(*engine.set.engine(), Engine::Rvm);
    for tool in [
        "echo",
        "read_file",
        "list_files",
        "lookup_customer",
        "weather",
        "slow",
        "count",
        "read_other",
    ] {
        check(&engine, &Ask::call(tool), true, "");
    }
    for tool in ["write_file", "delete_file", "something_else"] {
        check(&engine, &Ask::call(tool), false, "missing_capability");
        check(&engine, &Ask::call(tool).stage(Stage::List), false, "missing_capability");
        check(&engine, &Ask::call(tool).capabilities(&["*"]), true, "");
    }
    let decision = Ask::call("write_file").decide(&engine);
    assert_eq!(
        messages(&decision),
        ["agent `anonymous` lacks capability `write:files` for tool `write_file`"]
    );
    assert_eq!(decision.reasons[0].owasp.as_deref(), Some("MCP02"));
    check(&engine, &Ask::call("RM_RF").capabilities(&["*"]), false, "blocked_tool");
    check(&engine, &Ask::method("x/unknown"), false, "method_not_allowed");
    check(
        &engine,
        &Ask::method("sampling/createMessage").stage(Stage::ServerRequest),
        false,
        "method_not_allowed",
    );
    check(&engine, &Ask::method("tools/call"), false, "tool_missing");
    check(&engine, &Ask::call("echo").count(LIMIT), true, "");
    check(&engine, &Ask::call("echo").count(LIMIT + 1), false, "rate_limit_exceeded");
}

#[test]
fn counters_are_never_answered_from_the_cache() {
    let engine =
        PolicyEngine::new(&Sources::embedded().unwrap(), &patient(&Config::default())).unwrap();
    for count in LIMIT - 1000..=LIMIT {
        assert_eq!(
            Ask::call("echo").count(count).decide(&engine).verdict,
            Verdict::Allow,
            "{count}"
        );
    }
    let decision = Ask::call("echo").count(LIMIT + 1).decide(&engine);
    assert_eq!((decision.verdict, decision.cached), (Verdict::Deny, true));
    assert_eq!(
        messages(&decision),
        ["session has sent 100001 requests, more than the limit of 100000"]
    );
    // A denial of both groups names both reasons.
    let decision = Ask::call("write_file").count(LIMIT + 1).decide(&engine);
    assert_eq!(decision.reasons.len(), 2);
}

#[test]
fn a_cached_decision_is_only_for_the_same_input() {
    let engine = engine(
        "package mcp.policy\ndeny if input.arguments.path == \"/etc\"\ndeny if input.identity.did == \"bad\"",
    );
    check(&engine, &Ask::call("a").arguments(r#"{"path":"/tmp"}"#), true, "");
    check(&engine, &Ask::call("a").arguments(r#"{"path":"/etc"}"#), false, "data.mcp.policy.deny");
    let mut bad = Ask::call("a").arguments(r#"{"path":"/tmp"}"#);
    bad.identity = Arc::new(Identity { did: "bad".into(), ..Identity::configured() });
    check(&engine, &bad, false, "data.mcp.policy.deny");
}

/// A clock that stands until it is moved.
struct Hands(Mutex<Instant>);

impl Clock for Hands {
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

#[test]
fn cache_settings_take_effect() {
    let rego = "package mcp.policy\ndeny if input.tool == \"bad\"";
    let sources = Sources::from_texts(&[("t.rego", rego)]).unwrap();
    let start = SystemClock.monotonic();
    let hands = Arc::new(Hands(Mutex::new(start)));
    let make = |config: &Config| {
        PolicyEngine::with_clock(
            PolicySet::load(&sources, config).unwrap(),
            Arc::clone(&hands) as Arc<dyn Clock>,
        )
    };
    let cached = |engine: &PolicyEngine, tool: &str| Ask::call(tool).decide(engine).cached;
    let mut config = Config::default();

    let engine = make(&config);
    assert_eq!([cached(&engine, "a"), cached(&engine, "a")], [false, true]);
    *hands.0.lock().unwrap() = start + Duration::from_secs(299);
    assert!(cached(&engine, "a"));
    *hands.0.lock().unwrap() = start + Duration::from_secs(300);
    assert_eq!([cached(&engine, "a"), cached(&engine, "a")], [false, true]);

    config.cache.max_entries = 1;
    let engine = make(&config);
    assert_eq!(
        [cached(&engine, "a"), cached(&engine, "b"), cached(&engine, "a")],
        [false, false, false]
    );

    config.cache.enabled = false;
    let engine = make(&config);
    assert_eq!([cached(&engine, "a"), cached(&engine, "a")], [false, false]);
}

#[test]
fn an_evaluation_that_takes_too_long_is_a_denial() {
    let mut config = Config::default();
    config.evaluation.timeout = domain::Span::millis(1);
    let rego = "package mcp.policy\ndeny if {\n  input.tool == \"slow\"\n  count([1 | some x in numbers.range(1, 3000); some y in numbers.range(1, 3000); x == y]) == 1\n}";
    let engine = engine_with(rego, &config);
    let decision = Ask::call("slow").decide(&engine);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(decision.error.as_deref().unwrap().contains("time limit"), "{decision:?}");
    assert_eq!(engine.timeouts(), 1);
    // The evaluator is whole afterwards.
    assert_eq!(Ask::call("fast").decide(&engine).error, None);
}

#[test]
fn strict_builtin_errors_decides_what_a_failing_builtin_is() {
    let rego = "package mcp.policy\ndeny if input.session.request_count / 0 == 1";
    let mut config = Config::default();
    let lenient = Ask::call("a").decide(&engine_with(rego, &config));
    assert_eq!((lenient.verdict, lenient.error.is_some()), (Verdict::Allow, false));
    config.evaluation.strict_builtin_errors = true;
    let strict = Ask::call("a").decide(&engine_with(rego, &config));
    assert_eq!((strict.verdict, strict.error.is_some()), (Verdict::Deny, true));
}

#[test]
fn environment_and_time_reach_the_policy() {
    let rego = "package mcp.policy\ndeny contains msg if {\n  input.context.environment == \"production\"\n  msg := sprintf(\"%s %s\", [input.context.timestamp, input.session.started_at])\n}";
    let engine = engine(rego);
    let mut ask = Ask::call("a");
    check(&engine, &ask, true, "");
    ask.environment = "production".to_owned();
    assert_eq!(messages(&ask.decide(&engine)), ["2023-11-14T22:13:20Z 2023-11-14T22:12:20Z"]);
}

#[test]
fn arguments_that_cannot_be_read_are_a_denial() {
    let engine = engine("package mcp.policy\ndeny if input.arguments.path == \"/etc\"");
    let deep = format!(r#"{{"path":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let decision = Ask::call("a").arguments(&deep).decide(&engine);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(
        decision.error.as_deref().unwrap().starts_with("`input.arguments` cannot be read"),
        "{decision:?}"
    );
}

#[test]
fn threads_decide_alike() {
    let engine = Arc::new(engine(README_1));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                engine.warm();
                for _ in 0..20 {
                    assert_eq!(Ask::call("read_file").decide(&engine).verdict, Verdict::Allow);
                    assert_eq!(Ask::call("echo").decide(&engine).verdict, Verdict::Deny);
                }
            });
        }
    });
}

#[test]
fn a_user_baseline_replaces_the_embedded_one() {
    let sources = Sources::from_texts(&[
        ("a.rego", README_1),
        ("b.rego", "package mcp.baseline\nallow if input.method == \"initialize\""),
    ])
    .unwrap();
    let engine = PolicyEngine::new(&sources, &patient(&Config::default())).unwrap();
    check(&engine, &Ask::method("initialize"), true, "data.mcp.baseline.allow");
    check(&engine, &Ask::method("ping"), false, "data.mcp.policy.allow");
}

#[test]
fn answers_are_examined_only_by_rules_that_can_tell() {
    #[track_caller]
    fn check(rule: &str, examined: bool) {
        let engine = engine(&format!("package mcp.policy\n{rule}"));
        assert_eq!(engine.examines(Stage::Response), examined, "{rule}");
        for stage in [Stage::Request, Stage::List, Stage::ServerRequest] {
            assert!(engine.examines(stage));
        }
    }
    check("deny if input.tool == \"a\"", false);
    check("allow if input.tool == \"a\"", false);
    check("deny if input.result.isError", true);
    check("deny if input.stage == \"response\"", true);
    check("deny if count(input.findings) > 0", true);
    check("deny if { some key; input[key] == 1 }", true);
    check("deny if f\nf if g(1)\ng(_) if input.result", true);
}

#[test]
fn an_answer_is_seen_at_stage_response_only() {
    let engine = engine("package mcp.policy\ndeny if contains(input.result.text, \"secret\")");
    let mut ask = Ask::call("a");
    ask.result = Some(r#"{"text":"a secret"}"#.to_owned());
    check(&engine, &ask, true, "");
    check(&engine, &ask.stage(Stage::Response), false, "data.mcp.policy.deny");
}

#[test]
fn switched_off_policy_allows_and_says_so() {
    let off = Disabled::default();
    let decision = off.decide(&Ask::method("x/unknown").input());
    assert_eq!(
        (decision.verdict, decision.matched_rule.as_deref()),
        (Verdict::Allow, Some("policy_disabled"))
    );
    assert!(!off.examines(Stage::Response));
}

#[test]
fn what_a_client_sends_in_the_wrong_type_is_denied_by_either_engine() {
    #[track_caller]
    fn denied(rego: &str, arguments: &str) {
        let policy = engine(&format!("package mcp.policy\n{rego}"));
        let decision = Ask::call("transfer").arguments(arguments).decide(&policy);
        assert_eq!(decision.verdict, Verdict::Deny, "{rego} {arguments} {decision:?}");
    }
    let limit = "deny contains \"too much\" if {\n  input.tool == \"transfer\"\n  input.arguments.amount * 100 > 500000\n}";
    for amount in ["999999", "\"999999\"", "[999999]", "{\"$\":1}"] {
        denied(limit, &format!("{{\"amount\":{amount}}}"));
    }
    let keyed =
        "allow if {\n  input.method == \"tools/call\"\n  \"role\", \"admin\" in input.arguments\n}";
    denied(keyed, "{\"note\":\"admin\"}");
}

#[test]
fn work_without_bound_on_what_a_client_sends_is_refused() {
    #[track_caller]
    fn check(call: &str, served: bool) {
        let rego = format!("package mcp.policy\ndeny contains \"x\" if {{ y := {call}; y == 1 }}");
        let sources = crate::Sources::from_texts(&[("a.rego", &rego)]).unwrap();
        match PolicyEngine::new(&sources, &Config::default()) {
            Ok(_) => assert!(served, "{call}"),
            Err(error) => {
                assert!(!served, "{call}: {error}");
                assert!(error.to_string().contains(": the work of `"), "{error}");
            }
        }
    }
    check("numbers.range(1, input.arguments.n)", false);
    check("numbers.range_step(1, input.arguments.n, 1)", false);
    check("net.cidr_expand(input.arguments.net)", false);
    check("units.parse(input.arguments.size)", false);
    check("units.parse_bytes(input.arguments.size)", false);
    check("sprintf(input.arguments.format, [1])", false);
    check("sprintf(\"%v\", [input.arguments.n])", true);
    // What can be made of a small graph is not small.
    check("graph.reachable_paths(input.arguments.graph, [\"a\"])", false);
    check("graph.reachable(input.arguments.graph, [\"a\"])", true);
    check("replace(input.arguments.x, \"a\", input.arguments.y)", false);
    check("replace(input.arguments.x, input.arguments.y, \"b\")", true);
    check("regex.replace(input.arguments.x, \"a\", input.arguments.y)", false);
    check("strings.replace_n({input.arguments.x: \"a\"}, input.arguments.y)", false);
    check("strings.replace_n({\"<\": \"&lt;\"}, input.arguments.y)", true);
    check("concat(input.arguments.x, input.arguments.list)", false);
    check("count(numbers.range(1, 10))", true);
}
