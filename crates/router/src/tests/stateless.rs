//! Messages of 2026-07-28: no session, an envelope in each, headers that repeat it.

use std::sync::Arc;

use domain::{Answer, ErrorKind, Failure, Stage};
use futures_util::StreamExt;
use protocol::{Message, ParamHeader, encode};

use super::fixture::*;
use crate::{HttpTicket, Reply, ReplyBody, Ticket};

const ENVELOPE: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"probe","version":"8"}}"#;

/// A stateless request; `params` are members that stand before the envelope.
pub(super) fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":5,"method":"{method}","params":{{{params}{ENVELOPE}}}}}"#)
}

pub(super) fn call() -> String {
    request("tools/call", r#""name":"read_file","arguments":{"path":"a"},"#)
}

/// The headers that repeat a request.
pub(super) fn headers(method: &str, name: Option<&str>) -> HttpTicket {
    HttpTicket {
        session: None,
        version: Some("2026-07-28".to_owned()),
        method: Some(method.to_owned()),
        name: name.map(str::to_owned),
        params: Arc::default(),
    }
}

impl Gateway {
    pub(super) async fn ask(&self, body: &str, headers: HttpTicket) -> Reply {
        match self.receive(body, Ticket::Http(headers)).await {
            Ok(received) => self.router.handle(received).await,
            Err(reply) => reply,
        }
    }
}

/// Asks with headers and compares status, the beginning of the answer, and the row.
async fn check(setup: Setup, body: &str, headers: HttpTicket, expected: (u16, &str), row: &str) {
    let gateway = setup.start();
    let (status, answer) = read(gateway.ask(body, headers).await).await;
    assert_eq!(status, expected.0, "{answer}");
    assert!(answer.contains(expected.1), "{answer}");
    assert_eq!(gateway.row(), row);
}

#[tokio::test]
async fn a_stateless_call_needs_no_session_and_leaves_none() {
    let gateway = Setup::default().answering(r#"{"resultType":"complete","content":[]}"#).start();
    let reply = gateway.ask(&call(), headers("tools/call", Some("read_file"))).await;
    assert!(reply.session.is_none());
    assert_eq!(
        read(reply).await,
        (200, text(&encode::result_reply("5", r#"{"resultType":"complete","content":[]}"#)))
    );
    let rows = gateway.log.take();
    let row = rows.first().unwrap();
    assert_eq!((row.session_id.as_ref(), row.protocol_version), (None, Some("2026-07-28")));
    assert!(gateway.router.sessions().is_empty());
}

#[tokio::test]
async fn policy_is_shown_the_client_and_the_revision_but_no_session() {
    let seen = Setup::default().rules(|input| {
        let session = &input.session;
        assert_eq!((session.id, session.request_count, session.started_at), (None, None, None));
        assert_eq!(session.protocol_version, Some("2026-07-28"));
        assert_eq!((session.client_name, session.client_version), (Some("probe"), Some("8")));
        deny("seen")
    });
    let headers = headers("tools/call", Some("read_file"));
    check(seen, &call(), headers, (200, "seen"), "request deny held policy_denied").await;
}

#[tokio::test]
async fn headers_that_say_something_else_than_the_body_are_refused() {
    let refused = (400, r#""code":-32020"#);
    let row = "request error held header_mismatch";
    let tool = || headers("tools/call", Some("read_file"));
    for headers in [
        headers("tools/list", Some("read_file")),
        headers("tools/call", Some("write_file")),
        headers("tools/call", None),
        headers("tools/call", Some("=?base64?!?=")),
        HttpTicket { version: None, ..tool() },
        HttpTicket { version: Some("2025-11-25".to_owned()), ..tool() },
        HttpTicket { method: None, ..tool() },
    ] {
        check(Setup::default(), &call(), headers, refused, row).await;
    }
    let encoded = headers("tools/call", Some("=?base64?cmVhZF9maWxl?="));
    check(Setup::default(), &call(), encoded, (200, "result"), "request allow forwarded -").await;
}

#[tokio::test]
async fn an_envelope_that_is_missing_or_of_an_unknown_revision_is_refused() {
    let bare = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#;
    let row = "request error held invalid_params";
    let missing = (400, "io.modelcontextprotocol/protocolVersion");
    check(Setup::default(), bare, headers("tools/list", None), missing, row).await;
    let half = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let missing = (400, "clientCapabilities");
    check(Setup::default(), half, headers("tools/list", None), missing, row).await;

    for version in ["2027-01-01", "2025-11-25"] {
        let newer = request("tools/list", "").replace("2026-07-28", version);
        let headers =
            HttpTicket { version: Some(version.to_owned()), ..headers("tools/list", None) };
        let told = (400, r#""supported":["2026-07-28"]"#);
        check(Setup::default(), &newer, headers, told, "request error held unsupported_version")
            .await;
    }
    let garbage = HttpTicket { version: Some("latest".to_owned()), ..HttpTicket::default() };
    let row = "request error held bad_transport";
    check(Setup::default(), bare, garbage, (400, "none of the known revisions"), row).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_without_an_id() {
    let gateway = Setup::default().start();
    let (status, answer) = read(gateway.ask("{", headers("tools/list", None)).await).await;
    assert_eq!(status, 400);
    assert!(answer.starts_with(r#"{"jsonrpc":"2.0","error":{"code":-32700"#), "{answer}");
}

#[tokio::test]
async fn a_header_that_cannot_be_read_is_answered_without_an_id() {
    let gateway = Setup::default().start();
    let failure = Failure::new(ErrorKind::HeaderMismatch, "twice");
    let (status, answer) = read(gateway.router.refuse(&caller(), failure, None, 0).await).await;
    assert_eq!(status, 400);
    assert!(answer.starts_with(r#"{"jsonrpc":"2.0","error":{"code":-32020"#), "{answer}");
}

#[tokio::test]
async fn errors_of_the_server_have_the_status_that_the_revision_gives_them() {
    for (code, status) in [(-32601, 404), (-32021, 400), (-32602, 200), (-31999, 200)] {
        let setup = Setup::default().server(move |_, _| {
            let reply = encode::error_reply(Some("77"), code, "no", None);
            now(Answer::Message(Message::parse(reply).unwrap()))
        });
        let headers = headers("tools/call", Some("read_file"));
        let row = "request allow forwarded -";
        check(setup, &call(), headers, (status, r#""message":"no""#), row).await;
    }
}

#[tokio::test]
async fn parameters_in_headers_travel_with_the_message() {
    let setup = Setup::default().server(|message, _| {
        let [header] = message.param_headers() else { panic!("{:?}", message.param_headers()) };
        assert_eq!((&*header.name, &*header.value), ("Mcp-Param-Region", "eu"));
        now(Answer::Message(response("{}")))
    });
    let params = [ParamHeader { name: "Mcp-Param-Region".into(), value: "eu".into() }].into();
    let headers = HttpTicket { params, ..headers("tools/call", Some("read_file")) };
    check(setup, &call(), headers, (200, "result"), "request allow forwarded -").await;
}

#[tokio::test]
async fn a_notification_is_recorded_and_goes_nowhere() {
    let gateway = Setup::default().start();
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let reply = gateway.ask(note, headers("notifications/cancelled", None)).await;
    assert_eq!(read(reply).await, (202, String::new()));
    assert_eq!(gateway.row(), "request allow held -");
    assert!(gateway.server.state().sent.is_empty());
}

#[tokio::test]
async fn questions_inside_a_result_are_decided_like_requests_of_the_server() {
    let result = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"name?"}},"b":{"method":"sampling/createMessage","params":{}}},"requestState":"é"}"#;
    let headers = || headers("tools/call", Some("read_file"));
    let gateway = Setup::default().answering(result).start();
    let answer = read(gateway.ask(&call(), headers()).await).await;
    assert_eq!(answer, (200, text(&encode::result_reply("5", result))), "untouched");
    let rows: Vec<_> = gateway.log.take().iter().map(|row| row.method.to_string()).collect();
    assert_eq!(rows, ["elicitation/create", "sampling/createMessage", "tools/call"]);
    let asked = gateway.policy.asked().clone();
    assert!(asked.iter().any(|asked| asked == "server_request elicitation/create - #0"));
    assert!(asked.iter().any(|asked| asked == "server_request sampling/createMessage - #0"));

    let no_sampling = Setup::default()
        .rules(|input| match (input.stage, input.method) {
            (Stage::ServerRequest, "sampling/createMessage") => deny("no sampling"),
            _ => allow(),
        })
        .answering(result);
    let gateway = no_sampling.start();
    let (_, answer) = read(gateway.ask(&call(), headers()).await).await;
    assert!(answer.contains("no sampling"), "{answer}");
    let rows = gateway.log.take();
    let told: Vec<_> = rows.iter().map(|row| (short(row), row.error.as_deref())).collect();
    let row = |row: &str, error| (row.to_owned(), error);
    assert_eq!(
        told,
        [
            row("server_request allow held -", None),
            row("server_request deny held policy_denied", None),
            row(
                "server_request deny forwarded policy_denied",
                Some("denied as `sampling/createMessage`")
            ),
        ],
        "each question, then the call"
    );
    assert_eq!(
        gateway.server.state().dismissed,
        [("77".to_owned(), ErrorKind::PolicyDenied)],
        "nothing waits for the answers"
    );
    let nameless = r#"{"resultType":"input_required","inputRequests":{"a":{}}}"#;
    let row = "request allow forwarded upstream_error";
    let broken = Setup::default().answering(nameless);
    check(broken, &call(), headers(), (200, "questions of the server"), row).await;
}

#[tokio::test]
async fn resources_of_a_subscription_are_decided_one_by_one() {
    let listen = request(
        "subscriptions/listen",
        r#""notifications":{"resourceSubscriptions":["file:///a","file:///secret"]},"#,
    );
    let rules = Setup::default().rules(|input| match (input.method, input.resource) {
        ("resources/subscribe", Some("file:///secret")) => deny("secret"),
        _ => allow(),
    });
    let row = "request deny held policy_denied";
    let headers = headers("subscriptions/listen", None);
    check(rules, &listen, headers, (200, "secret"), row).await;
}

#[tokio::test]
async fn a_subscription_is_recorded_when_it_stands() {
    let acknowledged = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{}}}"#;
    let setup = Setup::default().server(move |_, _| {
        let first = futures_util::stream::iter([Ok(message(acknowledged))]);
        now(Answer::Stream(first.chain(futures_util::stream::pending()).boxed()))
    });
    let gateway = setup.start();
    let listen = request("subscriptions/listen", r#""notifications":{},"#);
    let reply = gateway.ask(&listen, headers("subscriptions/listen", None)).await;
    assert!(reply.lasting);
    let ReplyBody::Events(mut events) = reply.body else { panic!("no stream") };
    assert_eq!(text(&events.next().await.unwrap()), acknowledged);
    assert_eq!(
        gateway.rows(),
        ["server_request allow forwarded -", "request allow forwarded -"],
        "nothing is held open in the log while the stream is"
    );
}

#[tokio::test]
async fn what_may_be_cached_is_for_one_agent_alone() {
    let headers = || headers("tools/list", None);
    for (scope, shown) in [("public", "private"), ("private", "private")] {
        let result: &'static str = match scope {
            "public" => {
                r#"{"resultType":"complete","tools":[],"ttlMs":60000,"cacheScope":"public"}"#
            }
            _ => r#"{"resultType":"complete","tools":[],"ttlMs":60000,"cacheScope":"private"}"#,
        };
        let expected = result.replace(scope, shown);
        let setup = Setup::default().answering(result);
        let row = "request allow forwarded -";
        check(setup, &request("tools/list", ""), headers(), (200, &expected), row).await;
    }
}

/// What policy is asked of the answers in a request that is sent again.
async fn check_answers(answers: &str, expected: &[&str]) {
    let gateway = Setup::default().answering("{}").start();
    let members =
        format!(r#""name":"read_file","inputResponses":{{{answers}}},"requestState":"é","#);
    let headers = headers("tools/call", Some("read_file"));
    read(gateway.ask(&request("tools/call", &members), headers).await).await;
    let asked = gateway.policy.asked().clone();
    let of_answers: Vec<_> = asked.iter().filter_map(|it| it.strip_prefix("response ")).collect();
    assert_eq!(of_answers, expected, "{answers}");
}

#[tokio::test]
async fn answers_inside_a_request_are_decided_under_the_methods_of_their_questions() {
    let [elicitation, sampling, roots] =
        ["elicitation/create - #0", "sampling/createMessage - #0", "roots/list - #0"];
    check_answers("", &[]).await;
    check_answers(r#""a":{"action":"decline"}"#, &[elicitation]).await;
    check_answers(r#""a":{"role":"user","content":{}},"b":{"roots":[]}"#, &[sampling, roots]).await;
    check_answers(r#""a":{"Role":"user","action":"accept"}"#, &[elicitation, sampling]).await;
    check_answers(r#""a":{}"#, &[elicitation, sampling, roots]).await;
    check_answers(r#""a":7"#, &[elicitation, sampling, roots]).await;
}

#[tokio::test]
async fn a_denied_answer_inside_a_request_is_not_forwarded() {
    let rules = Setup::default().rules(|input| match (input.stage, input.method, input.result) {
        (Stage::Response, "elicitation/create", Some(result)) if result.contains("1234") => {
            deny("a password")
        }
        _ => allow(),
    });
    let again = request(
        "tools/call",
        r#""name":"read_file","inputResponses":{"a":{"action":"accept","content":{"pin":"1234"}}},"#,
    );
    let gateway = rules.start();
    let headers = headers("tools/call", Some("read_file"));
    let (status, answer) = read(gateway.ask(&again, headers).await).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("a password"), "{answer}");
    let rows = gateway.log.take();
    let told: Vec<_> = rows.iter().map(|row| (short(row), row.error.as_deref())).collect();
    let row = "response deny held policy_denied".to_owned();
    assert_eq!(told, [(row, Some("denied as `elicitation/create`"))]);
}
