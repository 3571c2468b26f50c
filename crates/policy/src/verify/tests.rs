use std::sync::Arc;

use domain::{SystemClock, Verdict};

use crate::tests::fixture::Ask;
use crate::{Config, PolicyEngine, PolicySet, Sources};

const RULE: &str = r#"package mcp.policy
deny contains "no" if { input.tool == "rm"; input.arguments.path == "/etc" }
"#;

/// An engine that checks every hit, of a set that believes to read only `paths` when there are any.
fn engine(paths: &[&str]) -> PolicyEngine {
    let mut config = Config::default();
    config.cache.verify_every = 1;
    let sources = Sources::from_texts(&[("a.rego", RULE)]).unwrap();
    let mut set = PolicySet::load(&sources, &config).unwrap();
    if !paths.is_empty() {
        set.split.stable.footprint.reads = paths.iter().copied().collect();
    }
    PolicyEngine::with_clock(set, Arc::new(SystemClock))
}

fn ask(path: &str) -> Ask {
    Ask::call("rm").arguments(&format!(r#"{{"path":"{path}"}}"#))
}

#[test]
fn hits_that_are_right_go_on() {
    let engine = engine(&[]);
    for _ in 0..3 {
        assert_eq!(ask("/etc").decide(&engine).verdict, Verdict::Deny);
        assert_eq!(ask("/tmp").decide(&engine).verdict, Verdict::Allow);
    }
    let checks = engine.cache_checks();
    assert_eq!((checks.made, checks.failed), (4, 0));
    assert!(ask("/etc").decide(&engine).cached);
}

/// A read set that forgot a path is found out by the first hit that is checked; from then on nothing is reused, no
/// path is left out, and that holds for every thread.
#[test]
fn a_forgotten_path_turns_the_cache_off_for_good() {
    let engine = engine(&["tool"]);
    assert_eq!(ask("/etc").decide(&engine).verdict, Verdict::Allow, "the forged set is blind");
    let checked = ask("/etc").decide(&engine);
    assert_eq!((checked.verdict, checked.cached), (Verdict::Deny, false));
    assert_eq!(engine.cache_checks().failed, 1);
    for _ in 0..3 {
        for (path, verdict) in [("/etc", Verdict::Deny), ("/tmp", Verdict::Allow)] {
            let decision = ask(path).decide(&engine);
            assert_eq!((decision.verdict, decision.cached), (verdict, false));
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                let decision = ask("/etc").decide(&engine);
                assert_eq!((decision.verdict, decision.cached), (Verdict::Deny, false));
            }
        });
    });
    assert_eq!(engine.cache_checks().made, 1);
}

#[test]
fn one_hit_in_so_many_is_checked() {
    let mut config = Config::default();
    config.cache.verify_every = 3;
    let sources = Sources::from_texts(&[("a.rego", RULE)]).unwrap();
    let engine = PolicyEngine::new(&sources, &config).unwrap();
    for _ in 0..10 {
        ask("/etc").decide(&engine);
    }
    assert_eq!(engine.cache_checks().made, 3);
    config.cache.verify_every = 0;
    let engine = PolicyEngine::new(&sources, &config).unwrap();
    for _ in 0..10 {
        ask("/etc").decide(&engine);
    }
    assert_eq!(engine.cache_checks().made, 0);
}

#[test]
fn a_set_of_chance_is_not_checked() {
    let mut config = Config::default();
    config.cache.verify_every = 1;
    let rule = "package mcp.policy\ndeny contains \"no\" if input.tool == \"rm\"\ndeny contains sprintf(\"%d\", [time.now_ns()]) if input.tool == \"rm\"\n";
    let sources = Sources::from_texts(&[("a.rego", rule)]).unwrap();
    let engine = PolicyEngine::new(&sources, &config).unwrap();
    for _ in 0..3 {
        assert_eq!(Ask::call("rm").decide(&engine).verdict, Verdict::Deny);
    }
    assert_eq!(engine.cache_checks().made, 0);
}
