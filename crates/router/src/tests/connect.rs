//! A client that opens a session or a connection is decided before its first message is looked at.

use domain::{PolicyInput, Stage, Transport};

use super::fixture::*;
use super::stateless;
use crate::{Caller, Conversation};

/// Lets nobody in, or only records that it would not.
fn closed() -> Setup {
    let rules = |input: &PolicyInput<'_>| {
        if input.stage != Stage::Connect {
            return allow();
        }
        assert_eq!((input.method, input.id, input.size), ("", None, 0));
        assert!(input.session.id.is_none() && input.context.source_ip.is_some());
        deny("not from there")
    };
    Setup { examines: &[Stage::Connect], ..Setup::default().rules(rules) }
}

#[tokio::test]
async fn a_denied_client_gets_no_session() {
    let gateway = closed().start();
    let (status, answer) = read(gateway.post(INITIALIZE, None).await).await;
    assert_eq!(status, 200);
    assert!(answer.contains(r#""id":"init""#) && answer.contains("-31001"), "{answer}");
    assert!(answer.contains("not from there"), "{answer}");
    assert_eq!(gateway.row(), "connect deny held policy_denied");
    assert!(gateway.router.sessions().all().is_empty());
    assert!(gateway.server.state().sent.is_empty());
    assert!(gateway.server.state().inbox.is_none(), "nothing is connected for it");
}

#[tokio::test]
async fn a_denied_connection_is_told_by_a_status() {
    for transport in [Transport::Sse, Transport::WebSocket, Transport::Stdio] {
        let gateway = closed().start();
        let caller = Caller { transport, ..caller() };
        let refused = Conversation::open(&gateway.router, caller).await.err().unwrap();
        assert_eq!(refused.failure.to_string(), "policy_denied: not from there");
        let (status, answer) = read(refused.reply).await;
        assert_eq!(status, 403);
        assert!(answer.contains("not from there"), "{answer}");
        assert_eq!(gateway.row(), "connect deny held policy_denied");
        assert!(gateway.router.sessions().all().is_empty());
    }
}

#[tokio::test]
async fn a_client_without_a_session_comes_in_with_each_message() {
    let gateway = closed().start();
    let headers = stateless::headers("tools/call", Some("read_file"));
    let (_, answer) = read(gateway.ask(&stateless::call(), headers).await).await;
    assert!(answer.contains("-31001"), "{answer}");
    assert_eq!(gateway.row(), "connect deny held policy_denied");
    // What is no request is answered by nothing.
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let headers = stateless::headers("notifications/cancelled", None);
    assert_eq!(read(gateway.ask(note, headers).await).await, (202, String::new()));
    assert_eq!(gateway.row(), "connect deny held policy_denied");
}

#[tokio::test]
async fn in_audit_mode_it_comes_in_all_the_same() {
    let gateway = closed().audit().start();
    let reply = gateway.post(INITIALIZE, None).await;
    assert!(reply.session.is_some());
    drop(read(reply).await);
    assert_eq!(gateway.row(), "connect deny forwarded -");
    let sse = Caller { transport: Transport::Sse, ..caller() };
    assert!(Conversation::open(&gateway.router, sse).await.is_ok());
    assert_eq!(gateway.row(), "connect deny held -");
}

#[tokio::test]
async fn who_is_in_is_not_asked_again() {
    let setup = Setup { examines: &[Stage::Connect], ..Setup::default() };
    let gateway = setup.start();
    let reply = gateway.post(INITIALIZE, None).await;
    let token = reply.session.clone().unwrap();
    drop(read(reply).await);
    assert_eq!(gateway.row(), "request allow forwarded -");
    assert_eq!(gateway.policy.asked()[0], "connect  - #0");
    gateway.policy.asked().clear();
    gateway.post(CALL, Some(token.expose())).await;
    assert_eq!(*gateway.policy.asked(), ["request tools/call read_file #2"]);
    gateway.rows();

    let sse = Caller { transport: Transport::Sse, ..caller() };
    assert!(Conversation::open(&gateway.router, sse).await.is_ok());
    assert_eq!(gateway.row(), "connect allow held -", "there is no message that could say it");
}

#[tokio::test]
async fn without_a_rule_about_it_a_connection_leaves_no_row() {
    let gateway = Setup::default().start();
    let sse = Caller { transport: Transport::Sse, ..caller() };
    assert!(Conversation::open(&gateway.router, sse).await.is_ok());
    assert!(gateway.rows().is_empty() && gateway.policy.asked().is_empty());
}
