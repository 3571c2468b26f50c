//! What policy is shown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{PolicyInput, Stage};
use protocol::Message;

use super::fixture::*;

/// Policy's view of one stage of a call on a session of 5 s, in a form to compare.
async fn check(
    setup: Setup,
    stage: Stage,
    show: fn(&PolicyInput<'_>) -> String,
    ask: &str,
    expected: &str,
) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let rules = {
        let seen = Arc::clone(&seen);
        move |input: &PolicyInput<'_>| {
            if input.stage == stage {
                seen.lock().unwrap().push(show(input));
            }
            allow()
        }
    };
    let gateway = setup.examining().rules(rules).start();
    let session = gateway.session().await;
    seen.lock().unwrap().clear();
    gateway.clock.advance(Duration::from_secs(5));
    gateway.say(&session, ask).await;
    assert_eq!(*seen.lock().unwrap(), [expected]);
}

fn content(input: &PolicyInput<'_>) -> String {
    let PolicyInput { method, id, tool, resource, prompt, arguments, params, size, result, .. } =
        input;
    let used = [tool, resource, prompt].map(|used| used.unwrap_or("-")).join(" ");
    let parts = [id, arguments, params, result].map(|part| part.unwrap_or("-")).join(" ");
    format!("{method} {used} {parts} {size}")
}

#[tokio::test]
async fn policy_is_shown_the_message() {
    let call = concat!(
        r#"tools/call read_file - - 9007199254740993 {"path":"a.txt"} "#,
        r#"{"name":"read_file","arguments":{"path":"a.txt"}}"#
    );
    let size = CALL.len();
    let expected = format!("{call} - {size}");
    check(Setup::default(), Stage::Request, content, CALL, &expected).await;
    let expected = format!(r#"{call} {{"x":1.0}} {size}"#);
    let answering = || Setup::default().answering(r#"{"x":1.0}"#);
    check(answering(), Stage::Response, content, CALL, &expected).await;

    let read =
        r#"{"jsonrpc":"2.0","id":"r","method":"resources/read","params":{"uri":"file:///\u0061"}}"#;
    let expected = format!(
        r#"resources/read - file:///a - "r" - {{"uri":"file:///\u0061"}} - {}"#,
        read.len()
    );
    check(Setup::default(), Stage::Request, content, read, &expected).await;
    let get = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"hi"}}"#;
    let expected = format!(r#"prompts/get - - hi 1 - {{"name":"hi"}} - {}"#, get.len());
    check(Setup::default(), Stage::Request, content, get, &expected).await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
    let expected = format!("notifications/roots/list_changed - - - - - - - {}", note.len());
    check(Setup::default(), Stage::Request, content, note, &expected).await;
}

#[tokio::test]
async fn policy_is_shown_where_the_message_came_from() {
    let around = |input: &PolicyInput<'_>| {
        let (session, context) = (&input.session, &input.context);
        let age = context.timestamp.duration_since(session.started_at.unwrap()).unwrap();
        format!(
            "{} {age:?} #{} {:?} {:?} {:?} {:?} {} {}",
            input.agent.id,
            session.request_count.unwrap(),
            session.protocol_version,
            session.client_name,
            session.client_version,
            context.source_ip,
            context.environment,
            context.transport.as_str(),
        )
    };
    let expected =
        r#"anonymous 5s #2 Some("2025-06-18") Some("probe") Some("7") Some(127.0.0.1) test http"#;
    check(Setup::default(), Stage::Request, around, CALL, expected).await;
    let answering = Setup::default().answering("{}");
    check(answering, Stage::Response, around, CALL, expected).await;
}

#[tokio::test]
async fn policy_is_shown_the_entry_of_a_list_as_the_server_describes_it() {
    let show = |input: &PolicyInput<'_>| {
        let server = input.server;
        let tool = server.tool.unwrap();
        let described = (server.name, tool.description.as_deref(), tool.annotations.as_deref());
        format!("{} {described:?}", content(input))
    };
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"c"}}"#;
    let result = r#"{"tools":[{"name":"t","description":"a\u0062","annotations":{"x":1}}]}"#;
    let size = r#"{"name":"t","description":"a\u0062","annotations":{"x":1}}"#.len();
    let expected =
        format!(r#"tools/call t - - - - - - {size} ("files", Some("ab"), Some("{{\"x\":1}}"))"#);
    check(Setup::default().answering(result), Stage::List, show, list, &expected).await;
}

#[tokio::test]
async fn an_answer_of_the_client_is_shown_with_the_method_of_the_question() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let rules = {
        let seen = Arc::clone(&seen);
        move |input: &PolicyInput<'_>| {
            seen.lock().unwrap().push(format!("{} {}", input.stage.as_str(), content(input)));
            allow()
        }
    };
    let gateway = Setup::default().rules(rules).start();
    let session = gateway.session().await;
    let ask = r#"{"jsonrpc":"2.0","id":"s","method":"elicitation/create","params":{"m":1}}"#;
    gateway.server.deliver(ask).await;
    seen.lock().unwrap().clear();
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"secret":"x"}}"#;
    gateway.say(&session, answer).await;
    let size = Message::parse(answer.replace("1,", r#""s","#).into()).unwrap().bytes().len();
    let expected = format!(r#"response elicitation/create - - - "s" - - {{"secret":"x"}} {size}"#);
    assert_eq!(*seen.lock().unwrap(), [expected]);
}
