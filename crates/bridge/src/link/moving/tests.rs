use protocol::Era;
use tokio::sync::watch;

use super::*;
use crate::fixture::{Client, INITIALIZE, OFFER, Server, error, message, result, rig};

const OPENED: &str = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"legacy","version":"1"}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}"#;

fn modern(method: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{"name":"t","_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

/// A server of one era at a time, which refuses messages of the other with that code.
fn changing(code: i32) -> (watch::Sender<Era>, Arc<Server>) {
    let (era, now) = watch::channel(Era::Legacy);
    let server = Server::new("http", move |message| match (*now.borrow(), message.method()) {
        (Era::Legacy, Some(Method::Initialize)) => result(&message, OPENED),
        (Era::Modern, Some(Method::ServerDiscover)) => result(&message, OFFER),
        (Era::Legacy, Some(Method::ServerDiscover)) => error(&message, -32601, None),
        (now, _) if message.kind() == Kind::Request && message.era() != now => {
            error(&message, code, None)
        }
        _ => result(&message, "{}"),
    });
    (era, server)
}

fn eras(server: &Server, method: Method) -> Vec<Era> {
    server.sent(method).iter().map(Message::era).collect()
}

async fn told(client: &mut Client) -> Method {
    client.inbox.recv().await.unwrap().method().unwrap()
}

#[tokio::test]
async fn a_session_goes_on_when_its_server_has_become_a_stateless_one() {
    let (era, server) = changing(-32022);
    let mut client = Client::open(&server).await;
    client.ask(LIST).await.unwrap();
    era.send_replace(Era::Modern);
    let failure = client.ask(LIST).await.map(drop).unwrap_err();
    assert!(failure.kind.retryable(), "{failure}");
    assert_eq!(client.ask(LIST).await.unwrap().kind(), Kind::Response);
    assert_eq!(eras(&server, Method::ToolsList), [Era::Legacy, Era::Legacy, Era::Modern]);
    server.wait_for(Method::SubscriptionsListen, 1).await;
    assert_eq!(told(&mut client).await, Method::ToolsListChanged);
    assert_eq!(told(&mut client).await, Method::ResourcesListChanged);
}

#[tokio::test]
async fn a_session_goes_on_when_its_server_has_sessions_again() {
    let (era, server) = changing(-32600);
    era.send_replace(Era::Modern);
    let mut client = Client::open(&server).await;
    let level =
        r#"{"jsonrpc":"2.0","id":8,"method":"logging/setLevel","params":{"level":"error"}}"#;
    client.ask(level).await.unwrap();
    assert!(server.sent(Method::SetLevel).is_empty());
    let before = server.sent(Method::Initialize).len();
    era.send_replace(Era::Legacy);
    // Refused unread, so that the call can be made again.
    assert_eq!(client.ask(CALL).await.unwrap().kind(), Kind::Response);
    assert_eq!(eras(&server, Method::ToolsCall), [Era::Modern, Era::Legacy]);
    let opened = server.sent(Method::Initialize);
    assert_eq!(opened.len(), before + 1);
    assert_eq!(opened.last().unwrap().bytes(), INITIALIZE);
    assert_eq!(server.sent(Method::Initialized).len(), 1);
    assert_eq!(server.sent(Method::SetLevel).len(), 1);
    assert_eq!(told(&mut client).await, Method::ToolsListChanged);
    assert_eq!(told(&mut client).await, Method::ResourcesListChanged);
    let handshake = client.connection.handshake().unwrap();
    assert_eq!(handshake.server_version.era(), Era::Legacy);
    // And back, and back again.
    for now in [Era::Modern, Era::Legacy] {
        era.send_replace(now);
        while client.ask(LIST).await.is_err() {}
        assert_eq!(eras(&server, Method::ToolsList).last(), Some(&now));
    }
}

#[tokio::test]
async fn a_call_that_the_server_may_have_made_is_not_made_again() {
    let (era, server) = changing(-32000);
    era.send_replace(Era::Modern);
    let client = Client::open(&server).await;
    era.send_replace(Era::Legacy);
    let failure = client.ask(CALL).await.map(drop).unwrap_err();
    assert!(failure.kind.retryable(), "{failure}");
    assert_eq!(eras(&server, Method::ToolsCall), [Era::Modern]);
    assert_eq!(client.ask(CALL).await.unwrap().kind(), Kind::Response);
    assert_eq!(eras(&server, Method::ToolsCall), [Era::Modern, Era::Legacy]);
}

#[tokio::test]
async fn a_server_that_opens_no_session_again_leaves_it_here() {
    let broken = watch::Sender::new(false);
    let now = broken.subscribe();
    let server = Server::stateless(move |message| match *now.borrow() {
        true => error(&message, -32600, None),
        false => result(&message, "{}"),
    });
    let client = Client::open(&server).await;
    broken.send_replace(true);
    // It says that it is still the stateless one that it was: the refusal stands.
    assert_eq!(client.ask(LIST).await.unwrap().error_code(), Some(-32600));

    let (era, server) = changing(-32600);
    era.send_replace(Era::Modern);
    let client = Client::open(&server).await;
    let refusing = Server::new("http", |message| error(&message, -32600, None));
    let moved = rig(&refusing, Party::Resumed(Box::new(client.connection.handshake().unwrap())));
    for _ in 0..2 {
        let failure = moved.2.ask(LIST).await.map(drop).unwrap_err();
        assert!(failure.kind.retryable(), "{failure}");
    }
    assert_eq!(refusing.sent(Method::Initialize).len(), 2);
}

#[tokio::test]
async fn stateless_clients_are_not_kept_from_a_server_that_has_become_stateless() {
    for code in [-32022, -32020, -32000, -32600] {
        let (era, server) = changing(code);
        let (_, _, client) = rig(&server, Party::Many);
        assert_eq!(client.ask(&modern("tools/list")).await.unwrap().kind(), Kind::Response);
        assert_eq!(eras(&server, Method::ToolsList), [Era::Legacy]);
        let mut stream = client.stream(&modern("subscriptions/listen")).await;
        futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap();
        era.send_replace(Era::Modern);
        let call = client.ask(&modern("tools/call")).await;
        match call {
            Ok(answer) => assert_eq!(answer.kind(), Kind::Response),
            Err(failure) => {
                assert!(code == -32000 && failure.kind.retryable(), "{code}: {failure}")
            }
        }
        assert_eq!(client.ask(&modern("tools/list")).await.unwrap().kind(), Kind::Response);
        assert_eq!(eras(&server, Method::ToolsList), [Era::Legacy, Era::Modern]);
        // Whoever listens has to do so there.
        let end = futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap();
        assert_eq!(end.result_type().as_deref(), Some("complete"));
    }
}

#[tokio::test]
async fn stateless_clients_reach_a_server_that_has_sessions_again() {
    let (era, server) = changing(-32000);
    era.send_replace(Era::Modern);
    let (_, _, client) = rig(&server, Party::Many);
    assert_eq!(client.ask(&modern("tools/call")).await.unwrap().kind(), Kind::Response);
    era.send_replace(Era::Legacy);
    let failure = client.ask(&modern("tools/call")).await.map(drop).unwrap_err();
    assert!(failure.kind.retryable(), "{failure}");
    assert_eq!(client.ask(&modern("tools/call")).await.unwrap().kind(), Kind::Response);
    assert_eq!(eras(&server, Method::ToolsCall), [Era::Modern, Era::Modern, Era::Legacy]);
}

#[tokio::test]
async fn what_may_be_sent_again_was_refused_unread_or_only_reads() {
    #[track_caller]
    fn check(request: &str, answer: Result<&str, Failure>, repeated: bool) {
        let answer = answer.map(|error| {
            Answer::Message(message(format!(
                r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":{error},"message":"no"}}}}"#
            )))
        });
        assert_eq!(may_be_repeated(&message(request.to_owned()), &answer), repeated);
    }
    let lost = Failure::new(ErrorKind::UpstreamError, "lost");
    check(CALL, Ok("-32022"), true);
    check(CALL, Ok("-32600"), true);
    check(CALL, Ok("-32000"), false);
    check(CALL, Err(lost.clone()), false);
    check(CALL, Err(lost.clone().unsent()), true);
    check(LIST, Ok("-32000"), true);
    check(LIST, Err(lost.clone()), true);
    check(r#"{"jsonrpc":"2.0","id":7,"method":"x/y"}"#, Err(lost), false);
}
