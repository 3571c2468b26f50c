use domain::{Policy, Verdict};
use serde_json::json;

use super::*;
use crate::input::Projection;
use crate::tests::fixture::{Ask, engine, messages};

const RULES: &str = r#"package mcp.policy
deny contains "etc" if startswith(input.arguments.path, "/etc")
deny contains "count" if input.session.request_count > 3
"#;

#[track_caller]
fn check(document: &Value, reasons: &[&str]) {
    let decision = decide_document(&engine(RULES), Stage::Request, document);
    assert_eq!(messages(&decision), reasons, "{decision:?}");
    assert_eq!(decision.verdict, if reasons.is_empty() { Verdict::Allow } else { Verdict::Deny });
}

#[test]
fn a_document_is_decided_as_it_is() {
    check(&json!({"arguments": {"path": "/etc/passwd"}}), &["etc"]);
    check(&json!({"arguments": {"path": "/tmp"}, "session": {"request_count": 4}}), &["count"]);
    check(&json!({}), &[]);
    check(&json!({"arguments": "/etc", "session": 4}), &[]);
}

#[test]
fn a_message_and_its_document_are_decided_alike() {
    let engine = engine(RULES);
    for (path, count) in [("/etc/x", 1), ("/etc/x", 4), ("/tmp", 4), ("/tmp", 1)] {
        let ask = Ask::call("a").arguments(&format!(r#"{{"path":"{path}"}}"#)).count(count);
        let whole = Projection::new(&rego::ReadSet::everything()).value(&ask.input()).unwrap();
        let document: Value = serde_json::from_str(&whole.to_json_str().unwrap()).unwrap();
        let (by_message, by_document) =
            (engine.decide(&ask.input()), decide_document(&engine, ask.stage, &document));
        assert_eq!(by_message.reasons, by_document.reasons);
        assert_eq!(by_message.verdict, by_document.verdict);
        assert_eq!(by_message.rules, by_document.rules);
    }
}
