mod module;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use audit::Capture;
use domain::{Agent, ErrorKind, Outcome, Stage};
use policy::{Engine, PolicyEngine, PolicySet, TestOptions, run_tests};
use serde_json::{Value, json};

use super::*;
use crate::fixture::{Event, Log, call, definition, message, with};
use crate::{Denied, Error};

/// Ten sessions of two agents. The first seven are learned from; in the last three somebody attacks.
fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for session in 0..10_u32 {
        let id = format!("s-{session}");
        let at = session * 10;
        for n in 0..3 {
            let file = format!("/srv/files/{session}/{n}.txt");
            let arguments = json!({ "path": file, "limit": at + n, "api_key": "sk-1" });
            events.push(call(at + n, &id, "read_file", arguments));
        }
        events.push(with(message(at + 3, &id, "resources/read"), |it| {
            it.resource_uri = Some(format!("file:///srv/docs/{session}.md").into());
        }));
        if session % 2 == 0 {
            events.push(with(message(at + 4, &id, "prompts/get"), |it| {
                it.prompt = Some("review".into());
            }));
        }
        // What was denied, failed or only watched is not normal.
        let odd = || call(at + 5, &id, "delete_file", json!({ "path": "/etc/passwd" }));
        events.push(with(odd(), |it| (it.decision, it.forwarded) = (Outcome::Deny, false)));
        events.push(with(odd(), |it| it.decision = Outcome::Deny));
        events.push(with(odd(), |it| it.decision = Outcome::WouldDeny));
        events.push(with(odd(), |it| it.error_kind = Some(ErrorKind::UpstreamTimeout)));
        events.push(message(at + 6, &id, "ping"));
    }
    let other = |event| {
        with(event, |it: &mut domain::AuditEvent| {
            it.agent = Arc::new(Agent { id: "agent-2".into(), ..Agent::default() });
        })
    };
    events.push(other(call(7, "s-0", "search", json!({ "query": "x", "mode": "fast" }))));
    events.push(other(call(17, "s-1", "search", json!({ "query": "y" }))));
    // The holdout: a path outside, a name nobody used, a tool with another definition, an unknown tool, another's tool.
    let arguments = json!({ "path": "/etc/passwd", "limit": 3, "api_key": "sk-1" });
    events.push(call(97, "s-9", "read_file", arguments));
    let arguments =
        json!({ "path": "/srv/files/9/1.txt", "limit": 9, "api_key": "k", "follow": true });
    events.push(call(98, "s-9", "read_file", arguments));
    let arguments = json!({ "path": "/srv/files/9/1.txt", "limit": 9, "api_key": "k" });
    events.push(with(call(98, "s-9", "read_file", arguments), |it| {
        it.evidence.tool = definition("poisoned");
    }));
    events.push(call(99, "s-9", "send_mail", json!({ "to": "x@example.com" })));
    events.push(call(99, "s-9", "search", json!({ "query": "x" })));
    events.sort_by_key(|event| event.received_at);
    events
}

fn learned(events: Vec<Event>) -> (Learned, Log) {
    let log = Log::of(events);
    (learn(&log.path, Options::default()).unwrap(), log)
}

fn engine(files: &[(&str, &str)]) -> PolicyEngine {
    trial::engine(&Sources::from_texts(files).unwrap()).unwrap()
}

#[test]
fn what_is_learned_is_what_was_seen() {
    let (learned, _log) = learned(events());
    insta::assert_snapshot!("learned", learned.document);
}

#[test]
fn the_same_log_gives_the_same_bytes() {
    let log = Log::of(events());
    let learn = || learn(&log.path, Options::default()).unwrap();
    let (first, second) = (learn(), learn());
    assert_eq!((first.document, first.tests), (second.document, second.tests));
}

#[test]
fn the_holdout_shows_what_would_be_newly_denied() {
    let (learned, _log) = learned(events());
    let report = learned.report;
    assert_eq!((report.corpus.sessions, report.corpus.trained), (10, 7));
    assert_eq!(report.corpus.not_allowed, 40);
    // Seven sessions of four messages, four prompts, and two calls of the other agent.
    assert_eq!((report.training.messages, report.training.newly_denied), (34, 0));
    let holdout = report.holdout.as_ref().unwrap();
    // Three sessions of four messages, one prompt, and five odd calls. In each of the sessions, three limits are beyond
    // the range that was learned, and the resource is none of the seven.
    assert_eq!((holdout.messages, holdout.undecidable), (18, 0));
    assert_eq!(holdout.newly_denied, 9 + 3 + 5);
    assert!((holdout.newly_denied_rate().unwrap() - 17.0 / 18.0).abs() < 1e-9);
    let rules = [
        ("not_learned_argument", 11),
        ("not_learned_resource", 3),
        ("not_learned_tool", 2),
        ("tool_definition_changed", 1),
    ];
    assert_eq!(holdout.by_rule(), BTreeMap::from(rules));
    let mail = holdout.denied.iter().find(|it| it.subject == "send_mail").unwrap();
    let expected = Denied {
        rule: "not_learned_tool".to_owned(),
        agent: "agent-1".to_owned(),
        subject: "send_mail".to_owned(),
        count: 1,
        message: "agent `agent-1` was never seen to call tool `send_mail`".to_owned(),
        decision_id: "00000063-0000-0000-0000-000000000000".to_owned(),
    };
    assert_eq!(*mail, expected);
}

#[test]
fn what_is_written_passes_its_tests_and_runs_on_the_fast_engine() {
    let (learned, log) = learned(events());
    let out = log.directory.path().join("a/out");
    learned.write(&out).unwrap();
    assert_eq!(fs::read_to_string(out.join("learned.yaml")).unwrap(), learned.document());
    let report = run_tests(&out, TestOptions::default()).unwrap();
    assert_eq!((report.passed(), report.failed()), (4, 0));
    let set = PolicySet::load(&Sources::from_dir(&out).unwrap(), &policy::Config::default());
    let set = set.unwrap();
    assert_eq!(*set.engine(), Engine::Rvm);
    let reads = set.reads();
    assert_eq!(
        reads.paths(),
        [
            "input.agent.id",
            "input.arguments",
            "input.method",
            "input.prompt",
            "input.resource",
            "input.server.name",
            "input.server.tool.digest",
            "input.stage",
            "input.tool",
        ]
    );
}

#[test]
fn replay_finds_nothing_new_where_it_was_learned() {
    let trained = |event: &Event| event.session_id.as_ref().is_some_and(|id| id.as_str() < "s-7");
    let events: Vec<Event> = events().into_iter().filter(trained).collect();
    let log = Log::of(events);
    let learned = learn(&log.path, Options { train_share: 1.0, ..Options::default() }).unwrap();
    assert_eq!(learned.report.no_holdout.as_deref(), Some("all sessions were to be learned from"));
    let engine = engine(&[("learned.rego", MODULE), ("learned.yaml", &learned.document)]);
    let reads = engine.set().reads();
    let judge = replay::Judge::new(Arc::new(engine), reads);
    let report = replay::run(&Reader::open(&log.path).unwrap(), &judge, replay::Options::default());
    let classes = report.unwrap().classes;
    // Replay holds calls with a masked argument for undecidable; here, it is learned as `any`.
    assert_eq!(classes.undecidable, 21);
    // What was failed or watched, which is not learned from.
    assert_eq!(classes.newly_denied, 14);
}

#[track_caller]
fn check_sessions(sessions: u32, trained: usize, no_holdout: Option<&str>) {
    let events = (0..sessions).map(|n| call(n, &format!("s-{n}"), "t", json!({}))).collect();
    let (learned, _log) = learned(events);
    assert_eq!(learned.report.corpus.trained, trained);
    assert_eq!(learned.report.no_holdout.as_deref(), no_holdout);
    assert_eq!(learned.report.holdout.is_some(), no_holdout.is_none());
}

#[test]
fn few_sessions_are_not_parted() {
    let why = "all 3 sessions were learned from, because fewer than 4 cannot be parted";
    check_sessions(3, 3, Some(why));
    check_sessions(4, 2, None);
    check_sessions(10, 7, None);
}

#[test]
fn clients_without_sessions_have_one_a_day() {
    let day = 24 * 60;
    let events = (0..6)
        .map(|n| with(call(n * day / 2, "", "t", json!({})), |it| it.session_id = None))
        .collect();
    let (learned, _log) = learned(events);
    assert_eq!(learned.report.corpus.sessions, 3);
}

#[test]
fn a_log_without_what_is_normal_is_refused() {
    let log = Log::of(vec![message(1, "s", "ping")]);
    let error = learn(&log.path, Options::default()).unwrap_err();
    assert!(matches!(error, Error::Nothing { rows: 1, .. }), "{error}");
    for share in [0.0, -1.0, 1.1, f64::NAN] {
        let options = Options { train_share: share, ..Options::default() };
        assert!(matches!(learn(&log.path, options), Err(Error::Share(_))), "{share}");
    }
}

#[test]
fn arguments_that_were_not_kept_are_not_bound() {
    let keep = Capture { request_arguments: false, response_summary: false, max_bytes: 4096 };
    let events = (0..4).map(|n| call(n, &format!("s-{n}"), "t", json!({ "n": n }))).collect();
    let log = Log::keeping(keep, events);
    let learned = learn(&log.path, Options::default()).unwrap();
    let entry = entry(&learned, "/agent-1/files/tools/t");
    assert_eq!(entry["arguments"], json!({ "rung": "any" }));
    let review = entry["review"].as_array().unwrap();
    assert!(
        review.contains(&json!("the arguments of 2 of 2 calls were not recorded")),
        "{review:?}"
    );
    assert_eq!(learned.report.training.undecidable, 2);
    assert_eq!(learned.report.holdout.unwrap().newly_denied_rate(), None);
}

fn entry(learned: &Learned, pointer: &str) -> Value {
    let sources = Sources::from_texts(&[("learned.yaml", &learned.document)]).unwrap();
    let data = sources.merged_data().unwrap();
    data.pointer(&format!("/learned/agents{pointer}")).cloned().unwrap()
}

#[test]
fn two_definitions_in_the_log_are_both_granted_and_marked() {
    let events = (0..3)
        .map(|n| {
            with(call(n, &format!("s-{n}"), "t", json!({})), |it| {
                it.evidence.tool = ["a", "b"].get(n as usize).and_then(|digest| definition(digest));
            })
        })
        .collect();
    let (learned, _log) = learned(events);
    let entry = entry(&learned, "/agent-1/files/tools/t");
    assert_eq!(entry["definitions"], json!({ "a": 1, "b": 1, "unknown": 1 }));
    assert_eq!(entry["review"], json!(["events: 3, fewer than 5", "the tool had 2 definitions"]));
}

#[test]
fn what_is_marked_may_be_denied() {
    let (learned, _log) = learned(vec![call(1, "s", "t", json!({}))]);
    let strict = learned.document.replace("review: allow", "review: deny");
    let message = json!({ "stage": "request", "method": "tools/call", "tool": "t", "arguments": {},
        "agent": { "id": "agent-1" }, "server": { "name": "files", "tool": { "digest": "t-1" } } });
    for (document, denied) in [(&learned.document, false), (&strict, true)] {
        let engine = engine(&[("learned.rego", MODULE), ("learned.yaml", document)]);
        let decision = policy::decide_document(&engine, Stage::Request, &message);
        assert_eq!(!decision.reasons.is_empty(), denied, "{decision:?}");
    }
}

#[test]
fn names_cannot_break_the_document() {
    let odd = "a: [\"}\n# x\u{0} 'y' {{z}} - |";
    let arguments = json!({ odd: { odd: odd }, "<<": 1, "true": true, "1": "2", "~": null });
    let (learned, log) = learned(vec![call(1, "s", odd, arguments)]);
    assert_eq!(learned.report.training.newly_denied, 0);
    learned.write(&log.directory.path().join("out")).unwrap();
}

#[test]
fn without_data_everything_is_denied() {
    let engine = engine(&[("learned.rego", MODULE)]);
    let base = |method: &str, member: &str| {
        json!({ "stage": "request", "method": method, member: "x", "agent": { "id": "a" },
            "server": { "name": "s" } })
    };
    for (method, member, rule) in [
        ("tools/call", "tool", "not_learned_tool"),
        ("tools/call", "nothing", "not_learned_tool"),
        ("resources/read", "resource", "not_learned_resource"),
        ("prompts/get", "prompt", "not_learned_prompt"),
    ] {
        let decision = policy::decide_document(&engine, Stage::Request, &base(method, member));
        let rules: Vec<_> = decision.reasons.iter().filter_map(|it| it.rule.as_deref()).collect();
        assert_eq!(rules, [rule], "{method} {decision:?}");
    }
}

/// Denies some of what agents do.
const STATIC: &str = r#"package mcp.policy
import rego.v1
deny contains "no odd numbers" if input.arguments.n % 2 == 1
violations contains {"msg": "not this tool", "rule": "static"} if input.tool == "b"
"#;

#[test]
fn nothing_learned_allows_what_another_rule_denies() {
    let agents = |n: u32, tool: &str| {
        let session = format!("s-{n}");
        let arguments = json!({ "n": n, "path": format!("/srv/{n}"), "list": [n, "x"] });
        call(n, &session, tool, arguments)
    };
    let events = (0..40).map(|n| agents(n, ["a", "b", "c"][n as usize % 3])).collect();
    let (learned, _log) = learned(events);
    let alone = engine(&[("static.rego", STATIC)]);
    let joined = engine(&[
        ("static.rego", STATIC),
        ("learned.rego", MODULE),
        ("learned.yaml", &learned.document),
    ]);
    let mut seen = BTreeMap::new();
    for stage in [Stage::Request, Stage::List, Stage::Response] {
        for tool in ["a", "b", "c", "d"] {
            for (n, path, more) in (0..60)
                .flat_map(|n| [(n, "/srv/1", false), (n, "/srv/../x", false), (n, "/srv/2", true)])
            {
                let mut arguments = json!({ "n": n, "path": path, "list": [1] });
                if more {
                    arguments["more"] = json!(1);
                }
                let message = json!({ "stage": stage.as_str(), "method": "tools/call", "tool": tool,
                    "arguments": arguments, "agent": { "id": "agent-1" },
                    "server": { "name": "files", "tool": { "digest": format!("{tool}-1") } } });
                let decide = |engine| policy::decide_document(engine, stage, &message).verdict;
                let (before, after) = (decide(&alone), decide(&joined));
                *seen.entry((before as u8, after as u8)).or_insert(0) += 1;
            }
        }
    }
    let (allow, deny) = (domain::Verdict::Allow as u8, domain::Verdict::Deny as u8);
    assert_eq!(seen.get(&(deny, allow)), None, "{seen:?}");
    assert!(seen.len() == 3 && seen.values().all(|count| *count > 50), "{seen:?}");
}
