//! What serves decides as the golden engine does: over generated policies and over those that are shipped.
//!
//! The golden engine evaluates the texts as written, on the whole input. Against it stand the serving engine on the
//! projected input without the cache, the decision that enters the cache, and the one that comes out of it.

use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rego::ReadSet;

use crate::input::Projection;
use crate::runner::golden;
use crate::set::Engine;
use crate::tests::fixture::Ask;
use crate::verdict::Conclusion;
use crate::{Config, PolicyEngine, PolicySet, Sources, probe};

const DATA: &str = r#"{
    "table": {"read_a": ["x", "/etc"], "ada": ["read:*"], "tools/call": []},
    "names": ["read_a", "ada", "x"],
    "limit": 3
}"#;

/// What generated rules can refer to.
const PRELUDE: &str = r#"package mcp.policy
import rego.v1

helper if input.session.request_count == 2
helper if input.arguments.path
silent if { input.tool == "read_a"; not input.arguments.mode }
reads(name) if startswith(name, "read")
grade(name) := "low" if { name in data.names } else := "high"
level := "top" if { input.agent.id == "ada" } else := "low" if { input.arguments.deep.a == "x" } else := "none"
known contains "read_a"
known contains input.arguments.path
open_names contains name if some name in input.agent.capabilities
weight := count(input.session.taints)
"#;

/// Texts that are there or not, and may have another type.
const TEXTS: [&str; 14] = [
    "input.method",
    "input.tool",
    "input.request.tool",
    "input.resource",
    "input.agent.id",
    "input.arguments.path",
    "input.arguments.mode",
    "input.arguments.deep.a",
    "input.request.arguments.path",
    "input[\"arguments\"][\"path\"]",
    "input.context.environment",
    "input.context.headers.team",
    "input.result.path",
    "input.stage",
];
const NUMBERS: [&str; 7] = [
    "input.session.request_count",
    "input.session.cumulative_reads",
    "input.session.tools_used.read_a",
    "input.arguments.n",
    "input.request.size",
    "data.limit",
    "weight",
];
const LISTS: [&str; 6] = [
    "input.agent.capabilities",
    "input.agent.tags",
    "input.session.taints",
    "data.names",
    "known",
    "open_names",
];
const WORDS: [&str; 7] = ["read_a", "write_b", "/etc", "x", "ada", "tools/call", "read:*"];

fn condition() -> impl Strategy<Value = String> {
    let text = || prop::sample::select(&TEXTS[..]);
    let number = || prop::sample::select(&NUMBERS[..]);
    let list = || prop::sample::select(&LISTS[..]);
    let word = || prop::sample::select(&WORDS[..]);
    let fresh = || "[a-z]{6}";
    prop_oneof![
        (text(), word()).prop_map(|(t, w)| format!("{t} == \"{w}\"")),
        (text(), word()).prop_map(|(t, w)| format!("{t} != \"{w}\"")),
        (text(), text()).prop_map(|(one, other)| format!("{one} == {other}")),
        (text(), word()).prop_map(|(t, w)| format!("startswith({t}, \"{w}\")")),
        (text(), word(), word())
            .prop_map(|(t, one, two)| format!("lower({t}) in {{\"{one}\", \"{two}\"}}")),
        (number(), 0..5).prop_map(|(n, limit)| format!("{n} > {limit}")),
        (number(), number()).prop_map(|(one, other)| format!("{one} <= {other}")),
        (word(), list()).prop_map(|(w, l)| format!("\"{w}\" in {l}")),
        (text(), list()).prop_map(|(t, l)| format!("{t} in {l}")),
        text().prop_map(|t| format!("not {t}")),
        (text(), word()).prop_map(|(t, w)| format!("not {t} == \"{w}\"")),
        (text(), list()).prop_map(|(t, l)| format!("not {t} in {l}")),
        (list(), 0..3).prop_map(|(l, n)| format!("count({l}) > {n}")),
        (fresh(), text(), word()).prop_map(|(v, t, w)| format!("v{v} := {t}; v{v} == \"{w}\"")),
        (fresh(), text()).prop_map(|(v, t)| format!("v{v} := {t}")),
        (fresh(), list(), word())
            .prop_map(|(v, l, w)| format!("some v{v} in {l}; v{v} != \"{w}\"")),
        (fresh(), list(), word())
            .prop_map(|(v, l, w)| format!("every v{v} in {l} {{ v{v} != \"{w}\" }}")),
        (fresh(), list())
            .prop_map(|(v, l)| format!("count({{v{v} | some v{v} in {l}; reads(v{v})}}) > 0")),
        (fresh(), list(), text())
            .prop_map(|(v, l, t)| format!("count([v{v} | some v{v} in {l}; v{v} == {t}]) == 0")),
        (text(), word()).prop_map(|(t, w)| format!("sprintf(\"%v\", [{t}]) == \"{w}\"")),
        (text(), any::<bool>()).prop_map(|(t, low)| {
            format!("grade({t}) == \"{}\"", if low { "low" } else { "high" })
        }),
        text().prop_map(|t| format!("reads({t})")),
        text().prop_map(|t| format!("not reads({t})")),
        text().prop_map(|t| format!("data.table[{t}]")),
        (text(), text()).prop_map(|(t, u)| format!("{u} in data.table[{t}]")),
        text().prop_map(|t| format!("input.arguments[{t}]")),
        fresh().prop_map(|v| format!("some v{v}; input.arguments[v{v}] == \"x\"")),
        fresh().prop_map(|v| format!("some v{v}; input[v{v}] == \"ping\"")),
        Just("object.get(input.arguments, \"path\", \"none\") == \"none\"".to_owned()),
        Just("object.get(input, [\"arguments\", \"path\"], \"x\") == \"x\"".to_owned()),
        Just("helper".to_owned()),
        Just("not helper".to_owned()),
        Just("silent".to_owned()),
        Just("level == \"low\"".to_owned()),
        Just("not level == \"none\"".to_owned()),
        Just("input.arguments".to_owned()),
        Just("input.arguments.list[0] == \"x\"".to_owned()),
        Just("input.context.timestamp > \"2023-11-14T22:13:20Z\"".to_owned()),
    ]
}

fn head() -> impl Strategy<Value = String> {
    let text = || prop::sample::select(&TEXTS[..]);
    prop_oneof![
        Just("allow if".to_owned()),
        Just("deny contains \"one\" if".to_owned()),
        text().prop_map(|t| format!("deny contains {t} if")),
        text().prop_map(|t| format!("violations contains sprintf(\"two %v\", [{t}]) if")),
        Just("violations contains {\"msg\": \"three\", \"rule\": \"r\"} if".to_owned()),
        text().prop_map(|t| format!("violations contains {{\"msg\": \"four\", \"rule\": {t}}} if")),
    ]
}

/// How the rules of a generated policy come to a verdict.
#[derive(Clone, Copy, Debug)]
enum Verdicts {
    Sets,
    BareDeny,
    Document,
}

const DOCUMENT: &str = r#"default granted := false
granted if { count(violations) == 0; allow }
decision := {"allow": granted, "violations": violations, "matched_rule": level}
allow if input.method == "ping"
violations contains "five" if input.method == "x"
"#;

fn policies() -> impl Strategy<Value = String> {
    let rule = (head(), prop::collection::vec(condition(), 1..4));
    let verdicts =
        prop::sample::select(&[Verdicts::Sets, Verdicts::BareDeny, Verdicts::Document][..]);
    (prop::collection::vec(rule, 1..6), verdicts).prop_map(|(rules, verdicts)| {
        let mut text = PRELUDE.to_owned();
        for (head, body) in rules {
            let bare = matches!(verdicts, Verdicts::BareDeny) && head.starts_with("deny");
            let head = if bare { "deny if" } else { &head };
            text.push_str(&format!("{head} {{ {} }}\n", body.join("; ")));
        }
        if matches!(verdicts, Verdicts::Document) {
            text.push_str(DOCUMENT);
        }
        text
    })
}

/// JSON that a client may send: mostly what rules look for, sometimes of another type.
fn json() -> impl Strategy<Value = String> {
    let value = || {
        prop_oneof![
            4 => prop::sample::select(&WORDS[..]).prop_map(|w| format!("\"{w}\"")),
            1 => Just("null".to_owned()),
            1 => Just("4".to_owned()),
            1 => Just("[\"x\",1]".to_owned()),
            1 => Just("{\"a\":\"x\",\"b\":2}".to_owned()),
        ]
    };
    let members = prop::collection::btree_map(
        prop::sample::select(&["path", "mode", "deep", "n", "list", "other"][..]),
        value(),
        0..5,
    );
    prop_oneof![
        9 => members.prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
            format!("{{{}}}", members.join(","))
        }),
        1 => value(),
    ]
}

fn asks() -> impl Strategy<Value = Ask> {
    let word = || proptest::option::of(prop::sample::select(&WORDS[..]).prop_map(str::to_owned));
    let words = || prop::sample::subsequence(&WORDS[..], 0..4);
    let message = (
        prop::sample::select(&["tools/call", "ping", "tools/list", "x"][..]),
        prop::sample::select(&domain::Stage::ALL[..]),
        word(),
        proptest::option::of(
            prop::sample::select(&["path", "mode", "x"][..]).prop_map(str::to_owned),
        ),
        proptest::option::of(json()),
        proptest::option::of(json()),
    );
    let around = (words(), words(), 1..5_u64, 0..5_u64, any::<bool>(), word());
    (message, around).prop_map(|((method, stage, tool, resource, arguments, result), around)| {
        let (capabilities, taints, count, reads, ada, header) = around;
        let mut state = domain::SessionState { cumulative_reads: reads, ..Default::default() };
        state.taints.extend(taints.iter().map(|taint| (*taint).into()));
        state.tools_used.extend(taints.iter().map(|tool| ((*tool).into(), reads)));
        let mut ask = Ask {
            stage,
            tool,
            resource,
            arguments,
            result,
            count,
            state: state.into(),
            headers: header.into_iter().map(|value| ("team".into(), value.into())).collect(),
            environment: if ada { "x" } else { "" }.to_owned(),
            seconds: 1_700_000_000 + u64::from(ada),
            ..Ask::method(method).capabilities(&capabilities)
        };
        if ada {
            ask.agent = domain::Agent { id: "ada".into(), ..(*ask.agent).clone() }.into();
        }
        ask
    })
}

fn sources(rego: &str) -> Sources {
    Sources::from_texts(&[("data.json", DATA), ("generated.rego", rego)]).unwrap()
}

/// With all the time in the world: a machine that is busy must not look like a difference.
fn patient() -> Config {
    let mut config = Config::default();
    config.cache.verify_every = 0;
    config.evaluation.timeout = domain::Span::secs(10);
    config
}

fn loaded(rego: &str, cached: bool) -> PolicySet {
    let mut config = patient();
    config.cache.enabled = cached;
    PolicySet::load(&sources(rego), &config).unwrap_or_else(|error| panic!("{error}\n{rego}"))
}

fn engine(set: PolicySet) -> PolicyEngine {
    PolicyEngine::with_clock(set, std::sync::Arc::new(domain::SystemClock))
}

/// Decides by the interpreter, rule by rule, on the whole input and the texts as written.
struct Oracle {
    engine: regorus::Engine,
    whole: Projection,
}

impl Oracle {
    fn new(set: &PolicySet) -> Self {
        let whole = Projection::new(&ReadSet::everything());
        Self { engine: set.golden().unwrap(), whole }
    }

    fn conclude(&mut self, set: &PolicySet, ask: &Ask) -> Conclusion {
        let input = ask.input();
        let whole = self.whole.value(&input).unwrap();
        match golden(&mut self.engine, set.rulebook.declared, whole) {
            Ok(parts) => set.rulebook.conclude(input.stage, &parts),
            Err(error) => Conclusion::failed(error),
        }
    }
}

/// How a decision differs from what the oracle concludes; of failed evaluations only that they failed.
fn difference(expected: &Conclusion, engine: &PolicyEngine, ask: &Ask) -> Option<String> {
    let actual = ask.decide(engine);
    let texts = |reasons: &[domain::Reason]| -> Vec<domain::Reason> {
        reasons.iter().map(|reason| domain::Reason { at: None, ..reason.clone() }).collect()
    };
    let same = expected.error.is_some() == actual.error.is_some()
        && expected.verdict == actual.verdict
        && (expected.error.is_some()
            || (texts(&expected.reasons) == texts(&actual.reasons)
                && expected.matched_rule == actual.matched_rule));
    (!same).then(|| format!("{ask:?}\nexpected {expected:?}\nactual {actual:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Interpreter on the whole input, serving engine on the projection, and cached decision say the same.
    #[test]
    fn generated_policies_are_decided_alike_by_everything(
        rego in policies(),
        asks in prop::collection::vec(asks(), 24),
    ) {
        let (cached, fresh) = (engine(loaded(&rego, true)), engine(loaded(&rego, false)));
        let set = loaded(&rego, false);
        let mut oracle = Oracle::new(&set);
        for ask in &asks {
            let expected = oracle.conclude(&set, ask);
            for (what, engine) in [("fresh", &fresh), ("first", &cached), ("second", &cached)] {
                let difference = difference(&expected, engine, ask);
                prop_assert!(difference.is_none(), "{what}\n{rego}\n{}", difference.unwrap_or_default());
            }
        }
    }
}

/// A read set that forgot one of its paths.
fn without(reads: &ReadSet, path: &str) -> ReadSet {
    let others = reads.paths().into_iter().filter(|other| other != path).collect::<Vec<_>>();
    others.iter().filter_map(|other| other.strip_prefix("input.")).collect()
}

/// The comparison has power: an analysis that forgot a path would be caught, whatever construct reads it.
#[test]
fn a_path_that_is_forgotten_makes_a_difference() {
    let mut runner = TestRunner::deterministic();
    let asks = prop::collection::vec(asks(), 600).new_tree(&mut runner).unwrap().current();
    let rules = [
        "deny contains \"x\" if input.tool == input.arguments.path",
        "deny contains \"x\" if { v := input.arguments.mode; v == \"x\" }",
        "deny contains \"x\" if not input.arguments.deep.a",
        "deny contains \"x\" if not silent",
        "deny contains \"x\" if { helper; input.context.headers.team == \"x\" }",
        "deny contains input.resource if some name in input.session.taints",
        "deny contains sprintf(\"%v\", [input.result.path]) if input.stage == \"response\"",
        "deny contains \"x\" if every name in input.agent.capabilities { name != input.context.environment }",
        "deny contains \"x\" if count({c | some c in input.agent.capabilities; c == input.arguments.path}) > 0",
        "deny contains \"x\" if level == \"low\"",
        "deny contains \"x\" if grade(input.tool) == \"low\"",
        "deny contains \"x\" if input.tool in data.table[input.agent.id]",
        "deny contains \"x\" if input.arguments[input.resource]",
        "deny contains \"x\" if { some k; input.arguments[k] == \"x\" }",
        "deny contains \"x\" if object.get(input.arguments, \"path\", \"none\") == \"none\"",
        "deny contains \"x\" if input.session.tools_used.read_a > 2",
        "allow if input.request.arguments.list[0] == \"x\"",
    ];
    for rule in rules {
        let rego = format!("{PRELUDE}{rule}\n");
        let set = loaded(&rego, false);
        let reads = [set.split.stable.reads().clone(), set.split.volatile.reads().clone()];
        for path in reads.iter().flat_map(ReadSet::paths) {
            let mut forged = loaded(&rego, false);
            for (group, reads) in
                [(&mut forged.split.stable, &reads[0]), (&mut forged.split.volatile, &reads[1])]
            {
                group.footprint.reads = without(reads, &path);
            }
            let (forged, mut oracle) = (engine(forged), Oracle::new(&set));
            let caught = asks.iter().any(|ask| {
                let expected = oracle.conclude(&set, ask);
                difference(&expected, &forged, ask).is_some()
            });
            // The baseline reads these too, and no generated message turns on them.
            let idle = rule.starts_with("allow")
                && ["input.method", "input.stage"].contains(&path.as_str());
            assert!(caught || idle, "nobody notices that `{path}` is missing: {rule}");
        }
    }
}

/// The policies of the repository, on inputs made of the words of the policies, their data and their tests.
#[test]
fn shipped_policies_are_decided_alike_on_ten_thousand_inputs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let sources = Sources::from_dir(&folder).unwrap();
    let set = PolicySet::load(&sources, &patient()).unwrap();
    assert_eq!(*set.engine(), Engine::Rvm);
    let files = sources.policies().iter().chain(sources.tests());
    let quoted = files.flat_map(|file| file.text.split('"').skip(1).step_by(2).map(str::to_owned));
    let words = probe::words(quoted, &sources.merged_data().unwrap());
    probe::agree_on(&set, &words, 10_000).unwrap();
}
