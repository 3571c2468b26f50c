//! What the operator reads who has no audit log.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use domain::{Obligation, Reason, RuleMode};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use super::fixture::*;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The lines that one call leaves in the log, the fields of each beside its level.
async fn logged(setup: Setup) -> Vec<(String, Value)> {
    let gateway = setup.start();
    let session = gateway.session().await;
    let sink = Sink::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(sink.clone()).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    gateway.say(&session, CALL).await;
    drop(logging);
    let bytes = sink.0.lock().unwrap().clone();
    let lines = String::from_utf8(bytes).unwrap();
    let line = |line: &str| -> (String, Value) {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["level"].as_str().unwrap().to_owned(), line["fields"].clone())
    };
    lines.lines().map(line).collect()
}

#[tokio::test]
async fn a_denial_names_the_rule_the_reason_and_who_asked() {
    let denying = |input: &domain::PolicyInput<'_>| match input.tool {
        Some(_) => {
            let rule = Some("data.mcp.policy.deny".into());
            domain::Decision { matched_rule: rule, ..deny("not this") }
        }
        None => allow(),
    };
    let lines = logged(Setup::default().rules(denying)).await;
    let [(level, fields)] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((level.as_str(), &fields["message"]), ("INFO", &"message denied".into()));
    assert_eq!(fields["matched_rule"], "data.mcp.policy.deny");
    assert_eq!(fields["reason"], "not this");
    for name in ["request_id", "decision_id", "session_id", "agent_id"] {
        assert!(fields[name].as_str().is_some_and(|id| !id.is_empty()), "{name}: {fields}");
    }
}

#[tokio::test]
async fn a_policy_that_fails_is_a_warning_in_both_modes() {
    let broken = || {
        let rules = |input: &domain::PolicyInput<'_>| match input.tool {
            Some(_) => failed(),
            None => allow(),
        };
        Setup::default().rules(rules)
    };
    for setup in [broken(), broken().audit()] {
        let lines = logged(setup).await;
        let [(level, fields)] = lines.as_slice() else { panic!("{lines:?}") };
        let text = fields["message"].as_str().unwrap();
        assert_eq!((level.as_str(), text), ("WARN", "policy could not be evaluated"));
        assert_eq!(fields["error"], "rules.rego:3: secret detail");
        assert!(fields["decision_id"].is_string(), "{fields}");
    }
}

#[tokio::test]
async fn what_policy_wants_said_is_said() {
    let rules = |input: &domain::PolicyInput<'_>| match input.tool {
        Some(_) => domain::Decision {
            obligations: [
                Obligation::Alert { channel: "log".into(), severity: "high".into() },
                Obligation::Log { level: "info".into() },
            ]
            .into(),
            ..allow()
        },
        None => allow(),
    };
    for setup in [Setup::default().rules(rules), Setup::default().rules(rules).audit()] {
        let lines = logged(setup).await;
        let [(warn, alert), (info, line)] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((warn.as_str(), info.as_str()), ("WARN", "INFO"));
        assert_eq!(alert["message"], "policy raised an alert");
        assert_eq!(alert["severity"], "high");
        assert_eq!(line["message"], "policy asks for this line");
        for line in [alert, line] {
            assert_eq!((&line["tool"], &line["stage"]), (&"read_file".into(), &"request".into()));
            assert!(line["decision_id"].is_string() && line["agent_id"].is_string(), "{line}");
        }
    }
}

#[tokio::test]
async fn a_rule_that_warns_says_what_it_would_deny() {
    let watched = |mode| {
        move |input: &domain::PolicyInput<'_>| match input.tool {
            Some(_) => {
                let rule = Some("writes".to_owned());
                let reason = Reason { mode, rule, ..Reason::from("not this") };
                domain::Decision { reasons: [reason].into(), ..allow() }
            }
            None => allow(),
        }
    };
    let lines = logged(Setup::default().rules(watched(RuleMode::Warn))).await;
    let [(level, fields)] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(level, "WARN");
    assert_eq!(fields["message"], "a watched rule would deny the message");
    assert_eq!((&fields["rule"], &fields["would_say"]), (&"writes".into(), &"not this".into()));
    assert!(fields["decision_id"].is_string(), "{fields}");
    assert!(logged(Setup::default().rules(watched(RuleMode::Observe))).await.is_empty());
}
