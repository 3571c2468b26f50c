use super::fixture::{Rig, elicit, retry, say, state};
use super::*;

const DONE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

/// A call that the server asks a name for, up to the response that asks the client.
async fn asked(rig: &Rig) -> (fixture::CallEnd, Message) {
    let nth = rig.server.count("tools/call");
    let (asked, end) = rig.start(call("1"), nth).await;
    say(&end, &elicit(40)).await;
    (end, asked.await.unwrap().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_question_becomes_input_required_and_the_retry_answers_it() {
    let rig = rig(true);
    let (end, required) = asked(&rig).await;
    let state = state(&required);
    assert_eq!(state.len(), 66);
    assert_eq!(
        required.result(),
        Some(&*format!(
            r#"{{"resultType":"input_required","inputRequests":{{"elicitation_create_1":{{"method":"elicitation/create","params":{{"message":"Name?","requestedSchema":{{"type":"object"}}}}}}}},"requestState":{state},"_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"old","version":"1"}}}}}}"#
        ))
    );
    let given = r#"{"elicitation_create_1":{"action":"accept","content":{"name":"Ada"}}}"#;
    let again = retry("2", &state, given);
    let (answer, ()) = tokio::join!(rig.ask(&again), async {
        rig.server.until(r#""id":40,"result":{"action":"accept""#).await;
        say(&end, DONE).await;
    });
    assert_eq!(answer.unwrap().result_type().as_deref(), Some("complete"));
    assert_eq!(rig.server.count("tools/call"), 1, "the server sees one call");
    let used = rig.ask(&again).await.unwrap_err();
    assert_eq!(used.kind, ErrorKind::InvalidParams);
    assert!(used.message.contains("requestState"), "{used}");
}

#[tokio::test(start_paused = true)]
async fn a_handle_is_for_the_same_call_on_the_same_connection() {
    let rig = rig(true);
    let (_end, required) = asked(&rig).await;
    let state = state(&required);
    let with = |params: &str| {
        let params = format!(r#"{{{params},"inputResponses":{{}},"requestState":{state}}}"#);
        modern("2", "tools/call", &params, ALL)
    };
    let check = async |rig: &Rig, request: &str| {
        let failure = rig.ask(request).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidParams, "{failure}");
    };
    check(&rig, &with(r#""name":"other","arguments":{"a":1}"#)).await;
    check(&rig, &with(r#""name":"t","arguments":{"a":2}"#)).await;
    check(&rig, &with(r#""name":"t""#)).await;
    let other = format!(r#"{{"name":"t","arguments":{{"a":1}},"requestState":{state}}}"#);
    check(&rig, &modern("2", "prompts/get", &other, ALL)).await;
    check(&rig, &retry("2", &state, r#"{"elicitation_create_1":"yes"}"#)).await;
    check(&rig, &retry("2", r#""0000""#, "{}")).await;
    check(&fixture::rig(true), &retry("2", &state, "{}")).await;
    // None of this has used it up. Without answers the client is asked again.
    let again = rig.ask(&retry("2", &state, "{}")).await.unwrap();
    assert_ne!(fixture::state(&again), state);
    assert_eq!(again.input_requests(), required.input_requests());
    assert_eq!(again.id(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn questions_at_once_make_one_round_and_what_is_left_the_next() {
    let rig = rig(true);
    let (first, end) = rig.start(call("1"), 0).await;
    say(&end, &elicit(40)).await;
    say(&end, r#"{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1,"task":{}}}"#).await;
    say(&end, r#"{"jsonrpc":"2.0","id":41,"method":"roots/list"}"#).await;
    let first = first.await.unwrap().unwrap();
    let keys = |required: &Message| {
        let requests = required.input_requests().unwrap().to_owned();
        let members = protocol::object::members(&requests).unwrap();
        members.iter().map(|member| member.key.clone().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&first), ["elicitation_create_1", "sampling_createMessage_2", "roots_list_3"]);
    assert!(!first.input_requests().unwrap().contains("task"));
    let given = r#"{"roots_list_3":{"roots":[]},"unknown":{}}"#;
    // Meanwhile the server gives up one question and asks another.
    let again = retry("2", &state(&first), given);
    let (second, ()) = tokio::join!(rig.ask(&again), async {
        rig.server.until(r#""id":41,"result":{"roots":[]}"#).await;
        say(
            &end,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"s"}}"#,
        )
        .await;
        say(&end, &elicit(42)).await;
    });
    let second = second.unwrap();
    assert_eq!(keys(&second), ["elicitation_create_1", "elicitation_create_4"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_did_not_declare_it_is_not_asked() {
    let rig = rig(true);
    let bare = modern("1", "tools/call", r#"{"name":"t"}"#, r#"{"elicitation":{}}"#);
    let (answer, end) = rig.start(bare, 0).await;
    let url = elicit(3).replace(r#""message""#, r#""mode":"url","message""#);
    say(&end, &url).await;
    say(&end, r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
    say(&end, r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await;
    say(&end, r#"{"jsonrpc":"2.0","id":4,"method":"ping"}"#).await;
    say(&end, DONE).await;
    assert_eq!(answer.await.unwrap().unwrap().result_type().as_deref(), Some("complete"));
    for line in ["refused 3 -32601", "refused 1 -32601", "refused 2 -32601"] {
        rig.server.until(line).await;
    }
    rig.server.until(r#"{"jsonrpc":"2.0","id":4,"result":{}}"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_outside_of_any_call_belongs_to_the_only_one() {
    let rig = rig(true);
    let list = modern("1", "tools/list", "{}", ALL);
    rig.ask(&list).await.unwrap();
    rig.server.push(0, &elicit(1)).await;
    rig.server.until("refused 1 -32601").await;
    rig.server.push(0, r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#).await;
    rig.server.until(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#).await;

    let (first, _end) = rig.start(call("1"), 0).await;
    rig.server.push(0, &elicit(2)).await;
    let first = first.await.unwrap().unwrap();
    // The first waits for its client now, and is not taken for the one that the server means.
    let (second, _other) = rig.start(call("2"), 1).await;
    rig.server.push(0, &elicit(3)).await;
    let second = second.await.unwrap().unwrap();
    assert_ne!(state(&first), state(&second));
    // Both wait: it could be either.
    rig.server.push(0, &elicit(4)).await;
    rig.server.until("refused 4 -32601").await;
    let given = r#"{"elicitation_create_1":{"action":"decline"}}"#;
    let third = retry("3", &state(&second), given);
    let (third, _) = tokio::join!(rig.ask(&third), async {
        rig.server.until(r#"{"jsonrpc":"2.0","id":3,"result":{"action":"decline"}}"#).await;
        rig.server.push(0, &elicit(5)).await;
    });
    assert!(third.unwrap().input_requests().unwrap().contains("elicitation_create_2"));
    let (_a, _end) = rig.start(call("4"), 2).await;
    let (_b, _end) = rig.start(call("5"), 3).await;
    rig.server.push(0, &elicit(6)).await;
    rig.server.until("refused 6 -32601").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_too_long_is_given_up_at_the_server() {
    let rig = rig(true);
    let (end, required) = asked(&rig).await;
    rig.server.forget_calls();
    rig.clock.advance(Duration::from_secs(599));
    rig.client.kept.parked.sweep();
    assert!(!end.is_closed());
    rig.clock.advance(Duration::from_secs(1));
    // By the sweep that runs by itself.
    end.closed().await;
    let late = rig.ask(&retry("2", &state(&required), "{}")).await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::InvalidParams);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_are_bounded_and_end_with_the_connection() {
    let rig = rig(true);
    let mut ends = Vec::new();
    for _ in 0..1_024 {
        ends.push(asked(&rig).await.0);
    }
    let (more, end) = rig.start(call("1"), 1_024).await;
    say(&end, &elicit(1)).await;
    assert_eq!(more.await.unwrap().unwrap_err().kind, ErrorKind::Overloaded);
    end.closed().await;
    rig.client.close().await;
    for end in ends {
        end.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_on_while_the_client_is_asked_is_read() {
    let rig = rig(true);
    let (end, required) = asked(&rig).await;
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
    // More than any queue on the way holds.
    for _ in 0..200 {
        say(&end, progress).await;
    }
    say(&end, DONE).await;
    // Until all of it was read.
    drop(end.reserve_many(end.max_capacity()).await.unwrap());
    // The response came without the answers, which are then for nobody.
    let given = r#"{"elicitation_create_1":{"action":"accept"}}"#;
    let answer = rig.ask(&retry("2", &state(&required), given)).await.unwrap();
    assert_eq!(answer.result_type().as_deref(), Some("complete"));
    assert_eq!(rig.server.count("accept"), 0);
}

#[tokio::test(start_paused = true)]
async fn progress_goes_under_the_token_of_the_last_retry() {
    let rig = rig(true);
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a","progress":1}}"#;
    let params = r#"{"name":"t","arguments":{"a":1}}"#;
    let first = with_meta("1", "tools/call", params, r#""progressToken":"a""#);
    let (mut stream, end) = tokio::join!(rig.stream(&first), async {
        let end = rig.server.call(0).await;
        say(&end, progress).await;
        say(&end, &elicit(1)).await;
        end
    });
    assert_eq!(stream.next().await.unwrap().unwrap().progress_token(), Some(r#""a""#));
    let required = stream.next().await.unwrap().unwrap();
    assert!(stream.next().await.is_none());
    let state = state(&required);
    let params = format!(
        r#"{{"name":"t","arguments":{{"a":1}},"requestState":{state},"inputResponses":{{"elicitation_create_1":{{}}}}}}"#
    );
    let again = with_meta("2", "tools/call", &params, r#""progressToken":7"#);
    let (mut stream, ()) = tokio::join!(rig.stream(&again), async {
        rig.server.until(r#""id":1,"result":{}"#).await;
        say(&end, progress).await;
    });
    assert_eq!(stream.next().await.unwrap().unwrap().progress_token(), Some("7"));
    // Leaving the stream leaves the call.
    drop(stream);
    end.closed().await;
}

#[tokio::test(start_paused = true)]
async fn visits_that_a_call_requires_are_asked_for_and_the_call_is_made_again() {
    const VISITS: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"visit","data":{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://a.example","message":"Go"}]}}}"#;
    let rig = rig(true);
    let (first, end) = rig.start(call("1"), 0).await;
    say(&end, VISITS).await;
    let required = first.await.unwrap().unwrap();
    assert!(required.input_requests().unwrap().contains("https://a.example"));
    let given = r#"{"elicitation_create_1":{"action":"accept"}}"#;
    let again = retry("2", &state(&required), given);
    let (answer, ()) = tokio::join!(rig.ask(&again), async {
        say(&rig.server.call(1).await, DONE).await;
    });
    assert_eq!(answer.unwrap().result_type().as_deref(), Some("complete"));

    let bare = modern("1", "tools/call", r#"{"name":"t"}"#, r#"{"elicitation":{}}"#);
    let (refused, end) = rig.start(bare, 2).await;
    say(&end, VISITS).await;
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(refused.kind, ErrorKind::MissingCapability);
    assert_eq!(
        refused.data.as_deref(),
        Some(r#"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_questions_the_client_does_not_get_is_given_up() {
    let rig = rig(true);
    let (end, required) = asked(&rig).await;
    let (other, _) = asked(&rig).await;
    rig.server.forget_calls();
    let denied = Failure::new(ErrorKind::PolicyDenied, "denied by policy");
    rig.client.dismiss(&required, &denied);
    rig.server.until("refused 40 -31001").await;
    end.closed().await;
    assert!(!other.is_closed());
    assert_eq!(rig.server.count("refused"), 1);
    let late = rig.ask(&retry("2", &state(&required), "{}")).await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::InvalidParams);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_waits_for_no_answer_any_more_is_refused_nothing() {
    let rig = rig(true);
    let (end, required) = asked(&rig).await;
    rig.server.forget_calls();
    say(&end, DONE).await;
    drop(end.reserve_many(end.max_capacity()).await.unwrap());
    rig.client.dismiss(&required, &Failure::new(ErrorKind::PolicyDenied, "denied by policy"));
    end.closed().await;
    rig.ask(&modern("1", "tools/list", "{}", ALL)).await.unwrap();
    assert_eq!(rig.server.count("refused"), 0);
}
