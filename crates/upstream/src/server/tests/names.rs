//! Ids, tokens and subscriptions: the server knows ours, the client its own.

use super::*;
use testkit::upstream::{Answers, FakeServer, McpServer, Step, answer, event_stream, response};

const LISTEN: &str = r#"{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

fn tagged(method: &str, id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
    )
}

#[tokio::test]
async fn a_progress_token_is_ours_upstream_and_the_clients_again_below() {
    for answers in [Answers::Json, Answers::Events] {
        let server = McpServer::start(answers, false, |request| {
            vec![Step::Send(progress_of(request)), Step::Send(answer(request))]
        })
        .await;
        let url = if answers == Answers::Json { server.sse_url() } else { server.url() };
        let rig = Rig::open(config(url)).await;
        let pieces = rig.pieces(call_with_progress(7, "slow")).await;
        assert_eq!(pieces[0].as_ref().unwrap().progress_token(), Some(r#""t""#));
        said(pieces[1].as_ref().unwrap(), "slow");
        let asked = server.http().until(|r| r.mcp_method() == "tools/call").await;
        let asked = asked.message().unwrap();
        assert_eq!((asked.id(), asked.progress_token()), (Some("2"), Some("2")));
        assert_eq!(rig.server.protocol_errors(), 0);
    }
}

#[tokio::test]
async fn progress_on_the_standalone_stream_finds_its_token() {
    let server = McpServer::start(Answers::Events, true, |request| {
        vec![Step::Hold, Step::Send(answer(request))]
    })
    .await;
    let mut rig = Rig::open(config(server.url())).await;
    let stream = rig.stream(call_with_progress(7, "slow")).await;
    let without_token = rig.connection.send(permit(), call(8, "slow"));
    let [standalone] = server.streams().try_into().unwrap();
    let waiting = server.http().until(|r| r.message().is_some_and(|m| m.id() == Some("3")));
    let (other, _) = tokio::join!(without_token, waiting);
    // A token that nobody gave, the id of a request without one, and one of no request.
    for token in ["\"t\"", "3", "4", "2"] {
        standalone.message(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#)).await;
    }
    assert_eq!(rig.delivered().await.progress_token(), Some(r#""t""#));
    assert_eq!(rig.server.protocol_errors(), 3, "the others are nobody's");
    drop((stream, other));
}

#[tokio::test]
async fn the_token_of_a_task_outlives_the_answer() {
    let server = McpServer::obliging(Answers::Json, true).await;
    let mut rig = Rig::open(config(server.url())).await;
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"slow","task":{},"_meta":{"progressToken":"t"}}}"#;
    rig.ask(message(call)).await;
    let asked = server.http().until(|r| r.mcp_method() == "tools/call").await;
    let [standalone] = server.streams().try_into().unwrap();
    standalone.message(&progress_of(&asked.message().unwrap())).await;
    assert_eq!(rig.delivered().await.progress_token(), Some(r#""t""#));
}

/// A server whose subscription says all of this, by our id.
async fn listening(after: impl Fn(&str) -> String + Send + Sync + 'static) -> FakeServer {
    let after = Arc::new(after);
    FakeServer::start(move |request| {
        let after = Arc::clone(&after);
        async move {
            let id = request.message().unwrap().id().unwrap().to_owned();
            let (events, response) = event_stream();
            tokio::spawn(async move {
                events.message(&tagged("notifications/subscriptions/acknowledged", &id)).await;
                events.message(&tagged("notifications/tools/list_changed", "99")).await;
                events.message(&tagged("notifications/tools/list_changed", &id)).await;
                events.message(&after(&id)).await;
            });
            response
        }
    })
    .await
}

async fn check_listen(after: impl Fn(&str) -> String + Send + Sync + 'static) {
    let server = listening(after).await;
    let rig = Rig::new(config(server.url("/mcp")));
    let pieces = rig.pieces(message(LISTEN)).await;
    let pieces: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
    let names: Vec<_> = pieces.iter().map(|piece| piece.method_name()).collect();
    let expected =
        ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed", ""];
    assert_eq!(names, expected);
    for update in &pieces[..2] {
        assert_eq!(update.subscription_id(), Some(r#""sub""#));
    }
    said(&pieces[2], r#""io.modelcontextprotocol/subscriptionId":"sub""#);
    assert_eq!(rig.server.protocol_errors(), 1, "another subscription is not ours");
}

#[tokio::test]
async fn a_subscription_has_the_clients_id_to_the_end() {
    check_listen(|id| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"resultType":"complete"}}}}"#)
    })
    .await;
    check_listen(|id| {
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#)
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_each_of_its_messages() {
    let batch = |request: &Message| {
        format!(
            r#"[{}, 7, {{"jsonrpc":"2.0","id":1,"method":"roots/list"}} ,{},{}]"#,
            progress_of(request),
            answer(request),
            r#"{"jsonrpc":"2.0","id":99,"result":{}}"#
        )
    };
    for events in [false, true] {
        let server = FakeServer::start(move |request| async move {
            let body = batch(&request.message().unwrap());
            if !events {
                return response(200, "application/json", body);
            }
            let (events, response) = event_stream();
            events.message(&body).await;
            response
        })
        .await;
        let rig = Rig::new(config(server.url("/mcp")));
        let pieces = rig.pieces(call_with_progress(7, "echo")).await;
        let pieces: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
        assert_eq!(pieces[0].progress_token(), Some(r#""t""#));
        assert_eq!(pieces[1].method_name(), "roots/list");
        said(&pieces[2], "echo");
        assert_eq!(pieces.len(), 3);
    }
}
