use tempfile::TempDir;

use super::*;

const POLICY: &str = r#"package mcp.policy

import rego.v1

deny contains "no" if input.tool == "burn"

deny contains "often" if input.session.request_count > 100
"#;

fn args(policy: &str, input: &str) -> (TempDir, BenchArgs) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    std::fs::write(path("policy.rego"), policy).unwrap();
    std::fs::write(path("input.json"), input).unwrap();
    let question =
        Question { data: vec![path("policy.rego")], input: path("input.json"), config: None };
    let args = BenchArgs { question, count: NonZeroU32::new(50).unwrap(), format: Format::Pretty };
    (folder, args)
}

#[test]
fn both_ways_are_measured() {
    let (_folder, args) = args(POLICY, r#"{"method": "tools/call", "tool": "burn"}"#);
    let (sources, mut settings, input) = args.question.resolve().unwrap();
    // A machine that is busy with other tests.
    settings.policy.evaluation.timeout = domain::Span::secs(5);
    let measured = measure(&sources, &settings.policy, &input, 50).unwrap();
    assert_eq!((measured.decision, &*measured.engine), ("deny", "rvm"));
    assert_eq!((measured.uncached.decisions, measured.uncached.hits), (50, 0));
    assert_eq!((measured.cached.decisions, measured.cached.hits), (50, 50));
    let Times { p50_ns, p99_ns, max_ns, .. } = measured.uncached;
    assert!(0 < p50_ns && p50_ns <= p99_ns && p99_ns <= max_ns, "{measured:?}");
}

#[test]
fn what_cannot_be_decided_is_not_measured() {
    let (_folder, args) = args("package mcp.policy\n\ndeny := input.tool", r#"{"tool": "a"}"#);
    let error = execute(&args).unwrap_err().to_string();
    assert!(error.contains("could not be evaluated"), "{error}");
}

#[test]
fn percentiles_are_times_that_were_measured() {
    let sorted: Vec<u64> = (1..=200).collect();
    assert_eq!([50, 99, 100].map(|percent| percentile(&sorted, percent)), [100, 198, 200]);
    assert_eq!([50, 99, 100].map(|percent| percentile(&[7], percent)), [7, 7, 7]);
    assert_eq!(percentile(&[], 50), 0);
}

#[test]
fn people_get_a_line_each_way() {
    let times =
        |p50_ns, hits| Times { decisions: 1000, hits, p50_ns, p99_ns: 9000, max_ns: 20_000 };
    let measured = Measured {
        revision: "abc".to_owned(),
        engine: "rvm".to_owned(),
        decision: "deny",
        uncached: times(4000, 0),
        cached: times(300, 1000),
    };
    insta::assert_snapshot!(pretty(&measured));
}
