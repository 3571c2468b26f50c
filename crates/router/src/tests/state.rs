//! What a session has done decides what it may do next.

use domain::{Answer, Decision, Obligation, PolicyInput, Stage};
use protocol::Method;

use super::fixture::*;
use super::stateless;

fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const READ: &str = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b"}}"#;

/// A server with one tool that only reads.
fn setup(rules: impl Fn(&PolicyInput<'_>) -> Decision + Send + Sync + 'static) -> Setup {
    Setup::default().rules(rules).server(|message, _| match message.method() {
        Some(Method::ToolsList) => now(Answer::Message(response(
            r#"{"tools":[{"name":"look","annotations":{"readOnlyHint":true}},{"name":"write"}]}"#,
        ))),
        _ => obliging(&message),
    })
}

#[tokio::test]
async fn what_was_forwarded_is_counted() {
    let gateway =
        setup(|input| if input.tool == Some("never") { deny("no") } else { allow() }).start();
    let session = gateway.session().await;
    let before = session.tally().state().bytes_out;
    let asks =
        [LIST, &call("look"), &call("look"), &call("write"), &call("new"), &call("never"), READ];
    for ask in asks {
        gateway.say(&session, ask).await;
    }
    let state = session.tally().state();
    assert_eq!((state.cumulative_reads, state.cumulative_writes), (3, 2));
    let tools: Vec<_> = state.tools_used.iter().map(|(tool, count)| (&**tool, *count)).collect();
    assert_eq!(tools, [("look", 2), ("new", 1), ("write", 1)]);
    let sent: usize = gateway.server.state().sent.iter().map(String::len).sum();
    assert_eq!(state.bytes_out - before, sent as u64, "what was denied did not leave");
    // Each row has the state that its decision saw: without the message itself.
    let seen = gateway
        .log
        .take()
        .iter()
        .map(|event| event.evidence.state.clone().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(
        seen.iter().map(|it| it.cumulative_reads).collect::<Vec<_>>(),
        [0, 0, 1, 2, 2, 2, 2]
    );
}

/// Marks what reads and what comes from outside, and denies the way out to who has both marks.
fn toxic(input: &PolicyInput<'_>) -> Decision {
    let taint = |label: &str| Decision {
        obligations: [Obligation::Taint { label: label.into() }].into(),
        ..allow()
    };
    let marked = |label: &str| input.session.state.taints.contains(label);
    match (input.stage, input.tool) {
        (Stage::Request, Some("private")) => taint("private"),
        (Stage::Request, Some("web")) => taint("untrusted"),
        (Stage::Request, Some("send")) if marked("private") && marked("untrusted") => {
            deny("toxic flow")
        }
        _ => allow(),
    }
}

#[tokio::test]
async fn the_third_step_of_a_toxic_flow_is_denied_and_no_two_are() {
    let check = async |tools: &[&str], denied: bool| {
        let gateway = setup(toxic).start();
        let session = gateway.session().await;
        let mut last = String::new();
        for tool in tools {
            last = gateway.say(&session, &call(tool)).await.1;
        }
        assert_eq!(last.contains("toxic flow"), denied, "{tools:?}: {last}");
        // Another session starts clean.
        let other = gateway.session().await;
        assert!(gateway.say(&other, &call("send")).await.1.contains("result"));
    };
    for tools in [["private", "web"], ["web", "private"], ["private", "send"], ["web", "send"]] {
        check(&tools, false).await;
    }
    check(&["private", "web", "send"], true).await;
    check(&["web", "private", "send"], true).await;
    check(&["send", "private", "web", "look", "send"], true).await;
}

#[tokio::test]
async fn stateless_clients_of_one_agent_share_their_marks() {
    let gateway = setup(toxic).start();
    let ask = async |tool: &str| {
        let body = stateless::request("tools/call", &format!(r#""name":"{tool}","#));
        read(gateway.ask(&body, stateless::headers("tools/call", Some(tool))).await).await.1
    };
    assert!(ask("private").await.contains("result"));
    assert!(ask("web").await.contains("result"));
    assert!(ask("send").await.contains("toxic flow"));
}
