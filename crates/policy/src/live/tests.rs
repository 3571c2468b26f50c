use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use domain::{Decision, Stage};

use super::*;
use crate::tests::fixture::{Ask, engine};

/// An engine that allows the tool `name` and no other.
fn only(name: &str) -> Arc<PolicyEngine> {
    Arc::new(engine(&format!(
        "package mcp.policy\nallow if input.tool == \"{name}\"\ndeny contains \"other\" if input.tool != \"{name}\""
    )))
}

fn decide(policy: &dyn Policy, ask: &Ask) -> Decision {
    policy.decide(&ask.input())
}

#[test]
fn a_message_keeps_what_it_began_with() {
    let live = LivePolicy::new(only("a"));
    let before = live.current();
    live.swap(only("b"));
    let after = live.current();
    for _ in 0..2 {
        assert_eq!(decide(&*before, &Ask::call("a")).verdict, Verdict::Allow);
        assert_eq!(decide(&*after, &Ask::call("a")).verdict, Verdict::Deny);
    }
    assert_eq!(decide(&*after, &Ask::call("b")).revision, *live.current_engine().revision());
}

/// Four threads decide while the set is exchanged 200 times: every decision is that of the one revision that it names.
#[test]
fn exchanges_mix_no_decisions() {
    let tools = ["a", "b", "c", "d"];
    let engines: Vec<_> = tools.iter().map(|tool| only(tool)).collect();
    let allowed: BTreeMap<Arc<str>, &str> = engines
        .iter()
        .zip(tools)
        .map(|(engine, tool)| (Arc::clone(&engine.revision().0), tool))
        .collect();
    let live = LivePolicy::new(Arc::clone(&engines[0]));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let deciders: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut decided = 0_u64;
                    while !done.load(Ordering::Relaxed) || decided < 100 {
                        let policy = live.current();
                        let first = decide(&*policy, &Ask::call("a")).revision;
                        for tool in tools {
                            let decision = decide(&*policy, &Ask::call(tool));
                            assert_eq!(decision.revision, first);
                            let passes = allowed[&decision.revision.0] == tool;
                            assert_eq!(decision.verdict == Verdict::Allow, passes, "{decision:?}");
                        }
                        decided += 1;
                    }
                })
            })
            .collect();
        for round in 1..=200 {
            live.swap(Arc::clone(&engines[round % engines.len()]));
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
        for decider in deciders {
            decider.join().unwrap();
        }
    });
}

#[test]
fn a_thread_lets_go_of_what_no_longer_decides() {
    let first = only("a");
    let gone = Arc::downgrade(&first);
    let live = LivePolicy::new(first);
    decide(&*live.current(), &Ask::call("a"));
    live.swap(only("b"));
    assert!(gone.upgrade().is_some(), "until the thread asks again");
    decide(&*live.current(), &Ask::call("a"));
    assert!(gone.upgrade().is_none());
}

#[test]
fn several_gateways_on_one_thread_keep_apart() {
    let (one, other) = (LivePolicy::new(only("a")), LivePolicy::new(only("b")));
    for _ in 0..2 {
        assert_eq!(decide(&*one.current(), &Ask::call("a")).verdict, Verdict::Allow);
        assert_eq!(decide(&*other.current(), &Ask::call("a")).verdict, Verdict::Deny);
    }
}

#[test]
fn a_lockdown_denies_everything_but_ping() {
    let open = Arc::new(engine("package mcp.policy\nallow := true"));
    for live in [LivePolicy::new(Arc::clone(&open)), LivePolicy::switched_off(open)] {
        let before = live.current();
        live.lock_down(true);
        let policy = live.current();
        for (method, stage) in [
            ("tools/call", Stage::Request),
            ("initialize", Stage::Request),
            ("tools/call", Stage::Response),
            ("tools/call", Stage::List),
            ("sampling/createMessage", Stage::ServerRequest),
            ("", Stage::Connect),
        ] {
            let decision = decide(&*policy, &Ask::method(method).stage(stage));
            assert_eq!(decision.verdict, Verdict::Deny, "{method}");
            assert_eq!(decision.matched_rule.as_deref(), Some("lockdown"));
            assert_eq!(decision.revision, *live.current_engine().revision());
            assert_eq!(decision.denial(), Some(domain::ErrorKind::PolicyDenied));
            assert!(policy.examines(stage));
        }
        assert!(policy.holds_in_audit_mode() && !before.holds_in_audit_mode());
        assert_eq!(decide(&*policy, &Ask::method("ping")).verdict, Verdict::Allow);
        assert!(live.is_locked_down());
        live.lock_down(false);
        assert_eq!(decide(&*live.current(), &Ask::call("t")).verdict, Verdict::Allow);
    }
}

#[test]
fn engines_that_were_prepared_decide_alike() {
    let engine = only("a");
    engine.prepare(2);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                assert_eq!(Ask::call("a").decide(&engine).verdict, Verdict::Allow);
                assert_eq!(Ask::call("b").decide(&engine).verdict, Verdict::Deny);
            });
        }
    });
}
