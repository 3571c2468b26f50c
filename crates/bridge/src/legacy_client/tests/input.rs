//! Input that the server asks for.

use super::*;

const REQUIRED: &str = r#"{"resultType":"input_required","inputRequests":{"q1":{"method":"elicitation/create","params":{"message":"who","requestedSchema":{"type":"object"}}},"q2":{"method":"roots\/list"}},"requestState":"st\u0061te"}"#;

/// A server that asks for that input until `rounds` answers were given.
fn asking(required: &'static str, rounds: usize) -> Arc<Server> {
    let asked = AtomicU64::new(0);
    Server::stateless(move |message| {
        if message.method() != Some(Method::ToolsCall) {
            return result(&message, r#"{"tools":[]}"#);
        }
        if asked.fetch_add(1, Ordering::Relaxed) < rounds as u64 {
            result(&message, required)
        } else {
            result(&message, r#"{"content":[],"resultType":"complete"}"#)
        }
    })
}

fn answer(question: &Message, rest: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},{rest}}}"#, question.id().unwrap())
}

async fn accepted(client: &Client, text: &str) {
    assert!(matches!(client.send(text).await, Ok(Answer::Accepted)));
}

#[tokio::test]
async fn input_is_asked_of_the_client_and_given_with_the_retry() {
    let server = asking(REQUIRED, 1);
    let client = Client::open(&server).await;
    let mut stream = client.stream(&call(1)).await;
    let who = stream.next().await.unwrap().unwrap();
    let roots = stream.next().await.unwrap().unwrap();
    assert_eq!((who.kind(), who.method()), (Kind::Request, Some(Method::ElicitationCreate)));
    assert_eq!(who.params(), Some(r#"{"message":"who","requestedSchema":{"type":"object"}}"#));
    assert_eq!(roots.method(), Some(Method::RootsList));
    assert_ne!(who.id(), roots.id());
    accepted(&client, &answer(&roots, r#""result":{"roots":[]}"#)).await;
    accepted(&client, &answer(&who, r#""result":{"action":"accept","content":{}}"#)).await;
    // An answer to nothing is no fault of anybody's.
    accepted(&client, &answer(&who, r#""result":{}"#)).await;
    let last = stream.next().await.unwrap().unwrap();
    assert_eq!(last.result(), Some(r#"{"content":[]}"#));
    assert!(stream.next().await.is_none());

    let sent = server.sent(Method::ToolsCall);
    assert_ne!(sent[0].id(), sent[1].id());
    assert_eq!(sent[0].input_responses(), None);
    assert_eq!(
        sent[1].input_responses(),
        Some(r#"{"q1":{"action":"accept","content":{}},"q2":{"roots":[]}}"#)
    );
    assert_eq!(sent[1].request_state(), Some(r#""st\u0061te""#));
    assert_eq!(sent[1].arguments(), sent[0].arguments());
}

#[tokio::test]
async fn a_server_may_ask_for_nothing_but_another_try() {
    let server = asking(r#"{"resultType":"input_required","requestState":"s"}"#, 2);
    let client = Client::open(&server).await;
    let answer = client.ask(&call(1)).await.unwrap();
    assert_eq!(answer.result(), Some(r#"{"content":[]}"#));
    let sent = server.sent(Method::ToolsCall);
    assert_eq!(sent.len(), 3);
    assert_eq!((sent[2].input_responses(), sent[2].request_state()), (None, Some(r#""s""#)));
}

/// A call whose input comes to that failure.
async fn check(required: &'static str, rounds: usize, kind: ErrorKind, text: &str) {
    let server = asking(required, rounds);
    let client = Client::open(&server).await;
    let failure = client.ask(&call(1)).await.map(drop).unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(text), "{failure} does not say {text}");
}

#[tokio::test]
async fn what_no_client_can_answer_fails_the_call() {
    const URL: &str = r#"{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":{"mode":"url","url":"https://a.example","message":"m"}}}}"#;
    check(URL, 1, ErrorKind::MissingCapability, "elicitation/create").await;
    const ODD: &str = r#"{"resultType":"input_required","inputRequests":{"q":{"method":"ping"}}}"#;
    check(ODD, 1, ErrorKind::UpstreamError, "no client answers").await;
    const AGAIN: &str = r#"{"resultType":"input_required","requestState":"s"}"#;
    check(AGAIN, 99, ErrorKind::UpstreamError, "more than 8 times").await;
}

const SAMPLING: &str = r#"{"resultType":"input_required","inputRequests":{"q":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}}}"#;

#[tokio::test]
async fn an_undeclared_capability_is_named() {
    let server = asking(SAMPLING, 1);
    let (_, _, client) = rig(&server, Party::One);
    client.ask(&INITIALIZE.replace(r#""sampling":{},"#, "")).await.unwrap();
    let failure = client.ask(&call(1)).await.map(drop).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::MissingCapability);
    assert_eq!(failure.data.as_deref(), Some(r#"{"requiredCapabilities":{"sampling":{}}}"#));
}

#[tokio::test]
async fn an_error_of_the_client_fails_the_call() {
    let server = asking(SAMPLING, 1);
    let client = Client::open(&server).await;
    let mut stream = client.stream(&call(1)).await;
    let question = stream.next().await.unwrap().unwrap();
    accepted(&client, &answer(&question, r#""error":{"code":-1,"message":"no"}"#)).await;
    let failure = stream.next().await.unwrap().map(drop).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::NotBridged);
    assert!(stream.next().await.is_none());
    assert_eq!(server.sent(Method::ToolsCall).len(), 1);
}

#[tokio::test]
async fn a_question_that_policy_denies_fails_the_call() {
    let server = asking(SAMPLING, 1);
    let client = Client::open(&server).await;
    let mut stream = client.stream(&call(1)).await;
    let question = stream.next().await.unwrap().unwrap();
    let denied = Failure::new(ErrorKind::PolicyDenied, "not here");
    client.connection.refuse(&question, &denied).await;
    assert_eq!(stream.next().await.unwrap().map(drop).unwrap_err(), denied);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_loses_the_call_and_nothing_is_kept() {
    let server = asking(SAMPLING, 1);
    let bridge = crate::Bridge::new(
        Arc::clone(&server) as Arc<dyn domain::Upstream>,
        testkit::clock::ManualClock::new(),
    );
    let inbox: Arc<dyn Inbox> = Arc::new(crate::bridge::Deaf);
    let (client, _) =
        LegacyClient::open(bridge.shared(), &inbox, &permit(), &message(INITIALIZE)).await.unwrap();
    let Ok(Answer::Stream(mut stream)) = client.send(permit(), message(call(1))).await else {
        panic!("the answer is no stream");
    };
    stream.next().await.unwrap().unwrap();
    assert_eq!(lock(&client.questions).len(), 1);
    // Nothing else is due: time jumps to the end of the round.
    let failure = stream.next().await.unwrap().map(drop).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Abandoned);
    drop(stream);
    assert!(lock(&client.questions).is_empty() && client.calls.is_empty());
}
