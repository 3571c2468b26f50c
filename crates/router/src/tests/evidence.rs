//! What a row says a decision was made on.

use std::sync::{Arc, Mutex};

use domain::{AuditEvent, Decision, ErrorKind, Policies, Policy, PolicyInput, Revision, Stage};
use serde_json::{Value, json};

use super::fixture::*;
use super::stateless;
use crate::Options;

async fn rows(gateway: &Gateway, asks: &[&str]) -> Vec<AuditEvent> {
    let session = gateway.session().await;
    for ask in asks {
        gateway.say(&session, ask).await;
    }
    gateway.settled();
    gateway.log.take()
}

fn parsed(text: &Option<Arc<str>>) -> Value {
    serde_json::from_str(text.as_deref().unwrap()).unwrap()
}

#[tokio::test]
async fn a_row_holds_what_the_decision_was_made_on() {
    let options = Options { config_revision: Some("c1".into()), ..Options::default() };
    let rules = |_: &domain::PolicyInput<'_>| Decision {
        rules: Some(r#"[{"rule":"r","at":"a.rego:1"}]"#.into()),
        ..allow()
    };
    let gateway = Setup { options, ..Setup::default().rules(rules) }.start();
    let events = rows(&gateway, &[CALL, CALL]).await;
    let [first, second] = &events[..] else { panic!("{events:?}") };
    let facts = parsed(&first.evidence.facts);
    assert_eq!(facts["agent"]["id"], "anonymous");
    let identity = json!({ "verified": false, "method": "configured", "did": "" });
    assert_eq!(facts["identity"], identity);
    let id = first.session_id.as_ref().unwrap().as_str();
    assert_eq!(
        facts["session"],
        json!({
            "id": id, "started_at": "1970-01-01T00:00:00Z", "protocol_version": "2025-06-18",
            "client": { "name": "probe", "version": "7" },
        })
    );
    assert_eq!(facts["server"], json!({ "name": "files", "transport": "stdio" }));
    let shared = [first, second].map(|event| event.evidence.facts.clone().unwrap());
    assert!(Arc::ptr_eq(&shared[0], &shared[1]), "one text for the session");
    assert_eq!(first.evidence.rules.as_deref(), Some(r#"[{"rule":"r","at":"a.rego:1"}]"#));
    assert_eq!(first.evidence.request_count, Some(2));
    assert_eq!(second.evidence.request_count, Some(3));
    assert_eq!(first.evidence.config_revision.as_deref(), Some("c1"));
    assert_eq!((&first.evidence.tool, &first.evidence.approval), (&None, &None));
    assert!(first.evidence.state.is_some(), "the rules read it");
}

#[tokio::test]
async fn stateless_clients_have_facts_without_a_session() {
    let gateway = Setup::default().start();
    let headers = || stateless::headers("tools/call", Some("read_file"));
    for _ in 0..2 {
        drop(read(gateway.ask(&stateless::call(), headers()).await).await);
    }
    let events = gateway.log.take();
    let facts = parsed(&events[0].evidence.facts);
    let session =
        json!({ "protocol_version": "2026-07-28", "client": { "name": "probe", "version": "8" } });
    assert_eq!(facts["session"], session);
    assert_eq!(events[0].evidence.request_count, None);
    let texts = events.iter().map(|event| event.evidence.facts.clone().unwrap());
    let [first, second] = <[_; 2]>::try_from(texts.collect::<Vec<_>>()).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn a_call_is_decided_on_what_the_server_said_of_the_tool() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let rules = |input: &domain::PolicyInput<'_>| {
        let tool = input.server.tool;
        match (input.stage, input.tool) {
            (domain::Stage::Request, Some("read_file")) => {
                let description = tool.and_then(|tool| tool.description.as_deref());
                if description == Some("reads") { allow() } else { deny("unknown tool") }
            }
            (domain::Stage::Response, Some(_)) => {
                assert!(tool.is_none(), "that is known at stages request and list");
                allow()
            }
            _ => allow(),
        }
    };
    let setup = Setup::default().rules(rules).server(|message, _| match message.method() {
        Some(protocol::Method::ToolsList) => now(domain::Answer::Message(response(
            r#"{"tools":[{"name":"read_file","description":"reads","annotations":{"readOnlyHint":true}}]}"#,
        ))),
        _ => obliging(&message),
    });
    let gateway = setup.start();
    let events = rows(&gateway, &[CALL, list, CALL]).await;
    assert_eq!(events[0].error_kind, Some(ErrorKind::PolicyDenied), "it was never listed");
    assert_eq!(events[0].evidence.tool, None);
    assert_eq!(events[1].evidence.tool, None);
    assert_eq!(short(&events[2]), "request allow forwarded -");
    let tool = parsed(&events[2].evidence.tool);
    assert_eq!((&tool["description"], &tool["changed"]), (&"reads".into(), &false.into()));
    assert_eq!(tool["annotations"], json!({ "readOnlyHint": true }));
    assert_eq!(tool["digest"].as_str().unwrap().len(), 64);
}

/// Policies that are exchanged by hand.
struct Exchanged(Mutex<Arc<dyn Policy>>);

impl Policies for Exchanged {
    fn current(&self) -> Arc<dyn Policy> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

/// Allows under a revision.
struct Revised(&'static str);

impl Policy for Revised {
    fn decide(&self, _: &PolicyInput<'_>) -> Decision {
        Decision { revision: Revision(self.0.into()), ..allow() }
    }

    fn examines(&self, stage: Stage) -> bool {
        stage == Stage::Response
    }

    fn reads_state(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_message_is_decided_by_one_policy_from_its_beginning_to_its_end() {
    let policies = Arc::new(Exchanged(Mutex::new(Arc::new(Revised("old")))));
    let exchanging = Arc::clone(&policies);
    let setup = Setup::default().server(move |message, _| {
        // While the server has the message.
        *exchanging.0.lock().unwrap() = Arc::new(Revised("new"));
        obliging(&message)
    });
    let gateway = Setup { policies: Some(policies), ..setup }.start();
    let events = rows(&gateway, &[CALL, CALL]).await;
    let seen: Vec<_> =
        events.iter().map(|event| (event.policy_revision.as_deref(), short(event))).collect();
    let row = "response allow forwarded -".to_owned();
    assert_eq!(seen, [(Some("old"), row.clone()), (Some("new"), row)]);
    assert!(events.iter().all(|event| event.evidence.state.is_none()), "no rule reads it");
}
