//! What must not bring the gateway down, or let a message through: sets that are no sets, evaluations without end,
//! patterns made to stall, verdicts of no shape, panics.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::{Clock, Decision, ErrorKind, Policy, Stage, SystemClock, Verdict};

use crate::tests::fixture::{Ask, engine, engine_with};
use crate::{Config, Error, PolicySet, Sources};

/// The time for an evaluation that has no end, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5);

fn now() -> Instant {
    SystemClock.monotonic()
}

#[track_caller]
fn assert_failed(decision: &Decision, error: &str) {
    assert_eq!(decision.verdict, Verdict::Deny);
    assert_eq!(decision.denial(), Some(ErrorKind::PolicyError));
    assert!(decision.error.as_deref().unwrap_or_default().contains(error), "{decision:?}");
}

/// Row 46: no start with files that make no set, and the error names the file.
#[test]
fn files_that_make_no_set_are_refused_by_name() {
    #[track_caller]
    fn check(name: &str, bytes: &[u8]) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("good.rego"), "package mcp.policy\nallow := true").unwrap();
        assert!(load(dir.path()).is_ok(), "{name}");
        fs::write(dir.path().join(name), bytes).unwrap();
        let error = load(dir.path()).expect_err(name).to_string();
        assert!(error.contains(name), "{name}: {error}");
    }
    fn load(dir: &Path) -> Result<PolicySet, Error> {
        PolicySet::load(&Sources::from_dir(dir)?, &Config::default())
    }
    check("empty.rego", b"");
    check("half.rego", b"package mcp.policy\ndeny if {\n  input.tool == \"a\"\n");
    check("corrupt.rego", b"package mcp.policy\ndeny if input.tool ==== 1");
    check("binary.rego", b"\x00\xff\xfe\x00PK\x03\x04");
    check("nul.rego", b"package mcp.policy\n\x00");
    check("large.rego", &[b'#'; 2 * 1024 * 1024]);
    check("half.json", b"{\"a\": [1, 2");
    check("list.yaml", b"- a\n- b\n");
    check("binary.json", b"\xff\xfe");
}

/// Row 47: what would not end is cut off, and the thread goes on.
#[test]
fn evaluations_without_end_are_cut_off() {
    #[track_caller]
    fn check(body: &str) {
        let rego =
            format!("package mcp.policy\ndeny if {{\n  input.tool == \"slow\"\n  {body}\n}}");
        let mut config = Config::default();
        config.evaluation.timeout = domain::Span::millis(50);
        let engine = engine_with(&rego, &config);
        let started = now();
        assert_failed(&Ask::call("slow").decide(&engine), "");
        assert!(now() - started < PATIENCE, "{body}");
        assert_eq!(Ask::call("fast").decide(&engine).error, None, "{body}");
    }
    // Exponential in the depth.
    check(
        "xs := numbers.range(1, 30); count([1 | some a in xs; some b in xs; some c in xs; some d in xs; some e in xs; a + b + c + d + e == 0]) == 1",
    );
    check(
        "count({x | some a in numbers.range(1, 4000); some b in numbers.range(1, 4000); x := a * b}) == 1",
    );
    // On the virtual machine.
    check(
        "every a in numbers.range(1, 3000) { every b in numbers.range(1, 3000) { a != b + 9000 } }",
    );
}

/// Row 47: what cannot be cut off is refused when it is loaded.
#[test]
fn recursion_and_unbounded_builtins_are_never_served() {
    #[track_caller]
    fn check(rules: &str, error: &str) {
        let text = format!("package mcp.policy\n{rules}");
        let sources = Sources::from_texts(&[("a.rego", &text)]).unwrap();
        let refused = PolicySet::load(&sources, &Config::default()).unwrap_err().to_string();
        assert!(refused.contains(error), "{refused}");
    }
    check("deny if loop(1)\nloop(x) if loop(x + 1)", "recursion");
    check("deny if count(numbers.range(0, input.arguments.n)) > 1", "`numbers.range`");
}

/// Row 47: instructions have a bound of their own on the virtual machine.
#[test]
fn the_bound_of_instructions_holds() {
    let rego = "package mcp.policy\ndeny if {\n  count({x | some x in numbers.range(1, 5000)}) == 1\n  input.tool\n}";
    assert_eq!(*engine(rego).set().engine(), crate::Engine::Rvm);
    let mut config = Config::default();
    config.evaluation.max_instructions = 1000;
    assert_failed(&Ask::call("t").decide(&engine_with(rego, &config)), "instruction");
    assert_eq!(Ask::call("t").decide(&engine(rego)).error, None);
}

/// Row 47: what a message gives a builtin to work on is bounded.
#[test]
fn more_input_than_the_bound_is_a_denial() {
    let rego = "package mcp.policy\ndeny if contains(input.arguments.text, \"needle\")";
    let mut config = Config::default();
    config.evaluation.max_input = 4096;
    let engine = engine_with(rego, &config);
    let ask = |bytes: usize, rest: usize| {
        let (text, rest) = ("x".repeat(bytes), "y".repeat(rest));
        Ask::call("t").arguments(&format!(r#"{{"text": "{text}", "rest": "{rest}"}}"#))
    };
    assert_eq!(ask(4000, 0).decide(&engine).verdict, Verdict::Allow);
    // Only what the rules read counts.
    assert_eq!(ask(100, 100_000).decide(&engine).verdict, Verdict::Allow);
    assert_failed(&ask(4097, 0).decide(&engine), "`policy.evaluation.max_input`");
}

/// Row 48: patterns are matched in linear time, whoever wrote them.
#[test]
fn patterns_made_to_stall_do_not() {
    let rego = "package mcp.policy\ndeny if regex.match(\"^(a+)+$\", input.arguments.text)\n\
                deny if regex.match(`(x+x+)+y`, input.arguments.text)";
    let mut config = Config::default();
    config.evaluation.max_input = 1 << 20;
    let engine = engine_with(rego, &config);
    let text = format!("{}!", "a".repeat(100_000));
    let started = now();
    let decision = Ask::call("t").arguments(&format!(r#"{{"text": "{text}"}}"#)).decide(&engine);
    assert_eq!((decision.verdict, &decision.error), (Verdict::Allow, &None));
    assert!(now() - started < PATIENCE);
}

/// Row 49: a verdict that is none is a denial, at every stage.
#[test]
fn verdicts_of_no_shape_are_denials() {
    #[track_caller]
    fn check(rules: &str, denial: ErrorKind) {
        let engine = engine(&format!("package mcp.policy\n{rules}"));
        for stage in Stage::ALL {
            let decision = Ask::call("t").stage(stage).decide(&engine);
            assert_eq!(decision.denial(), Some(denial), "{rules} at {stage:?}: {decision:?}");
            assert_eq!(decision.verdict, Verdict::Deny);
        }
    }
    check("decision := input.arguments.missing", ErrorKind::PolicyError);
    check("decision := \"allow\"", ErrorKind::PolicyError);
    check("decision := {\"allow\": null}", ErrorKind::PolicyError);
    check("deny := \"yes\"", ErrorKind::PolicyError);
    check("violations := false", ErrorKind::PolicyError);
    check("allow := 1", ErrorKind::PolicyError);
    check("allow := true\ndeny := true", ErrorKind::PolicyDenied);
    check("allow := true\nviolations contains \"v\"", ErrorKind::PolicyDenied);
    check("allow := true if input.agent.id\nallow := false if input.stage", ErrorKind::PolicyError);
}

/// Row 49: a rule that is not there allows nothing that an allow-list would have to.
#[test]
fn an_undefined_allow_is_a_denial() {
    let engine = engine("package mcp.policy\nallow if input.arguments.missing");
    for stage in [Stage::Request, Stage::Response, Stage::List, Stage::ServerRequest] {
        let decision = Ask::call("t").stage(stage).decide(&engine);
        assert_eq!(decision.denial(), Some(ErrorKind::PolicyDenied));
    }
}

/// Row 51: a panic inside an evaluation is a denial, and the evaluator is built again.
#[test]
fn a_panic_is_a_denial_and_costs_the_thread_its_evaluator() {
    let engine = engine("package mcp.policy\nallow if input.tool == \"t\"");
    engine.sabotage();
    assert_failed(&Ask::call("t").decide(&engine), "panicked");
    assert_eq!(Ask::call("t").decide(&engine).verdict, Verdict::Allow);
}

#[test]
fn connections_are_examined_only_by_rules_that_name_the_stage() {
    #[track_caller]
    fn check(rules: &str, examined: bool) {
        let engine = engine(&format!("package mcp.policy\n{rules}"));
        assert_eq!(engine.examines(Stage::Connect), examined, "{rules}");
        assert!(!engine.examines(Stage::Gateway));
    }
    check("allow if input.tool == \"t\"", false);
    check("deny if input.stage == \"request\"", false);
    check("deny if input.tool == \"connect\"", false);
    check("deny if { input.stage == \"connect\"; input.agent.id == \"x\" }", true);
}

#[test]
fn an_allow_list_lets_connections_be_opened() {
    let engine = engine("package mcp.policy\nallow if input.tool == \"t\"");
    let decision = Ask::method("").stage(Stage::Connect).decide(&engine);
    assert_eq!(decision.matched_rule.as_deref(), Some("data.mcp.baseline.allow"));
}

#[test]
fn the_state_of_a_session_is_kept_only_for_rules_that_read_it() {
    #[track_caller]
    fn check(condition: &str, reads: bool) {
        let engine = engine(&format!("package mcp.policy\ndeny if {condition}"));
        assert_eq!(engine.reads_state(), reads, "{condition}");
    }
    check("input.tool == \"t\"", false);
    check("input.session.request_count > 1", false);
    check("input.session.cumulative_writes > 1", true);
    check("input.session.taints[_] == \"pii\"", true);
    check("count(input.session) > 1", true);
}
