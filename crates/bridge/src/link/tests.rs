use bytes::Bytes;
use domain::Secret;
use protocol::{ParamHeader, encode, object};

use super::*;
use crate::fixture::{
    Client, INITIALIZE, OFFER, Scripted, Server, error, message, permit, result, rig, stream_of,
};

const INITIALIZED: &str = r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"legacy","version":"1"}}"#;

const LEGACY: &str = r#"{ "jsonrpc":"2.0", "id":7, "method":"tools/list" }"#;
const MODERN: &str = r#"{ "jsonrpc":"2.0", "id":7, "method":"tools/list", "params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// What a server does with `initialize` and with `server/discover`.
fn server(
    initialize: impl Fn(&Message) -> Scripted + Send + Sync + 'static,
    discover: impl Fn(&Message) -> Scripted + Send + Sync + 'static,
) -> Arc<Server> {
    Server::new("http", move |message| match message.method() {
        Some(Method::Initialize) => initialize(&message),
        Some(Method::ServerDiscover) => discover(&message),
        _ => result(&message, "{}"),
    })
}

fn accepts(text: &'static str) -> impl Fn(&Message) -> Scripted {
    move |message| result(message, text)
}

fn refuses(code: i32) -> impl Fn(&Message) -> Scripted {
    move |message| error(message, code, None)
}

#[tokio::test]
async fn who_shares_an_era_with_the_server_speaks_it_byte_for_byte() {
    let dual = server(accepts(INITIALIZED), accepts(OFFER));
    let client = Client::open(&dual).await;
    client.ask(LEGACY).await.unwrap();
    client.ask(MODERN).await.unwrap();
    let sent: Vec<Bytes> =
        dual.sent(Method::ToolsList).iter().map(|message| message.bytes().clone()).collect();
    assert_eq!(sent, [LEGACY, MODERN]);
    assert_eq!(dual.sent(Method::Initialize)[0].bytes(), INITIALIZE);
}

#[tokio::test]
async fn a_refusal_stands_where_the_server_is_not_stateless() {
    for code in [-32000, -32600, -32602] {
        let legacy = server(refuses(code), refuses(-32000));
        let (_, _, client) = rig(&legacy, Party::One);
        let answer = client.ask(INITIALIZE).await.unwrap();
        assert_eq!(answer.error_code(), Some(i64::from(code)));
        assert!(client.connection.handshake().is_none());
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_not_taken_for_another() {
    let gone = server(
        |_| Box::pin(async { Err(Failure::new(ErrorKind::UpstreamError, "gone").unsent()) }),
        accepts(OFFER),
    );
    let (_, _, client) = rig(&gone, Party::One);
    assert_eq!(client.ask(INITIALIZE).await.map(drop).unwrap_err().message, "gone");
    assert!(gone.sent(Method::ServerDiscover).is_empty());
}

#[tokio::test]
async fn a_stateless_server_is_not_asked_for_a_session_again_until_it_may_have_one() {
    let stateless = server(refuses(-32601), accepts(OFFER));
    let (bridge, _, client) = rig(&stateless, Party::One);
    assert_eq!(client.ask(INITIALIZE).await.unwrap().kind(), Kind::Response);
    assert_eq!(client.connection.version(), Some(ProtocolVersion::V2026_07_28));
    let next = Client::of(&bridge, Party::One);
    assert_eq!(next.ask(INITIALIZE).await.unwrap().kind(), Kind::Response);
    assert_eq!(stateless.sent(Method::Initialize).len(), 1);
}

#[tokio::test]
async fn a_server_that_claims_to_have_sessions_is_asked_each_time() {
    let both = r#"{"supportedVersions":["2025-11-25","2026-07-28"],"capabilities":{}}"#;
    let torn = server(refuses(-32000), accepts(both));
    let (bridge, _, client) = rig(&torn, Party::One);
    assert_eq!(client.ask(INITIALIZE).await.unwrap().kind(), Kind::Response);
    let next = Client::of(&bridge, Party::One);
    assert_eq!(next.ask(INITIALIZE).await.unwrap().kind(), Kind::Response);
    assert_eq!(torn.sent(Method::Initialize).len(), 2);
}

#[tokio::test]
async fn a_server_may_be_replaced_by_one_with_sessions() {
    let (upgrade, upgraded) = tokio::sync::watch::channel(false);
    let first = upgraded.clone();
    let changing = server(
        move |message| match *first.borrow() {
            false => error(message, -32601, None),
            true => result(message, INITIALIZED),
        },
        move |message| match *upgraded.borrow() {
            false => result(message, OFFER),
            true => error(message, -32600, None),
        },
    );
    let (bridge, _, client) = rig(&changing, Party::One);
    client.ask(INITIALIZE).await.unwrap();
    assert!(client.connection.handshake().is_some());
    upgrade.send_replace(true);
    let next = Client::of(&bridge, Party::One);
    let answer = next.ask(INITIALIZE).await.unwrap();
    let info = object::get(answer.result().unwrap(), "serverInfo").unwrap();
    assert!(info.contains("legacy"), "{info}");
}

#[tokio::test]
async fn a_stateless_request_that_is_not_understood_makes_the_server_be_asked_again() {
    let changed = Server::new("http", move |message| match message.method() {
        Some(Method::ServerDiscover) => result(&message, OFFER),
        _ => error(&message, -32000, None),
    });
    let (_, _, client) = rig(&changed, Party::Many);
    for count in 1..3 {
        assert_eq!(client.ask(MODERN).await.unwrap().error_code(), Some(-32000));
        assert_eq!(changed.sent(Method::ServerDiscover).len(), count + 1);
    }
}

fn handshake(server_version: ProtocolVersion) -> Party {
    Party::Resumed(Box::new(Handshake {
        initialize: INITIALIZE.into(),
        version: ProtocolVersion::V2025_06_18,
        server_session: Some(Secret::new("s".to_owned())),
        server_version,
    }))
}

#[tokio::test]
async fn a_resumed_session_goes_on_where_it_was() {
    let stateless = Server::stateless(|message| result(&message, "{}"));
    let (_, _, client) = rig(&stateless, handshake(ProtocolVersion::V2026_07_28));
    client.ask(LEGACY).await.unwrap();
    assert_eq!(stateless.sent(Method::ToolsList)[0].era(), Era::Modern);
    assert!(stateless.sent(Method::Initialize).is_empty());
    let kept = client.connection.handshake().unwrap();
    assert_eq!(kept.initialize, INITIALIZE);
    assert_eq!(kept.version, ProtocolVersion::V2025_06_18);
    // It listens again, though nobody says `notifications/initialized` again.
    stateless.wait_for(Method::SubscriptionsListen, 1).await;

    let legacy = server(refuses(-32600), refuses(-32600));
    let (_, _, client) = rig(&legacy, handshake(ProtocolVersion::V2025_06_18));
    client.ask(LEGACY).await.unwrap();
    assert_eq!(legacy.sent(Method::ToolsList)[0].bytes(), LEGACY);
    assert!(legacy.parties().iter().any(|party| matches!(party, Party::Resumed(_))));
}

#[tokio::test]
async fn a_server_with_sessions_may_use_any_error_code() {
    let legacy = Server::new("http", |message| match message.method() {
        Some(Method::Initialize) => result(&message, INITIALIZED),
        Some(Method::ServerDiscover) => result(&message, OFFER),
        _ => error(&message, -32021, None),
    });
    let client = Client::open(&legacy).await;
    for _ in 0..2 {
        assert_eq!(client.ask(LEGACY).await.unwrap().error_code(), Some(-32021));
    }
    assert!(legacy.sent(Method::ToolsList).iter().all(|list| list.era() == Era::Legacy));
}

#[tokio::test]
async fn headers_of_a_call_that_say_something_else_than_its_arguments_are_refused() {
    const TOOLS: &str = r#"{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}"#;
    const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","arguments":{"region":"eu"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let with = |headers: &[(&str, &str)]| {
        let header = |(name, value): &(&str, &str)| ParamHeader {
            name: (*name).into(),
            value: (*value).into(),
        };
        let headers: Vec<_> = headers.iter().map(header).collect();
        message(CALL).with_param_headers(headers.into())
    };
    for (era, streams) in [(Era::Modern, false), (Era::Modern, true), (Era::Legacy, false)] {
        let server = Server::new("http", move |message| match (message.method(), era) {
            (Some(Method::Initialize), Era::Legacy) => result(&message, INITIALIZED),
            (Some(Method::ServerDiscover), Era::Modern) => result(&message, OFFER),
            (Some(Method::Initialize | Method::ServerDiscover), _) => error(&message, -32601, None),
            (Some(Method::ToolsList), _) if streams => {
                let list = encode::result_reply(message.id().unwrap(), TOOLS);
                stream_of(vec![Message::parse(list).unwrap()])
            }
            (Some(Method::ToolsList), _) => result(&message, TOOLS),
            _ => result(&message, "{}"),
        });
        let (_, _, client) = rig(&server, Party::Many);
        let sent =
            async |message: Message| client.connection.send(permit(), message).await.map(drop);
        // Not known yet.
        assert!(sent(with(&[])).await.is_ok());
        match client.send(MODERN).await.unwrap() {
            Answer::Stream(mut list) => drop(list.next().await.unwrap().unwrap()),
            Answer::Message(_) | Answer::Accepted => {}
        }
        for headers in
            [&[][..], &[("mcp-param-region", "us")], &[("mcp-param-region", "=?base64?!?=")]]
        {
            let refused = sent(with(headers)).await.unwrap_err();
            assert_eq!((refused.kind, refused.unsent), (ErrorKind::HeaderMismatch, true));
        }
        assert!(sent(with(&[("mcp-param-region", "eu"), ("mcp-param-other", "x")])).await.is_ok());
        assert!(sent(with(&[("Mcp-Param-Region", "=?base64?ZXU=?=")])).await.is_ok());
    }
}
