//! One session at several replicas: an answer to the server counts at whichever it arrives.

use std::sync::Arc;

use bytes::Bytes;
use domain::{ErrorKind, Handshake, Secret, Stage};
use protocol::ProtocolVersion;
use session::Session;
use tempfile::TempDir;

use super::fixture::*;

const ASKING: &str = r#"{"jsonrpc":"2.0","id":"q-1","method":"roots/list"}"#;
const CANCEL: &str =
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q-1"}}"#;

/// What a replica takes a session over with; the server has a session of its own, or not.
fn handshake(server_session: Option<&str>) -> Handshake {
    Handshake {
        initialize: Bytes::from_static(INITIALIZE.as_bytes()),
        version: ProtocolVersion::V2025_06_18,
        server_session: server_session.map(|id| Secret::new(id.to_owned())),
        server_version: ProtocolVersion::V2025_06_18,
    }
}

fn replica(keys: &TempDir, setup: Setup) -> Gateway {
    let gateway = Setup { key_file: Some(keys.path().join("keys")), ..setup }.start();
    gateway.server.state().handshake = Some(handshake(Some("server-1")));
    gateway
}

/// The id under which the client is asked, raw JSON.
fn shown_id(body: &str) -> String {
    message(body).id().expect("an id").to_owned()
}

fn queued(session: &Arc<Session>) -> Vec<String> {
    let mut stream = session.attach().unwrap();
    std::iter::from_fn(|| stream.try_next()).map(|body| text(&body)).collect()
}

/// Has the server ask something; gives the client's answer.
async fn asked(gateway: &Gateway, session: &Arc<Session>) -> String {
    gateway.server.deliver(ASKING).await;
    gateway.log.take();
    gateway.policy.asked().clear();
    let id = shown_id(&queued(session)[0]);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[]}}}}"#)
}

const UP: &str = "response allow forwarded -";
const HELD: &str = "request error held invalid_request";

#[tokio::test]
async fn an_answer_goes_up_wherever_it_arrives() {
    let keys = tempfile::tempdir().unwrap();
    let [one, two] = [(); 2].map(|()| replica(&keys, Setup::default()));
    let session = one.session().await;
    let answer = asked(&one, &session).await;

    assert_eq!(two.say(&session, &answer).await, (202, String::new()));
    assert_eq!(two.row(), UP);
    let sent = r#"{"jsonrpc":"2.0","id":"q-1","result":{"roots":[]}}"#;
    assert_eq!(two.server.state().sent, [sent]);
    assert_eq!(*two.policy.asked(), ["response roots/list - #0"]);
    // Where it was asked nothing is known of that; there it counts once.
    for row in [UP, HELD, HELD] {
        assert_eq!(one.say(&session, &answer).await, (202, String::new()));
        assert_eq!(one.row(), row);
    }
    assert_eq!(one.server.state().sent, [sent]);
}

#[tokio::test]
async fn an_answer_counts_for_its_session_alone() {
    let keys = tempfile::tempdir().unwrap();
    let [one, two] = [(); 2].map(|()| replica(&keys, Setup::default()));
    let (session, other) = (one.session().await, one.session().await);
    one.server.deliver(ASKING).await;
    one.log.take();
    let id = shown_id(&queued(&other)[0]);
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    for gateway in [&one, &two] {
        assert_eq!(gateway.say(&session, &answer).await, (202, String::new()));
        assert_eq!(gateway.row(), HELD);
        assert!(gateway.server.state().sent.is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_is_denied_elsewhere_is_refused_to_the_server() {
    let keys = tempfile::tempdir().unwrap();
    let one = replica(&keys, Setup::default());
    let denying = Setup::default().rules(|input| match (input.stage, input.method) {
        (Stage::Response, "roots/list") => deny("not this"),
        _ => allow(),
    });
    let two = replica(&keys, denying);
    let session = one.session().await;
    let answer = asked(&one, &session).await;
    assert_eq!(two.say(&session, &answer).await, (202, String::new()));
    assert_eq!(two.row(), "response deny held policy_denied");
    let refused = (r#""q-1""#.to_owned(), ErrorKind::PolicyDenied);
    assert_eq!(two.server.state().refused, [refused]);
    assert!(two.server.state().sent.is_empty());
}

#[tokio::test]
async fn the_server_cancels_under_the_id_that_the_client_was_told() {
    let keys = tempfile::tempdir().unwrap();
    let one = replica(&keys, Setup::default());
    let session = one.session().await;
    one.server.deliver(ASKING).await;
    one.server.deliver(CANCEL).await;
    one.log.take();
    let messages = queued(&session);
    let id = shown_id(&messages[0]);
    assert_eq!(messages[1], CANCEL.replace(r#""q-1""#, &id));
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    assert_eq!(one.say(&session, &answer).await, (202, String::new()));
    assert_eq!(one.row(), HELD, "it waits no more");
}

/// The id under which the client is asked when nobody else could use the answer.
async fn check(setup: Setup, handshake: Option<Handshake>) {
    let gateway = setup.start();
    gateway.server.state().handshake = handshake;
    let session = gateway.session().await;
    gateway.server.deliver(ASKING).await;
    assert_eq!(queued(&session), [ASKING.replace(r#""q-1""#, "1")]);
}

#[tokio::test]
async fn what_nobody_else_could_use_has_a_number() {
    let keys = tempfile::tempdir().unwrap();
    let durable = || Setup { key_file: Some(keys.path().join("keys")), ..Setup::default() };
    check(Setup::default(), Some(handshake(Some("server-1")))).await;
    check(durable(), None).await;
    check(durable(), Some(handshake(None))).await;
}
