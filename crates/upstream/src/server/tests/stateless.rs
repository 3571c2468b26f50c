//! Messages that need no session (2026-07-28).

use super::*;
use protocol::{ParamHeader, ProtocolVersion};
use testkit::upstream::{
    Answers, FakeServer, McpServer, Received, Step, answer, empty, event_stream, response,
};

const ENVELOPE: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn modern(id: &str, method: &str, params: &str) -> Message {
    let comma = if params.is_empty() { "" } else { "," };
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}{ENVELOPE}}}}}"#
    ))
}

fn modern_call(id: &str, tool: &str) -> Message {
    modern(id, "tools/call", &format!(r#""name":"{tool}""#))
}

fn many(config: Config) -> Rig {
    let first = Rig::new(config);
    first.beside(Party::Many)
}

#[tokio::test]
async fn the_headers_repeat_the_body() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let rig = many(config(server.url()));
    let params = [("Mcp-Param-Region", "eu"), ("Authorization", "stolen")];
    let params = params.map(|(name, value)| ParamHeader { name: name.into(), value: value.into() });
    let call = modern_call("1", "Wetter für").with_param_headers(params.into());
    said(&rig.ask(call).await, "Wetter");
    let received = server.http().until(|r| r.mcp_method() == "tools/call").await;
    let header = |name| received.header(name).unwrap_or_default();
    assert_eq!(header("mcp-protocol-version"), "2026-07-28");
    assert_eq!(header("mcp-method"), "tools/call");
    assert_eq!(protocol::mirror::decode(header("mcp-name")).unwrap(), "Wetter für");
    assert_eq!(header("mcp-param-region"), "eu");
    assert_eq!(header("accept"), "application/json, text/event-stream");
    assert_eq!(received.header("authorization"), None);
    rig.ask(modern("2", "tools/list", "")).await;
    let list = server.http().until(|r| r.mcp_method() == "tools/list").await;
    assert_eq!(list.header("mcp-name"), None);
    assert_eq!(rig.connection.version(), Some(ProtocolVersion::V2026_07_28));
    assert!(rig.connection.handshake().is_none());
}

#[tokio::test]
async fn there_is_no_session_even_where_the_server_mints_one() {
    let server = FakeServer::start(|request| async move {
        let body = answer(&request.message().unwrap());
        let mut response = response(200, "application/json", body);
        response.headers_mut().insert("mcp-session-id", "s".parse().unwrap());
        response
    })
    .await;
    let rig = many(config(server.url("/mcp")));
    rig.ask(modern_call("1", "echo")).await;
    rig.ask(modern_call("1", "echo")).await;
    rig.connection.close().await;
    for received in server.so_far() {
        assert_eq!((received.method.as_str(), received.header("mcp-session-id")), ("POST", None));
    }
}

#[tokio::test]
async fn equal_ids_of_many_clients_do_not_meet() {
    for pipes in [false, true] {
        let server = McpServer::start(Answers::Json, false, |request| {
            vec![Step::Hold, Step::Send(answer(request))]
        })
        .await;
        let url = if pipes { server.sse_url() } else { server.url() };
        let rig = many(config(url));
        let asked = ["a", "b", "c"].map(|tool| rig.ask(modern_call("0", tool)));
        let released = async {
            server.http().until_nth(3, is_call).await;
            server.release(3);
        };
        let (answers, ()) = tokio::join!(futures_util::future::join_all(asked), released);
        for (answer, tool) in answers.iter().zip(["a", "b", "c"]) {
            said(answer, &format!("\"{tool}\""));
        }
    }
}

fn is_call(received: &Received) -> bool {
    received.mcp_method() == "tools/call"
}

#[tokio::test]
async fn giving_up_closes_the_answer_and_says_no_more() {
    let (sender, mut streams) = mpsc::channel(4);
    let server = FakeServer::start(move |_| {
        let sender = sender.clone();
        async move {
            let (events, response) = event_stream();
            events.message(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#).await;
            sender.send(events).await.unwrap();
            response
        }
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    let mut stream = rig.stream(modern_call("1", "slow")).await;
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let events = streams.recv().await.unwrap();
    timeout(PATIENCE, events.closed()).await.expect("dropping closes");
    let mut stream = rig.stream(modern_call("2", "slow")).await;
    stream.next().await.unwrap().unwrap();
    assert!(matches!(rig.send(cancel(2)).await, Ok(Answer::Accepted)));
    failed(&stream.next().await.unwrap().unwrap_err(), ErrorKind::Abandoned, "cancelled");
    drop(stream);
    let events = streams.recv().await.unwrap();
    timeout(PATIENCE, events.closed()).await.expect("cancelling closes");
    assert_eq!(server.so_far().len(), 2, "nothing is posted");
}

#[tokio::test]
async fn an_error_reply_is_the_answer_whatever_its_id() {
    for id in ["null", "\"server-error\"", "1"] {
        for status in [400, 404] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32022,"message":"no","data":{{"supported":[]}}}}}}"#
            );
            let server = FakeServer::start(move |_| {
                let body = body.clone();
                async move { response(status, "application/json", body) }
            })
            .await;
            let rig = Rig::new(config(server.url("/mcp")));
            let answer = rig.ask(modern("7", "server/discover", "")).await;
            assert_eq!((answer.error_code(), answer.id()), (Some(-32022), Some("1")));
            assert_eq!(server.so_far().len(), 1, "this is the address");
            assert_eq!(rig.connection.version(), None);
        }
    }
    let without = FakeServer::start(|_| async {
        response(
            400,
            "application/json",
            r#"{"jsonrpc":"2.0","error":{"code":-32020,"message":"no"}}"#,
        )
    })
    .await;
    let rig = Rig::new(config(without.url("/mcp")));
    assert_eq!(rig.ask(modern_call("7", "echo")).await.error_code(), Some(-32020));
}

#[tokio::test]
async fn a_stateless_message_does_not_wait_for_a_session() {
    let server = FakeServer::start(|request| async move {
        match request.method.as_str() {
            "POST" => response(200, "application/json", answer(&request.message().unwrap())),
            _ => empty(405),
        }
    })
    .await;
    let rig = many(config(server.url("/mcp")));
    for _ in 0..3 {
        rig.ask(modern_call("1", "echo")).await;
    }
    assert!(server.so_far().iter().all(|r| r.method == "POST"));
}

#[tokio::test]
async fn all_sessions_use_the_same_pipes_and_the_last_one_ends_them() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let first = many(config);
    let second = first.beside(Party::One);
    for rig in [&first, &second] {
        said(&rig.ask(modern_call("1", "echo")).await, "echo");
    }
    let [stream] = server.streams().try_into().unwrap();
    first.connection.close().await;
    said(&second.ask(modern_call("2", "echo")).await, "echo");
    second.connection.close().await;
    timeout(PATIENCE, stream.closed()).await.expect("nobody uses them");
    let third = first.beside(Party::One);
    said(&third.ask(modern_call("1", "echo")).await, "echo");
    assert_eq!(server.streams().len(), 2, "and they can be opened again");
    drop(third);
    timeout(PATIENCE, server.streams()[1].closed()).await.expect("dropping ends them too");
}

#[tokio::test]
async fn leaving_shared_pipes_cancels_what_is_in_flight() {
    let server = McpServer::start(Answers::Json, false, |request| {
        vec![Step::Hold, Step::Send(answer(request))]
    })
    .await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let staying = many(config);
    let leaving = staying.beside(Party::One);
    let kept = staying.ask(modern_call("1", "kept"));
    let lost = leaving.failure(modern_call("1", "lost"));
    let closed = async {
        server.http().until_nth(2, is_call).await;
        leaving.connection.close().await;
        let told = server.http().until(|r| r.mcp_method() == "notifications/cancelled").await;
        let is_lost =
            |r: &Received| r.message().is_some_and(|m| m.name().as_deref() == Some("lost"));
        let lost = server.http().until(is_lost).await;
        let (told, lost) = (told.message().unwrap(), lost.message().unwrap());
        assert_eq!(told.cancelled_id(), lost.id());
        server.release(2);
    };
    let (kept, lost, ()) = tokio::join!(kept, lost, closed);
    said(&kept, "kept");
    failed(&lost, ErrorKind::UpstreamError, "closed");
}

#[tokio::test]
async fn shared_pipes_give_to_nobody_what_belongs_to_nobody() {
    let server = McpServer::start(Answers::Json, false, |request| {
        let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
        let ask = r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#;
        [log, ask, &answer(request)].map(|m| Step::Send(m.to_owned())).to_vec()
    })
    .await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let mut rig = many(config);
    assert_eq!(rig.pieces(modern_call("1", "echo")).await.len(), 1);
    assert_eq!(rig.server.protocol_errors(), 2);
    assert!(rig.inbox.try_recv().is_err());
}

fn listen(id: &str) -> Message {
    modern(id, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#)
}

fn tagged(method: &str, id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
    )
}

#[tokio::test]
async fn subscriptions_share_pipes_and_stay_apart() {
    let server = McpServer::start(Answers::Json, false, |request| {
        let acknowledged =
            tagged("notifications/subscriptions/acknowledged", request.id().unwrap());
        vec![Step::Send(acknowledged)]
    })
    .await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let rig = many(config);
    let mut first = rig.stream(listen(r#""same""#)).await;
    let mut second = rig.beside(Party::One).stream(listen(r#""same""#)).await;
    let [events] = server.streams().try_into().unwrap();
    events.message(&tagged("notifications/tools/list_changed", "2")).await;
    events.message(&tagged("notifications/prompts/list_changed", "1")).await;
    for (stream, name) in [(&mut first, "prompts"), (&mut second, "tools")] {
        let acknowledged = stream.next().await.unwrap().unwrap();
        assert_eq!(acknowledged.method_name(), "notifications/subscriptions/acknowledged");
        let update = stream.next().await.unwrap().unwrap();
        assert_eq!(update.method_name(), format!("notifications/{name}/list_changed"));
        assert_eq!(update.subscription_id(), Some(r#""same""#));
    }
    events.message(r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"resultType":"complete"}}"#).await;
    said(
        &first.next().await.unwrap().unwrap(),
        r#""io.modelcontextprotocol/subscriptionId":"same""#,
    );
    assert!(first.next().await.is_none());
    events
        .message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#)
        .await;
    said(
        &second.next().await.unwrap().unwrap(),
        r#""io.modelcontextprotocol/subscriptionId":"same""#,
    );
    assert!(second.next().await.is_none());
}

#[tokio::test]
async fn a_silent_subscription_does_not_time_out_and_takes_no_place() {
    for answers in [Answers::Json, Answers::Events] {
        let server = McpServer::start(answers, false, |request| match request.name() {
            Some(_) => vec![Step::Send(answer(request))],
            None => vec![
                Step::Send(tagged(
                    "notifications/subscriptions/acknowledged",
                    request.id().unwrap(),
                )),
                Step::Hold,
                Step::Send(tagged("notifications/tools/list_changed", request.id().unwrap())),
            ],
        })
        .await;
        let url = if answers == Answers::Json { server.sse_url() } else { server.url() };
        let mut config = Config { timeout: TIMEOUT, ..config(url) };
        config.connection_pool.max_open = 1;
        let rig = many(config);
        let mut stream = rig.stream(listen("1")).await;
        stream.next().await.unwrap().unwrap();
        said(&rig.ask(modern_call("2", "echo")).await, "echo");
        let later = async {
            tokio::time::pause();
            tokio::time::advance(TIMEOUT.duration() * 100).await;
            tokio::time::resume();
            server.release(1);
        };
        let (update, ()) = tokio::join!(stream.next(), later);
        assert_eq!(update.unwrap().unwrap().method_name(), "notifications/tools/list_changed");
    }
}

#[tokio::test]
async fn a_subscriber_who_does_not_read_loses_the_subscription_and_holds_up_nobody() {
    let server = McpServer::start(Answers::Json, false, |request| match request.name() {
        Some(_) => vec![Step::Send(answer(request))],
        None => {
            vec![Step::Send(tagged("notifications/tools/list_changed", request.id().unwrap())); 100]
        }
    })
    .await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let rig = many(config);
    let stream = rig.stream(listen("1")).await;
    said(&rig.ask(modern_call("2", "echo")).await, "echo");
    let read: Vec<_> = timeout(PATIENCE, stream.collect()).await.unwrap();
    assert!(read.len() < 100, "{}", read.len());
    failed(read.last().unwrap().as_ref().unwrap_err(), ErrorKind::UpstreamError, "subscribe again");
    server.http().until(|r| r.mcp_method() == "notifications/cancelled").await;
}

#[tokio::test]
async fn a_client_cancels_its_own_request_alone() {
    let server = McpServer::start(Answers::Json, false, |request| {
        vec![Step::Hold, Step::Send(answer(request))]
    })
    .await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let staying = Rig::new(config);
    let leaving = staying.beside(Party::One);
    let kept = staying.ask(modern_call("1", "kept"));
    let lost = leaving.failure(modern_call("1", "lost"));
    let cancelled = async {
        server.http().until_nth(2, is_call).await;
        assert!(matches!(leaving.send(cancel(1)).await, Ok(Answer::Accepted)));
        server.release(2);
    };
    let (kept, lost, ()) = tokio::join!(kept, lost, cancelled);
    said(&kept, "kept");
    failed(&lost, ErrorKind::Abandoned, "cancelled");
}

#[tokio::test]
async fn a_hundred_clients_that_count_from_zero_get_their_own_answers() {
    let server = McpServer::obliging(Answers::Json, false).await;
    let config = Config { transport: TransportKind::Sse, ..config(server.sse_url()) };
    let first = Rig::new(config);
    let clients = (0..100).map(|client| {
        let party = if client % 2 == 0 { Party::One } else { Party::Many };
        let rig = first.beside(party);
        async move {
            for id in 0..10 {
                let tool = format!("tool-{client}-{id}");
                said(&rig.ask(modern_call(&id.to_string(), &tool)).await, &format!("\"{tool}\""));
            }
        }
    });
    futures_util::future::join_all(clients).await;
    assert_eq!(server.streams().len(), 1);
    assert_eq!(first.server.protocol_errors(), 0);
}

#[tokio::test]
async fn a_broken_stateless_answer_is_not_taken_up_again() {
    let server = FakeServer::start(|request| async move {
        assert_eq!(request.method, "POST");
        response(200, "text/event-stream", "id: 5\ndata: \n\n")
    })
    .await;
    let rig = Rig::new(config(server.url("/mcp")));
    let failure = rig.failure(modern_call("1", "slow")).await;
    failed(&failure, ErrorKind::UpstreamError, "ended without the response");
    assert_eq!(server.so_far().len(), 1);
}

#[tokio::test]
async fn what_a_server_says_of_one_request_reaches_no_other() {
    let token = Arc::new(std::sync::Mutex::new(String::new()));
    let server = McpServer::start(Answers::Events, false, {
        let token = Arc::clone(&token);
        move |request| {
            let progress = |token: &str| {
                Step::Send(format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
                ))
            };
            let mut token = token.lock().unwrap();
            if request.name().as_deref() == Some("victim") {
                *token = request.progress_token().unwrap().to_owned();
                return vec![progress(&token), Step::Hold, Step::Send(answer(request))];
            }
            vec![progress(&token), Step::Send(answer(request))]
        }
    })
    .await;
    let rig = many(config(server.url()));
    let call = modern_call("1", "victim");
    let text = std::str::from_utf8(call.bytes()).unwrap();
    let with_token = text.replace(r#""_meta":{"#, r#""_meta":{"progressToken":"t","#);
    let mut victim = rig.stream(message(&with_token)).await;
    assert_eq!(victim.next().await.unwrap().unwrap().progress_token(), Some(r#""t""#));
    let pieces = rig.pieces(modern_call("1", "thief")).await;
    assert_eq!(pieces.len(), 1, "the answer, and nothing of the victim's: {pieces:?}");
    assert_eq!(rig.server.protocol_errors(), 1);
    server.release(1);
    said(&victim.next().await.unwrap().unwrap(), "victim");
}
