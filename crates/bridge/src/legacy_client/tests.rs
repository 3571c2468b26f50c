mod headers;
mod input;
mod listening;

use futures_util::StreamExt;
use protocol::Era;

use super::*;
use crate::fixture::{
    Client, INITIALIZE, OFFER, Server, error, message, permit, result, rig, silence, stream_of,
};

/// A request of a client with a session.
fn request(id: u32, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

fn call(id: u32) -> String {
    request(id, "tools/call", r#"{"name":"t","arguments":{"a":1}}"#)
}

#[tokio::test]
async fn a_session_opens_on_what_the_server_offers() {
    let server = Server::stateless(|message| result(&message, "{}"));
    let (_, _, client) = rig(&server, Party::One);
    let answer = client.ask(INITIALIZE).await.unwrap();
    assert_eq!(answer.id(), Some(r#""init""#));
    assert_eq!(
        answer.result(),
        Some(
            r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"modern","version":"3"},"instructions":"be kind"}"#
        )
    );
    let discover = &server.sent(Method::ServerDiscover)[0];
    assert_eq!(
        discover.client_capabilities(),
        Some(r#"{"roots":{"listChanged":true},"sampling":{},"elicitation":{}}"#)
    );
    assert_eq!(discover.client_info(), Some(r#"{"name":"test","version":"1"}"#));
}

#[tokio::test]
async fn the_revision_is_the_clients_where_it_has_sessions() {
    for (offered, settled) in
        [("2024-11-05", "2024-11-05"), ("2026-07-28", "2025-11-25"), ("2023-01-01", "2025-11-25")]
    {
        let server = Server::stateless(|message| result(&message, "{}"));
        let (_, _, client) = rig(&server, Party::One);
        let initialize = INITIALIZE.replace("2025-06-18", offered);
        let answer = client.ask(&initialize).await.unwrap();
        assert_eq!(answer.protocol_version().as_deref(), Some(settled));
    }
}

/// A server that answers no call.
fn deaf() -> Arc<Server> {
    Server::stateless(|message| match message.method() {
        Some(Method::ToolsCall) => silence(),
        _ => result(&message, r#"{"tools":[]}"#),
    })
}

/// What becomes of a request that the server is not asked.
#[track_caller]
fn local(answer: Result<Message, Failure>, expected: Result<&str, ErrorKind>) {
    match (answer, expected) {
        (Ok(answer), Ok(result)) => assert_eq!(answer.result(), Some(result)),
        (Err(failure), Err(kind)) => assert_eq!(failure.kind, kind, "{failure}"),
        (answer, _) => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn what_a_stateless_server_does_not_know_it_is_not_asked() {
    let server = Server::stateless(|message| error(&message, -32603, None));
    let client = Client::open(&server).await;
    let before = server.sent(Method::ServerDiscover).len();
    let check = async |method: &str, params: &str, expected| {
        local(client.ask(&request(1, method, params)).await, expected);
    };
    check("ping", "{}", Ok("{}")).await;
    check("logging/setLevel", r#"{"level":"error"}"#, Ok("{}")).await;
    check("logging/setLevel", r#"{"level":"loud"}"#, Err(ErrorKind::InvalidParams)).await;
    check("tasks/list", "{}", Err(ErrorKind::NotBridged)).await;
    check("tasks/get", r#"{"taskId":"1"}"#, Err(ErrorKind::NotBridged)).await;
    check("tools/call", r#"{"name":"t","task":{}}"#, Err(ErrorKind::NotBridged)).await;
    check("server/discover", "{}", Err(ErrorKind::MethodNotFound)).await;
    check("subscriptions/listen", "{}", Err(ErrorKind::MethodNotFound)).await;
    check("initialize", r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"a","version":"1"}}"#, Err(ErrorKind::InvalidRequest)).await;
    for method in ["roots/list_changed", "progress", "x"] {
        let notification = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{"progressToken":1,"progress":1}}}}"#
        );
        assert!(matches!(client.send(&notification).await, Ok(Answer::Accepted)));
    }
    assert_eq!(server.sent(Method::ServerDiscover).len(), before);
    assert!(server.sent(Method::ToolsCall).is_empty());
}

#[tokio::test]
async fn the_log_level_travels_with_every_request() {
    let server = Server::stateless(|message| result(&message, r#"{"completion":{}}"#));
    let client = Client::open(&server).await;
    let complete = request(2, "completion/complete", "{}");
    client.ask(&complete).await.unwrap();
    client.ask(&request(1, "logging/setLevel", r#"{"level":"error"}"#)).await.unwrap();
    client.ask(&complete).await.unwrap();
    let sent = server.sent(Method::Complete);
    let levels: Vec<_> = sent.iter().map(|message| message.log_level().unwrap()).collect();
    assert_eq!(levels, ["info", "error"]);
    assert!(sent.iter().all(|message| message.era() == Era::Modern));
}

/// What a client with a session sees of an answer.
async fn check(method: &str, params: &str, answer: &'static str, seen: &str) {
    let server = Server::stateless(move |request| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},{answer}}}"#, request.id().unwrap());
        Box::pin(async move { Ok(Answer::Message(message(text))) })
    });
    let client = Client::open(&server).await;
    let answer = client.ask(&request(5, method, params)).await.unwrap();
    let text = std::str::from_utf8(answer.bytes()).unwrap();
    assert!(text.ends_with(&format!("{seen}}}")), "{text} is not {seen}");
}

#[tokio::test]
async fn answers_lose_what_only_the_new_revision_has() {
    check(
        "resources/read",
        r#"{"uri":"a:b"}"#,
        r#""result":{"resultType":"complete","contents":[],"ttlMs":5,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"m","version":"1"},"x":1}}"#,
        r#""result":{"contents":[],"_meta":{"x":1}}"#,
    )
    .await;
    check(
        "tools/call",
        r#"{"name":"t"}"#,
        r#""result":{"content":[],"ttlMs":5,"structuredContent":[1],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"m","version":"1"}}}"#,
        r#""result":{"content":[],"ttlMs":5}"#,
    )
    .await;
    check(
        "tools/call",
        r#"{"name":"t"}"#,
        r#""result":{"content":[],"resultType":"complete","structuredContent":{"a":1}}"#,
        r#""result":{"content":[],"structuredContent":{"a":1}}"#,
    )
    .await;
    check(
        "resources/read",
        r#"{"uri":"a:b"}"#,
        r#""error":{"code":-32602,"message":"none","data":{"uri":"a:b"}}"#,
        r#""error":{"code":-32002,"message":"none","data":{"uri":"a:b"}}"#,
    )
    .await;
    check(
        "tools/call",
        r#"{"name":"t"}"#,
        r#""error":{"code":-32602,"message":"none","data":{"uri":"a:b"}}"#,
        r#""error":{"code":-32602,"message":"none","data":{"uri":"a:b"}}"#,
    )
    .await;
}

#[tokio::test]
async fn tools_that_earlier_revisions_do_not_have_are_not_listed() {
    check(
        "tools/list",
        "{}",
        r#""result":{"resultType":"complete","tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"b","inputSchema":{"type":"object","properties":{"x":{"type":"array","x-mcp-header":"X"}}}},{"name":"c","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}],"nextCursor":"n"}"#,
        r#""result":{"tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"c","inputSchema":{"type":"object"}}],"nextCursor":"n"}"#,
    )
    .await;
}

#[tokio::test]
async fn an_answer_of_an_unknown_type_is_none() {
    for (method, kind) in [("tools/call", "task"), ("completion/complete", "input_required")] {
        let answer = format!(r#"{{"resultType":"{kind}"}}"#);
        let server = Server::stateless(move |message| result(&message, &answer));
        let client = Client::open(&server).await;
        let failure = client.ask(&request(1, method, r#"{"name":"t"}"#)).await;
        assert_eq!(failure.map(drop).unwrap_err().kind, ErrorKind::UpstreamError);
    }
}

#[tokio::test]
async fn a_streamed_answer_is_passed_on_piece_by_piece() {
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}"#;
    let server = Server::stateless(move |request| {
        let last = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","content":[]}}}}"#,
            request.id().unwrap()
        );
        stream_of(vec![message(progress), message(last)])
    });
    let client = Client::open(&server).await;
    let pieces: Vec<_> = client.stream(&call(1)).await.collect().await;
    let texts: Vec<_> = pieces.iter().map(|piece| piece.as_ref().unwrap()).collect();
    assert_eq!(texts[0].bytes(), progress);
    assert_eq!(texts[1].result(), Some(r#"{"content":[]}"#));
    assert_eq!(texts.len(), 2);
}

#[tokio::test]
async fn a_call_ends_when_it_is_cancelled_and_its_id_is_free() {
    let server = deaf();
    let client = Client::open(&server).await;
    let text = call(9);
    let cancel = async {
        server.wait_for(Method::ToolsCall, 1).await;
        let twice = client.ask(&text).await.map(drop).unwrap_err();
        assert_eq!(twice.kind, ErrorKind::InvalidRequest);
        client
            .send(
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}"#,
            )
            .await
            .map(drop)
            .unwrap();
    };
    let (answer, ()) = tokio::join!(client.ask(&text), cancel);
    assert_eq!(answer.map(drop).unwrap_err().kind, ErrorKind::Abandoned);
    let again = async { server.wait_for(Method::ToolsCall, 2).await };
    tokio::select! {
        _ = client.ask(&text) => panic!("the server is silent"),
        _ = again => {}
    }
}

#[tokio::test]
async fn closing_ends_what_waits() {
    let server = deaf();
    let client = Client::open(&server).await;
    let close = async {
        server.wait_for(Method::ToolsCall, 1).await;
        client.connection.close().await;
    };
    let text = call(1);
    let (answer, ()) = tokio::join!(client.ask(&text), close);
    assert_eq!(answer.map(drop).unwrap_err().kind, ErrorKind::Abandoned);
}
