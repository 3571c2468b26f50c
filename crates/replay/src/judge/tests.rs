use std::sync::Arc;
use std::time::Duration;

use domain::{Agent, Identity, SessionState, Stage, ToolView, Transport};
use rego::fields::Field;

use super::{Memory, Retrial};
use crate::fixture::{call, judge};
use crate::recorded::{Recorded, never};

fn base() -> Recorded {
    let view = ToolView {
        description: Some("says".into()),
        annotations: Some(r#"{"a":1}"#.into()),
        digest: "d".into(),
        changed: false,
    };
    call(1, "t", r#"{"a":1}"#)
        .with(|it| {
            it.resource = Some("x://a".to_owned());
            it.prompt = Some("p".to_owned());
            it.tool_view = Some(Arc::new(view));
            it.source_ip = Some([10, 0, 0, 1].into());
        })
        .facts(|it| {
            it.client_version = Some("1".to_owned());
            it.server_url = Some("http://a".to_owned());
        })
        .recorded
}

fn agent(it: &mut Recorded, change: impl FnOnce(&mut Agent)) {
    change(Arc::make_mut(&mut Arc::make_mut(&mut it.facts).agent));
}

fn identity(it: &mut Recorded, change: impl FnOnce(&mut Identity)) {
    change(Arc::make_mut(&mut Arc::make_mut(&mut it.facts).identity));
}

fn state(it: &mut Recorded, change: impl FnOnce(&mut SessionState)) {
    let mut state = it.state.as_deref().cloned().unwrap_or_default();
    change(&mut state);
    it.state = Some(Arc::new(state));
}

fn tool(it: &mut Recorded, change: impl FnOnce(&mut ToolView)) {
    let mut view = it.tool_view.as_deref().cloned().unwrap_or_default();
    change(&mut view);
    it.tool_view = Some(Arc::new(view));
}

/// Gives the field of the input another value.
fn vary(it: &mut Recorded, path: &[&str]) {
    let facts = |it: &mut Recorded| Arc::make_mut(&mut it.facts).clone();
    let mut known = facts(it);
    let text = || Some("other".to_owned());
    match path {
        ["stage"] => it.stage = Stage::ServerRequest,
        ["method"] | ["request", "method"] => it.method = "other".to_owned(),
        ["tool"] | ["request", "tool"] => it.tool = text(),
        ["resource"] | ["request", "resource"] => it.resource = None,
        ["prompt"] | ["request", "prompt"] => it.prompt = None,
        ["arguments"] | ["request", "arguments"] => it.arguments = Some(r#"{"a":2}"#.to_owned()),
        ["request", "size"] => it.size += 1,
        ["agent", "id"] => agent(it, |it| it.id = "other".into()),
        ["agent", "name"] => agent(it, |it| it.name = "other".into()),
        ["agent", "capabilities"] => agent(it, |it| it.capabilities.clear()),
        ["agent", "model"] => agent(it, |it| it.model = "".into()),
        ["agent", "publisher"] => agent(it, |it| it.publisher = "other".into()),
        ["agent", "tags"] => agent(it, |it| it.tags.push("other".into())),
        ["agent", "roles"] => agent(it, |it| it.roles.push("other".into())),
        ["identity", "verified"] => identity(it, |it| it.verified = true),
        ["identity", "method"] => identity(it, |it| it.method = "other".into()),
        ["identity", "did"] => identity(it, |it| it.did = "other".into()),
        ["session", "id"] => known.session_id = None,
        ["session", "started_at"] => known.started_at = None,
        ["session", "protocol_version"] => known.protocol_version = None,
        ["session", "client", "name"] => known.client_name = Some(String::new()),
        ["session", "client", "version"] => known.client_version = None,
        ["server", "name"] => known.server = String::new(),
        ["server", "transport"] => known.server_transport = "http".to_owned(),
        ["server", "url"] => known.server_url = None,
        ["session", "request_count"] => it.request_count = None,
        ["session", "cumulative_reads"] => state(it, |it| it.cumulative_reads += 1),
        ["session", "cumulative_writes"] => state(it, |it| it.cumulative_writes += 1),
        ["session", "tools_used"] => state(it, |it| {
            it.tools_used.insert("t".into(), 1);
        }),
        ["session", "taints"] => state(it, |it| {
            it.taints.insert("t".into());
        }),
        ["session", "bytes_out"] => state(it, |it| it.bytes_out += 1),
        ["server", "tool", "description"] => tool(it, |it| it.description = None),
        ["server", "tool", "annotations"] => tool(it, |it| it.annotations = None),
        ["server", "tool", "digest"] => tool(it, |it| it.digest = "other".into()),
        ["server", "tool", "changed"] => tool(it, |it| it.changed = true),
        ["context", "timestamp"] => it.at += Duration::from_micros(1),
        ["context", "source_ip"] => it.source_ip = None,
        ["context", "environment"] => it.environment.clear(),
        ["context", "transport"] => it.transport = Transport::Stdio,
        other => panic!("no input differs in {other:?}"),
    }
    if path.first().is_some_and(|group| ["session", "server"].contains(group)) {
        it.facts = Arc::new(known);
    }
}

#[test]
fn rows_that_differ_in_what_is_read_do_not_share_a_decision() {
    for (_, path) in Field::ALL {
        if never().contains(path) || [["findings"], ["result"]].iter().any(|known| known == path) {
            continue;
        }
        let name = path.join(".");
        let judge = judge(&format!(
            "allow := true\nviolations contains {{\"msg\": sprintf(\"%v\", [input.{name}]), \"rule\": \"r\"}}"
        ));
        let mut memory = Memory::new(&judge);
        let (one, mut other) = (base(), base());
        vary(&mut other, path);
        let mut retrial = |it: &Recorded| match &*memory.retrial(it, it.state.as_ref()) {
            Retrial::Decided(outcome, _) => outcome.clone(),
            Retrial::Undecidable(path) => panic!("{path} is not known"),
        };
        let (first, second) = (retrial(&one), retrial(&other));
        assert_ne!(first.reasons, second.reasons, "input.{name}");
        assert_eq!(retrial(&one), first);
        assert_eq!(memory.evaluated, 2, "input.{name}");
    }
}
