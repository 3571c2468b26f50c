//! What becomes of one message: the reply, what the server saw, the row, and the counts.

use std::future::ready;
use std::panic::AssertUnwindSafe;

use domain::{Answer, ErrorKind, Failure, Stage};
use futures_util::FutureExt;

use super::fixture::*;
use crate::Ticket;

/// Says `body` on a session and compares status, a part of the reply, and the row.
async fn check(setup: Setup, body: &str, status: u16, part: &str, row: &str) -> Gateway {
    let gateway = setup.start();
    let session = gateway.session().await;
    let (got, reply) = gateway.say(&session, body).await;
    assert_eq!(got, status, "{row}: {reply}");
    assert!(reply.contains(part), "{row}: {reply}");
    assert!(!reply.contains("10.0.0.7") && !reply.contains("secret"), "{row}: {reply}");
    assert_eq!(gateway.row(), row);
    // Whatever became of it, the session serves on.
    let (status, _) = gateway.say(&session, r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await;
    assert_eq!(status, 200, "{row}");
    gateway.log.take();
    gateway
}

fn deny_calls() -> Setup {
    Setup::default().rules(|input| match input.method {
        "tools/call" | "notifications/roots/list_changed" => deny("no files today"),
        _ => allow(),
    })
}

fn break_on_calls() -> Setup {
    Setup::default().rules(|input| if input.tool.is_some() { failed() } else { allow() })
}

fn calls_fail(kind: ErrorKind) -> Setup {
    Setup::default().server(move |message, _| match message.name() {
        Some(_) => failing(kind),
        None => obliging(&message),
    })
}

const ID: &str = r#""id":9007199254740993,"#;
const ROOTS_CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;

#[tokio::test]
async fn a_request_is_answered_under_its_own_id_to_the_digit() {
    let answer = r#"{"jsonrpc":"2.0","id":9007199254740993,"result":{}}"#;
    let row = "request allow forwarded -";
    let gateway = check(Setup::default(), CALL, 200, answer, row).await;
    assert_eq!(gateway.server.state().sent.first().unwrap(), CALL, "byte for byte");
}

#[tokio::test]
async fn a_denied_message_reaches_nobody() {
    let row = "request deny held policy_denied";
    let gateway = check(deny_calls(), CALL, 200, ID, row).await;
    check(deny_calls(), CALL, 200, r#""code":-31001,"message":"no files today""#, row).await;
    check(deny_calls(), CALL, 200, r#""matched_rule":"data.mcp.policy.deny""#, row).await;
    check(deny_calls(), CALL, 200, r#""policy_mode":"enforce""#, row).await;
    assert_eq!(gateway.server.state().sent.len(), 1, "the ping alone");
    check(deny_calls(), ROOTS_CHANGED, 202, "", row).await;
}

#[tokio::test]
async fn audit_mode_forwards_what_it_would_have_denied() {
    let row = "request deny forwarded -";
    let gateway = check(deny_calls().audit(), CALL, 200, r#""result":{}"#, row).await;
    assert_eq!(gateway.server.state().sent.first().unwrap(), CALL);
    check(deny_calls().audit(), ROOTS_CHANGED, 202, "", row).await;
    check(break_on_calls().audit(), CALL, 200, r#""result":{}"#, "request error forwarded -").await;
    // A denial stands, whatever is said of the answer.
    check(deny_calls().audit().examining(), CALL, 200, r#""result":{}"#, row).await;
    let broken = Setup::default().rules(|input| {
        if input.stage == Stage::Request && input.tool.is_some() { failed() } else { allow() }
    });
    check(broken.audit().examining(), CALL, 200, "", "request error forwarded -").await;
}

#[tokio::test]
async fn doubt_is_denial() {
    let row = "request error held policy_error";
    check(break_on_calls(), CALL, 200, "the policy could not be evaluated", row).await;
    check(break_on_calls(), CALL, 200, r#""code":-31001"#, row).await;
    let panicking = || {
        Setup::default().rules(|input| match input.tool {
            Some(_) => panic!("a defect of the policy"),
            None => allow(),
        })
    };
    let gateway = check(panicking(), CALL, 200, "the policy could not be evaluated", row).await;
    assert_eq!(gateway.server.state().sent.len(), 1, "the ping alone");
    check(panicking().audit(), CALL, 200, r#""result":{}"#, "request error forwarded -").await;
}

#[tokio::test]
async fn notifications_and_failures_have_a_row_too() {
    let allowed = "request allow forwarded -";
    check(Setup::default(), ROOTS_CHANGED, 202, "", allowed).await;
    let failed = "request allow forwarded upstream_error";
    check(calls_fail(ErrorKind::UpstreamError), CALL, 200, r#""code":-31004"#, failed).await;
    check(calls_fail(ErrorKind::UpstreamError), CALL, 200, ID, failed).await;
    let late = "request allow forwarded upstream_timeout";
    check(calls_fail(ErrorKind::UpstreamTimeout), CALL, 200, r#""code":-31005"#, late).await;
    let unheard = Setup::default().server(|message, _| match message.id() {
        Some(_) => obliging(&message),
        None => failing(ErrorKind::UpstreamError),
    });
    check(unheard, ROOTS_CHANGED, 202, "", failed).await;
}

#[tokio::test]
async fn what_never_left_is_not_forwarded() {
    let held = |kind| {
        Setup::default().server(move |message, _| match message.name() {
            Some(_) => Box::pin(ready(Err(Failure::new(kind, "it failed").unsent()))),
            None => obliging(&message),
        })
    };
    let errors = r#"mcp_proxy_upstream_requests_total{server="files",status="error"}"#;
    let reused = "request allow held invalid_request";
    check(held(ErrorKind::InvalidRequest), CALL, 400, ID, reused).await;
    let full = "request allow held overloaded";
    let retry = r#""retryable":true"#;
    let gateway = check(held(ErrorKind::Overloaded), CALL, 503, retry, full).await;
    assert_eq!(gateway.metric(errors), 0, "the server has no part in it");
    let down = "request allow held upstream_error";
    let gateway = check(held(ErrorKind::UpstreamError), CALL, 200, ID, down).await;
    assert_eq!(gateway.metric(errors), 1, "the server is to blame");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_a_failure_of_the_server() {
    let odd = |body: &'static str| {
        Setup::default().server(move |sent, _| match sent.name() {
            Some(_) => now(Answer::Message(message(body))),
            None => obliging(&sent),
        })
    };
    let row = "request allow forwarded upstream_error";
    let null = r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#;
    check(odd(null), CALL, 200, ID, row).await;
    check(odd(CALL), CALL, 200, ID, row).await;
    check(odd(INITIALIZED), CALL, 200, ID, row).await;
    let silent = Setup::default().server(|message, _| match message.name() {
        Some(_) => now(Answer::Accepted),
        None => obliging(&message),
    });
    check(silent, CALL, 200, ID, row).await;
    let chatty = Setup::default().server(|message, _| match message.id() {
        Some(_) => obliging(&message),
        None => now(Answer::Message(response("{}"))),
    });
    check(chatty, ROOTS_CHANGED, 202, "", row).await;
    // An error of the server is an answer like any other.
    let error = r#"{"jsonrpc":"2.0", "id":77, "error":{"code":-32601,"message":"m"}}"#;
    let answer =
        r#"{"jsonrpc":"2.0", "id":9007199254740993, "error":{"code":-32601,"message":"m"}}"#;
    check(odd(error), CALL, 200, answer, "request allow forwarded -").await;
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_and_recorded() {
    let read = |body: &'static str, status, part: &'static str, kind: &'static str| async move {
        let row = format!("request error held {kind}");
        let gateway = check(Setup::default(), body, status, part, &row).await;
        assert_eq!(gateway.server.state().sent.len(), 1, "the ping alone");
    };
    read("{", 400, r#""id":null,"error":{"code":-32700"#, "parse_error").await;
    read("[]", 400, r#""id":null,"error":{"code":-32600"#, "invalid_request").await;
    read(r#"{"jsonrpc":"1.0","id":5,"method":"x"}"#, 400, r#""id":5"#, "invalid_request").await;
    let unnamed = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{}}"#;
    read(unnamed, 200, r#""id":5,"error":{"code":-32602"#, "invalid_params").await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":[]}"#;
    read(note, 400, r#""id":null"#, "invalid_params").await;
}

#[tokio::test]
async fn what_belongs_to_no_session_is_answered_and_recorded() {
    let gateway = Setup::default().start();
    let stream = caller_of_streams(&gateway).await;
    let foreign = stream.token().expose().to_owned();
    let ended = gateway.session().await;
    gateway.router.close(&ended).await;
    let check = async |token: Option<&str>, body: &str, status: u16, row: &str| {
        let (got, reply) = read(gateway.post(body, token).await).await;
        assert_eq!(got, status, "{reply}");
        assert!(reply.contains(r#""error""#), "{reply}");
        assert_eq!(gateway.row(), row);
    };
    check(None, CALL, 400, "request error held bad_transport").await;
    check(None, INITIALIZED, 400, "request error held bad_transport").await;
    let unknown = "request error held session_not_found";
    check(Some("guessed"), CALL, 404, unknown).await;
    check(Some("guessed"), INITIALIZE, 404, unknown).await;
    check(Some(ended.token().expose()), CALL, 404, unknown).await;
    check(Some(&foreign), CALL, 404, unknown).await;
    assert!(gateway.server.state().sent.is_empty());

    gateway.router.close(&stream).await;
    let over = gateway.receive(CALL, Ticket::Session(stream)).await;
    assert_eq!(over.err().unwrap().status, 404);
    assert_eq!(gateway.row(), unknown);
}

async fn caller_of_streams(gateway: &Gateway) -> std::sync::Arc<session::Session> {
    let caller = crate::Caller { transport: domain::Transport::Sse, ..caller() };
    gateway.router.open(&caller).await.ok().unwrap()
}

#[tokio::test]
async fn a_full_log_holds_everything_back() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    gateway.log.state().room = Room::Full;
    let failed = r#"mcp_proxy_requests_total{method="other",status="error"}"#;
    let check = async |body: &str, part: &str| {
        let before = gateway.metric(failed);
        let (status, reply) = gateway.say(&session, body).await;
        assert_eq!(status, 503);
        assert!(reply.contains(part) && reply.contains("-31008"), "{reply}");
        assert!(!reply.contains("disk"), "{reply}");
        assert_eq!(gateway.metric(failed), before + 1);
        gateway.settled();
    };
    check(CALL, ID).await;
    check(INITIALIZED, r#""id":null"#).await;
    check(r#"{"jsonrpc":"1.0","id":"x"}"#, r#""id":"x""#).await;
    check("{", r#""id":null"#).await;
    let reply = gateway.router.refuse(&caller(), forbidden(), Some(405), 3).await;
    assert_eq!(reply.status, 503);
    assert!(gateway.server.state().sent.is_empty());
    assert!(gateway.policy.asked().is_empty());
    assert!(gateway.log.take().is_empty());
    assert_eq!(gateway.router.sessions().len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_a_row_and_nothing_else() {
    let never = Setup::default().server(|message, _| match message.name() {
        Some(_) => Box::pin(std::future::pending()),
        None => obliging(&message),
    });
    let gateway = never.start();
    let session = gateway.session().await;
    let token = Some(session.token().expose());

    assert!(gateway.say(&session, CALL).now_or_never().is_none());
    assert_eq!(gateway.row(), "request allow forwarded abandoned");

    // Between the two halves of the path.
    let ticket = with_token(token);
    drop(gateway.receive(CALL, ticket).await);
    assert_eq!(gateway.row(), "request error held abandoned");

    // While there is no room in the log: no row can be, but the message is counted.
    gateway.log.state().room = Room::Pending;
    assert!(gateway.say(&session, CALL).now_or_never().is_none());
    gateway.settled();
    let failed = r#"mcp_proxy_requests_total{method="other",status="error"}"#;
    assert_eq!(gateway.metric(failed), 1);
}

#[tokio::test]
async fn a_panic_is_recorded() {
    let setup = Setup::default().server(|message, _| match message.name() {
        Some(_) => Box::pin(async { panic!("a defect of the upstream side") }),
        None => obliging(&message),
    });
    let gateway = setup.start();
    let session = gateway.session().await;
    let panicked = AssertUnwindSafe(gateway.say(&session, CALL)).catch_unwind().await;
    assert!(panicked.is_err());
    assert_eq!(gateway.row(), "request allow forwarded internal");
}

fn forbidden() -> domain::Failure {
    domain::Failure::new(ErrorKind::Forbidden, "the origin is not allowed").detail("secret")
}

#[tokio::test]
async fn what_a_transport_refuses_is_recorded_and_answered() {
    let gateway = Setup::default().start();
    let check = async |failure: domain::Failure, exact: Option<u16>, status: u16, row: &str| {
        let (got, reply) = read(gateway.router.refuse(&caller(), failure, exact, 3).await).await;
        assert_eq!(got, status);
        assert!(reply.contains(r#""id":null"#) && !reply.contains("secret"), "{reply}");
        assert_eq!(gateway.row(), row);
    };
    check(forbidden(), None, 403, "request error held forbidden").await;
    check(forbidden(), Some(405), 405, "request error held forbidden").await;
    let params = domain::Failure::new(ErrorKind::InvalidParams, "the header is not the body's");
    check(params, None, 200, "request error held invalid_params").await;
}

#[tokio::test]
async fn an_answer_can_be_denied_too() {
    let setup = || {
        Setup::default().examining().rules(|input| match input.result {
            Some(result) if result.contains("password") => deny("no passwords"),
            _ => allow(),
        })
    };
    let leaky = |setup: Setup| {
        setup.server(|message, _| match message.name() {
            Some(_) => now(Answer::Message(response(r#"{"password":"x"}"#))),
            None => obliging(&message),
        })
    };
    let row = "response deny forwarded policy_denied";
    check(leaky(setup()), CALL, 200, r#""message":"no passwords""#, row).await;
    let row = "response deny forwarded -";
    check(leaky(setup().audit()), CALL, 200, r#""result":{"password":"x"}"#, row).await;
    let gateway = check(setup(), CALL, 200, r#""result":{}"#, "response allow forwarded -").await;
    let asked = gateway.policy.asked().clone();
    let expected = ["request tools/call read_file #2", "response tools/call read_file #2"];
    assert_eq!(asked.get(..2).unwrap(), expected);
}
