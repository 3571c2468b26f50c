//! Notifications and subscriptions.

use super::*;

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

fn acknowledged() -> Message {
    message(
        r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
    )
}

fn changed() -> Message {
    message(
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
    )
}

fn updated(uri: &str) -> Message {
    message(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"{uri}","_meta":{{"io.modelcontextprotocol/subscriptionId":1,"x":2}}}}}}"#
    ))
}

/// A server whose every stream of notifications begins like that.
fn announcing(messages: Vec<Message>) -> Arc<Server> {
    Server::stateless(move |message| match message.method() {
        Some(Method::SubscriptionsListen) => stream_of(messages.clone()),
        _ => result(&message, "{}"),
    })
}

fn subscribe(verb: &str, uri: &str) -> String {
    request(1, &format!("resources/{verb}"), &format!(r#"{{"uri":"{uri}"}}"#))
}

#[tokio::test]
async fn notifications_reach_the_client_as_it_knows_them() {
    let server = announcing(vec![acknowledged(), changed(), updated("a:b")]);
    let mut client = Client::open(&server).await;
    assert!(matches!(client.send(INITIALIZED).await, Ok(Answer::Accepted)));
    let listen = server.wait_for(Method::SubscriptionsListen, 1).await;
    assert_eq!(listen[0].notifications(), Some(r#"{"toolsListChanged":true}"#));
    let told = client.inbox.recv().await.unwrap();
    assert_eq!(
        told.bytes(),
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}"#
    );
    let told = client.inbox.recv().await.unwrap();
    assert_eq!(told.params(), Some(r#"{"uri":"a:b","_meta":{"x":2}}"#));
}

#[tokio::test]
async fn subscriptions_are_one_stream_that_is_opened_anew() {
    let server = announcing(vec![acknowledged()]);
    let client = Client::open(&server).await;
    client.ask(&subscribe("subscribe", "a:1")).await.unwrap();
    client.ask(&subscribe("subscribe", "a:2")).await.unwrap();
    // The same once more changes nothing.
    client.ask(&subscribe("subscribe", "a:2")).await.unwrap();
    client.ask(&subscribe("unsubscribe", "a:1")).await.unwrap();
    let listens = server.wait_for(Method::SubscriptionsListen, 3).await;
    let filters: Vec<_> = listens.iter().map(|listen| listen.notifications().unwrap()).collect();
    assert_eq!(
        filters,
        [
            r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}"#,
            r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1","a:2"]}"#,
            r#"{"toolsListChanged":true,"resourceSubscriptions":["a:2"]}"#,
        ]
    );
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_is_refused() {
    let server = Server::stateless(|message| error(&message, -32603, None));
    let client = Client::open(&server).await;
    for _ in 0..2 {
        let failure = client.ask(&subscribe("subscribe", "a:1")).await.map(drop).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::UpstreamError);
    }
}

#[tokio::test]
async fn a_server_without_subscriptions_has_no_such_method() {
    let server = Server::new("http", |message| match message.method() {
        Some(Method::Initialize) => error(&message, -32601, None),
        Some(Method::ServerDiscover) => result(&message, r#"{"capabilities":{}}"#),
        _ => result(&message, "{}"),
    });
    let client = Client::open(&server).await;
    let failure = client.ask(&subscribe("subscribe", "a:1")).await.map(drop).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::MethodNotFound);
    // Nor has it anything to listen for.
    assert!(matches!(client.send(INITIALIZED).await, Ok(Answer::Accepted)));
    assert!(server.sent(Method::SubscriptionsListen).is_empty());
}

#[tokio::test]
async fn subscriptions_of_a_session_are_bounded() {
    let listener = Listener::default();
    for count in 0..1_000_u64 {
        assert_eq!(listener.change(&format!("a:{count}"), true), Ok(Some(count + 1)));
    }
    assert_eq!(listener.change("a:x", true).unwrap_err().kind, ErrorKind::Overloaded);
    assert_eq!(listener.change("a:7", true), Ok(None));
    assert_eq!(listener.change("a:7", false), Ok(Some(1_001)));
    assert_eq!(listener.change("a:x", true), Ok(Some(1_002)));
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_opened_again_and_the_client_looks_again() {
    let opened = AtomicU64::new(0);
    let server = Server::stateless(move |message| match message.method() {
        Some(Method::SubscriptionsListen) if opened.fetch_add(1, Ordering::Relaxed) == 0 => {
            Box::pin(async {
                let broken = Failure::new(ErrorKind::UpstreamError, "broke");
                let pieces = futures_util::stream::iter([Ok(acknowledged()), Err(broken)]);
                Ok(Answer::Stream(Box::pin(pieces)))
            })
        }
        Some(Method::SubscriptionsListen) => stream_of(vec![acknowledged()]),
        _ => result(&message, "{}"),
    });
    let mut client = Client::open(&server).await;
    client.send(INITIALIZED).await.map(drop).unwrap();
    let told = client.inbox.recv().await.unwrap();
    assert_eq!(told.method(), Some(Method::ToolsListChanged));
    assert_eq!(server.sent(Method::SubscriptionsListen).len(), 2);
}
