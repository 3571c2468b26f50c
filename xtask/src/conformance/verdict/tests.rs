use std::fs;

use super::{Exceptions, Passed, Rule, Score, compare, exceptions};

fn run(scenarios: &[(&str, usize)]) -> Passed {
    scenarios.iter().map(|&(name, checks)| (name.to_owned(), checks)).collect()
}

#[track_caller]
fn check(
    rule: Rule,
    proxied: &[(&str, usize)],
    excused: &[&str],
    score: [usize; 2],
    wrong: &[&str],
) {
    let direct = run(&[("ping", 1), ("tools-call", 3)]);
    let excused: Exceptions =
        excused.iter().map(|name| ((*name).to_owned(), "it says so".to_owned())).collect();
    let (Score { kept, direct }, found) = compare(rule, &direct, &run(proxied), &excused);
    assert_eq!([kept, direct], score);
    assert_eq!(found, wrong);
}

#[test]
fn what_is_lost_or_wrongly_excused_is_named() {
    check(Rule::SameChecks, &[("ping", 1), ("tools-call", 3)], &[], [2, 2], &[]);
    check(Rule::SameChecks, &[("ping", 1), ("tools-call", 4), ("more", 1)], &[], [2, 2], &[]);
    check(
        Rule::SameChecks,
        &[("ping", 1), ("tools-call", 2)],
        &[],
        [1, 2],
        &["tools-call: 2 of 3 checks"],
    );
    check(Rule::SameChecks, &[("tools-call", 3)], &[], [1, 2], &["ping: 0 of 1 checks"]);
    check(Rule::SameChecks, &[("tools-call", 3)], &["ping"], [1, 1], &[]);
    check(Rule::Passes, &[("ping", 1), ("tools-call", 2)], &[], [2, 2], &[]);
    check(Rule::Passes, &[("tools-call", 2)], &[], [1, 2], &["ping: 0 of 1 checks"]);
    check(
        Rule::SameChecks,
        &[("ping", 1), ("tools-call", 3)],
        &["ping", "gone"],
        [2, 2],
        &["ping: passes, and is listed as impossible", "gone: listed, but does not pass directly"],
    );
}

#[test]
fn exceptions_belong_to_a_suite_and_an_era() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("exceptions.txt");
    fs::write(&file, "# why\n\n2025-11-25 | modern | ping | MUST NOT | SHOULD NOT\n").unwrap();
    let found = exceptions(&file, "2025-11-25", "modern").unwrap();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [("ping".into(), "MUST NOT | SHOULD NOT".into())]
    );
    assert!(exceptions(&file, "2025-11-25", "legacy").unwrap().is_empty());
    assert!(exceptions(&file, "stable", "modern").unwrap().is_empty());
    for bad in ["2025-11-25 | modern | ping", "2025-11-25 | modern | ping | "] {
        fs::write(&file, bad).unwrap();
        assert!(exceptions(&file, "stable", "both").is_err(), "{bad}");
    }
}
