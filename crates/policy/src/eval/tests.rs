use domain::Verdict;

use super::*;
use crate::tests::fixture::patient;

#[test]
fn a_document_is_decided_by_both_engines() {
    let sources = Sources::embedded().unwrap();
    let ask = |document: &str| eval(&sources, &patient(&Config::default()), document).unwrap();
    let denied = ask(
        r#"{"method":"tools/call","tool":"write_file","agent":{"id":"a","capabilities":[]},"session":{"request_count":1}}"#,
    );
    assert_eq!(
        (denied.decision.verdict, denied.engine, denied.agrees),
        (Verdict::Deny, Engine::Rvm, true)
    );
    assert_eq!(
        denied.decision.reasons[0].message,
        "agent `a` lacks capability `write:files` for tool `write_file`"
    );
    let allowed = ask(r#"{"method":"ping"}"#);
    assert_eq!((allowed.decision.verdict, allowed.agrees), (Verdict::Allow, true));
}

#[test]
fn what_is_no_object_is_refused() {
    let sources = Sources::embedded().unwrap();
    for document in ["", "[]", "{", "1"] {
        let error = eval(&sources, &patient(&Config::default()), document).unwrap_err().to_string();
        assert!(error.starts_with("the input document is not JSON"), "{error}");
    }
}

#[test]
fn a_failing_evaluation_is_a_decision() {
    let sources =
        Sources::from_texts(&[("a.rego", "package mcp.policy\ndeny := input.tool")]).unwrap();
    let outcome = eval(&sources, &patient(&Config::default()), r#"{"tool":"x"}"#).unwrap();
    assert_eq!(outcome.decision.verdict, Verdict::Deny);
    assert!(outcome.decision.error.is_some() && outcome.agrees, "{outcome:?}");
}
