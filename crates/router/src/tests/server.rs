//! What the server sends on its own account, and the client's answers.

use std::sync::Arc;

use domain::{ErrorKind, Stage};
use futures_util::FutureExt;
use session::Session;

use super::fixture::*;

const ASKING: &str =
    r#"{"jsonrpc":"2.0","id":"s-1","method":"sampling/createMessage","params":{"x":1.0}}"#;
const ASKED: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"x":1.0}}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":"hello"}}"#;
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
const CANCEL: &str =
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"s-1"}}"#;

const DOWN: &str = "server_request allow forwarded -";

/// The messages that wait for the client's stream.
fn queued(session: &Arc<Session>) -> Vec<String> {
    let mut stream = session.attach().unwrap();
    std::iter::from_fn(|| stream.try_next()).map(|body| text(&body)).collect()
}

fn refused(gateway: &Gateway) -> Vec<(String, ErrorKind)> {
    gateway.server.state().refused.clone()
}

#[tokio::test]
async fn a_request_of_the_server_is_answered_under_its_own_id() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    gateway.server.deliver(ASKING).await;
    assert_eq!(gateway.row(), DOWN);
    assert_eq!(queued(&session), [ASKED]);

    assert_eq!(gateway.say(&session, ANSWER).await, (202, String::new()));
    assert_eq!(gateway.row(), "response allow forwarded -");
    let answer = r#"{"jsonrpc":"2.0","id":"s-1","result":{"content":"hello"}}"#;
    assert_eq!(gateway.server.state().sent, [answer]);
    let asked =
        ["server_request sampling/createMessage - #1", "response sampling/createMessage - #1"];
    assert_eq!(*gateway.policy.asked(), asked);
}

#[tokio::test]
async fn a_notification_of_the_server_passes_as_it_is() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    gateway.server.deliver(CHANGED).await;
    assert_eq!(gateway.row(), DOWN);
    assert_eq!(queued(&session), [CHANGED]);
}

#[tokio::test]
async fn an_answer_that_fits_nothing_goes_nowhere() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    let check = async |body: &str| {
        assert_eq!(gateway.say(&session, body).await, (202, String::new()), "{body}");
        assert_eq!(gateway.row(), "request error held invalid_request", "{body}");
    };
    check(ANSWER).await;
    gateway.server.deliver(ASKING).await;
    gateway.log.take();
    check(r#"{"jsonrpc":"2.0","id":"1","result":{}}"#).await;
    check(r#"{"jsonrpc":"2.0","id":"s-1","result":{}}"#).await;
    check(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#).await;
    check(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#).await;
    assert!(gateway.server.state().sent.is_empty());
    // Another session's answers do not fit either.
    let other = gateway.session().await;
    gateway.say(&other, ANSWER).await;
    assert_eq!(gateway.row(), "request error held invalid_request");
    // An answer fits once.
    gateway.say(&session, ANSWER).await;
    assert_eq!(gateway.row(), "response allow forwarded -");
    check(ANSWER).await;
}

fn forbidding(stage: Stage) -> Setup {
    Setup::default()
        .rules(move |input| if input.stage == stage { deny("not this") } else { allow() })
}

#[tokio::test]
async fn what_is_denied_on_the_way_down_is_refused_to_the_server() {
    let gateway = forbidding(Stage::ServerRequest).start();
    let session = gateway.session().await;
    for body in [ASKING, CHANGED] {
        gateway.server.deliver(body).await;
        assert_eq!(gateway.row(), "server_request deny held policy_denied");
    }
    assert_eq!(refused(&gateway), [(r#""s-1""#.to_owned(), ErrorKind::PolicyDenied)]);
    assert!(queued(&session).is_empty());

    let gateway = forbidding(Stage::ServerRequest).audit().start();
    let session = gateway.session().await;
    gateway.server.deliver(ASKING).await;
    assert_eq!(gateway.row(), "server_request deny forwarded -");
    assert_eq!(queued(&session), [ASKED]);
}

#[tokio::test]
async fn a_denied_answer_is_refused_to_the_server() {
    let gateway = forbidding(Stage::Response).start();
    let session = gateway.session().await;
    gateway.server.deliver(ASKING).await;
    gateway.log.take();
    assert_eq!(gateway.say(&session, ANSWER).await, (202, String::new()));
    let events = gateway.log.take();
    assert_eq!(short(events.first().unwrap()), "response deny held policy_denied");
    assert_eq!(events.first().unwrap().response_bytes, 0);
    assert_eq!(refused(&gateway), [(r#""s-1""#.to_owned(), ErrorKind::PolicyDenied)]);
    assert!(gateway.server.state().sent.is_empty());

    let gateway = forbidding(Stage::Response).audit().start();
    let session = gateway.session().await;
    gateway.server.deliver(ASKING).await;
    gateway.log.take();
    gateway.say(&session, ANSWER).await;
    assert_eq!(gateway.row(), "response deny forwarded -");
    assert_eq!(gateway.server.state().sent.len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_arrive_is_recorded() {
    let setup = Setup::default().server(|_, _| failing(ErrorKind::UpstreamError));
    let gateway = setup.start();
    let session = gateway.session().await;
    gateway.server.deliver(ASKING).await;
    gateway.log.take();
    assert_eq!(gateway.say(&session, ANSWER).await, (202, String::new()));
    assert_eq!(gateway.row(), "response allow forwarded upstream_error");
}

#[tokio::test]
async fn the_server_cancels_under_the_id_that_the_client_knows() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    gateway.server.deliver(ASKING).await;
    gateway.server.deliver(CANCEL).await;
    assert_eq!(gateway.rows(), [DOWN, DOWN]);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(queued(&session), [ASKED, cancel]);
    gateway.say(&session, ANSWER).await;
    assert_eq!(gateway.row(), "request error held invalid_request", "it waits no more");
}

#[tokio::test]
async fn a_cancellation_of_nothing_does_not_hit_the_clients_own_ids() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    gateway.server.deliver(ASKING).await;
    gateway.log.take();
    let foreign = CANCEL.replace(r#""s-1""#, "1");
    gateway.server.deliver(&foreign).await;
    assert_eq!(gateway.row(), "server_request allow held invalid_request");
    assert_eq!(queued(&session), [ASKED]);
    gateway.say(&session, ANSWER).await;
    assert_eq!(gateway.row(), "response allow forwarded -");
}

#[tokio::test]
async fn requests_that_nobody_answers_are_bounded() {
    let gateway = Setup { queue_size: 2, ..Setup::default() }.start();
    let session = gateway.session().await;
    let mut stream = session.attach().unwrap();
    for number in 1..=2 {
        gateway.server.deliver(&ASKING.replace("s-1", &format!("s-{number}"))).await;
        assert_eq!(gateway.row(), DOWN);
    }
    gateway.server.deliver(&ASKING.replace("s-1", "s-3")).await;
    assert_eq!(gateway.row(), "server_request allow held overloaded");
    assert_eq!(refused(&gateway), [(r#""s-3""#.to_owned(), ErrorKind::Overloaded)]);
    // An answer makes room.
    stream.next().await.unwrap();
    gateway.say(&session, ANSWER).await;
    assert_eq!(gateway.row(), "response allow forwarded -");
    gateway.server.deliver(&ASKING.replace("s-1", "s-4")).await;
    assert_eq!(gateway.row(), DOWN);
}

#[tokio::test]
async fn messages_that_nobody_takes_are_dropped_and_recorded() {
    let gateway = Setup { queue_size: 1, ..Setup::default() }.start();
    let session = gateway.session().await;
    gateway.server.deliver(CHANGED).await;
    assert_eq!(gateway.row(), DOWN);
    for _ in 0..3 {
        gateway.server.deliver(CHANGED).await;
        assert_eq!(gateway.row(), "server_request allow held overloaded");
        // It takes no place among those that wait for an answer.
        gateway.server.deliver(ASKING).await;
        assert_eq!(gateway.row(), "server_request allow held overloaded");
    }
    assert_eq!(refused(&gateway).len(), 3);
    assert_eq!(queued(&session), [CHANGED]);
    gateway.server.deliver(ASKING).await;
    assert_eq!(gateway.row(), DOWN);
}

#[tokio::test]
async fn a_slow_client_holds_the_server_back() {
    let gateway = Setup { queue_size: 1, ..Setup::default() }.start();
    let session = gateway.session().await;
    let mut stream = session.attach().unwrap();
    gateway.server.deliver(CHANGED).await;
    let mut second = Box::pin(gateway.server.deliver(CHANGED));
    assert!((&mut second).now_or_never().is_none());
    stream.next().await.unwrap();
    second.await;
    assert_eq!(gateway.rows(), [DOWN, DOWN]);
    // Giving up while it waits is recorded too.
    assert!(gateway.server.deliver(CHANGED).now_or_never().is_none());
    assert_eq!(gateway.row(), "server_request allow held abandoned");
}

#[tokio::test]
async fn without_room_in_the_log_nothing_passes_down() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    gateway.log.state().room = Room::Full;
    gateway.server.deliver(ASKING).await;
    gateway.server.deliver(CHANGED).await;
    gateway.settled();
    assert_eq!(refused(&gateway), [(r#""s-1""#.to_owned(), ErrorKind::AuditUnavailable)]);
    assert!(queued(&session).is_empty());
}

#[tokio::test]
async fn the_inbox_of_an_ended_session_takes_nothing() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    gateway.router.close(&session).await;
    drop(session);
    gateway.server.deliver(CHANGED).await;
    assert!(gateway.rows().is_empty());
}
