//! Arrays of messages, which 2025-03-26 alone has.

use domain::Answer;
use futures_util::{StreamExt, stream};
use protocol::Message;
use serde_json::{Value, json};
use testkit::ports::{ScriptedUpstream, result};

use crate::Config;
use crate::fixture::{
    CALL, Gateway, INITIALIZE, MIRRORED, MODERN, NOTE, USUAL, in_session, post, within,
};

fn call(id: &str, tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool}})
        .to_string()
}

/// A server that answers with the name of the tool; `stream` answers with a notification first.
fn naming() -> std::sync::Arc<ScriptedUpstream> {
    ScriptedUpstream::new(|message, _| {
        Box::pin(async move {
            let tool = message.name().unwrap_or_default().into_owned();
            let answer = result(&message, &json!({ "tool": tool }).to_string());
            let Answer::Message(response) = answer else { return Ok(answer) };
            if tool != "stream" {
                return Ok(Answer::Message(response));
            }
            let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
            let note = Message::parse(note.into()).unwrap();
            Ok(Answer::Stream(stream::iter([Ok(note), Ok(response)]).boxed()))
        })
    })
}

fn array(items: &[&str]) -> String {
    format!(" [{}]", items.join(",\n"))
}

#[tokio::test(start_paused = true)]
async fn answers_leave_together_and_each_message_has_its_row() {
    let gateway = Gateway::new(&Config::default(), naming());
    let (mut client, id) = gateway.session_of("2025-03-26").await;
    let items = array(&[&call("a", "one"), NOTE, "7", &call("b", "two"), INITIALIZE]);
    let answer = client.ask(&post(&in_session(&id), &items)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("mcp-session-id"), None);
    let answers = answer.json();
    let of =
        |id: Value| answers.as_array().unwrap().iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(of("a".into())["result"]["tool"], "one");
    assert_eq!(of("b".into())["result"]["tool"], "two");
    assert_eq!(of(Value::Null)["error"]["code"], -32600, "what is no message");
    assert_eq!(of(1.into())["error"]["code"], -32600, "there is a session already");
    assert_eq!(answers.as_array().unwrap().len(), 4);
    let rows = within(gateway.recorder.wait_for(6)).await;
    let failed = rows.iter().filter(|row| row.error_kind.is_some()).count();
    assert_eq!((rows.len(), failed), (6, 2));
}

#[tokio::test(start_paused = true)]
async fn what_expects_no_answer_is_accepted() {
    let gateway = Gateway::new(&Config::default(), naming());
    let (mut client, id) = gateway.session_of("2025-03-26").await;
    let response = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    let answer = client.ask(&post(&in_session(&id), &array(&[NOTE, response]))).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, ""));
    assert_eq!(within(gateway.recorder.wait_for(3)).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_stream_carries_all_answers_if_one_of_them_is_a_stream() {
    let gateway = Gateway::new(&Config::default(), naming());
    let (mut client, id) = gateway.session_of("2025-03-26").await;
    let items = array(&[&call("a", "one"), &call("b", "stream"), &call("c", "stream"), "7"]);
    let answer = client.ask(&post(&in_session(&id), &items)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    let mut events = protocol::sse::Decoder::new(1 << 20);
    events.push(answer.body.as_bytes());
    let mut ids = Vec::new();
    let mut notes = 0;
    while let Some(event) = events.next() {
        let event = event.unwrap();
        assert!(event.id.is_some());
        let message: Value = serde_json::from_slice(&event.data).unwrap();
        if message.get("method").is_some() {
            notes += 1
        } else {
            ids.push(message["id"].to_string())
        }
    }
    ids.sort();
    assert_eq!((notes, ids.join(" ")), (2, r#""a" "b" "c" null"#.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn arrays_are_for_sessions_of_that_revision_and_within_bounds() {
    let gateway = Gateway::new(&Config::default(), naming());
    let (_, session) = gateway.session_of("2025-03-26").await;
    let (_, newer) = gateway.session_of("2025-06-18").await;
    let two = array(&[CALL, NOTE]);
    let in_session = in_session(&session);
    for (case, headers, body, code) in [
        ("no session", USUAL.to_owned(), two.clone(), -32600),
        ("another revision", crate::fixture::in_session(&newer), two, -32600),
        ("a stateless message", format!("{in_session}{MIRRORED}"), array(&[MODERN]), -32600),
        ("nothing", in_session.clone(), "[ ]".to_owned(), -32600),
        ("too many", in_session.clone(), array(&[NOTE; 51]), -32600),
        ("a bomb", in_session.clone(), array(&["1"; 10_000]), -32600),
        ("no JSON", in_session.clone(), format!("[{CALL},"), -32700),
    ] {
        let before = gateway.recorder.events().len();
        let answer = gateway.connect().ask(&post(&headers, &body)).await;
        assert_eq!(answer.status, 400, "{case}: {}", answer.body);
        assert_eq!(answer.json()["error"]["code"], code, "{case}: {}", answer.body);
        assert_eq!(within(gateway.recorder.wait_for(before + 1)).await.len(), before + 1, "{case}");
    }
    let most = gateway.connect().ask(&post(&in_session, &array(&[CALL; 50]))).await;
    assert_eq!(most.status, 200);
    assert_eq!(most.json().as_array().unwrap().len(), 50);
}
