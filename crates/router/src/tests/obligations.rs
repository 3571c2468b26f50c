//! What policy asks for besides its verdict is done, or the message is denied.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::{
    Approval, Decision, ErrorKind, Failure, Mode, Obligation, RateKey, RateLimit, Revision, Stage,
};
use protocol::ParamHeader;
use serde_json::Value;

use super::fixture::*;
use super::stateless;
use crate::{HttpTicket, Options};

fn asking(obligations: impl IntoIterator<Item = Obligation>) -> Decision {
    Decision { obligations: obligations.into_iter().collect(), ..allow() }
}

fn redact(path: &str) -> Obligation {
    Obligation::Redact { path: path.into(), with: "***".into() }
}

fn strip(path: &str) -> Obligation {
    Obligation::Strip { path: path.into() }
}

fn approval() -> Obligation {
    Obligation::RequireApproval { message: Some("writes need a person".into()) }
}

fn limit(limit: u64) -> Obligation {
    let key = vec![RateKey::Agent, RateKey::Tool, RateKey::SourceIp];
    Obligation::RateLimit(RateLimit { key, per: Duration::from_secs(60), limit })
}

/// A gateway whose policy asks for that at one stage of a call.
fn setup(stage: Stage, obligations: Vec<Obligation>) -> Setup {
    Setup::default().examining().rules(move |input| match input.method {
        "tools/call" if input.stage == stage => asking(obligations.clone()),
        _ => allow(),
    })
}

/// Calls with `arguments` and compares what the server gets, in enforce and in audit mode.
async fn check_sent(obligations: &[Obligation], arguments: &str, expected: &str) {
    let call = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{ "name":"t", "arguments":{arguments} }} }}"#
        )
    };
    for mode in [Mode::Enforce, Mode::Audit] {
        let setup = Setup { mode, ..setup(Stage::Request, obligations.to_vec()) };
        let gateway = setup.start();
        let session = gateway.session().await;
        let (status, answer) = gateway.say(&session, &call(arguments)).await;
        assert_eq!((status, answer.as_str()), (200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
        let expected = if mode == Mode::Enforce { expected } else { arguments };
        assert_eq!(gateway.server.state().sent, [call(expected)], "{mode:?}");
        let event = gateway.log.take().remove(0);
        assert_eq!(*event.obligations, *obligations, "{mode:?}");
    }
}

#[tokio::test]
async fn arguments_leave_without_what_policy_takes_out() {
    let arguments = r#"{ "path": "a", "keys": [ {"secret":1.0}, {"secret":"b","x":2} ] }"#;
    let redacted = r#"{"path":"a","keys":[{"secret":"***"},{"secret":"***","x":2}]}"#;
    check_sent(&[redact("/keys/*/secret")], arguments, redacted).await;
    let stripped = r#"{"keys":[ {"secret":1.0}, {"secret":"b","x":2} ]}"#;
    check_sent(&[strip("/path")], arguments, stripped).await;
    check_sent(&[strip("/path"), redact("/keys")], arguments, r#"{"keys":"***"}"#).await;
    check_sent(&[redact("/nothing"), strip("/keys/7")], arguments, arguments).await;
}

#[tokio::test]
async fn answers_reach_the_client_without_what_policy_takes_out() {
    let result =
        r#"{ "content":[{"type":"text","text":"s"}], "structuredContent":{"ssn":1,"n":2} }"#;
    let check = async |mode: Mode, path: &str, shown: &str| {
        let setup = setup(Stage::Response, vec![redact(path)]).answering(result);
        let gateway = Setup { mode, ..setup }.start();
        let session = gateway.session().await;
        let (_, answer) = gateway.say(&session, CALL).await;
        let expected = format!(r#"{{"jsonrpc":"2.0","id":9007199254740993,"result":{shown}}}"#);
        assert_eq!(answer, expected);
        assert_eq!(gateway.row(), "response allow forwarded -");
    };
    let shown = r#"{"content":[{"type":"text","text":"***"}],"structuredContent":{"ssn":1,"n":2}}"#;
    check(Mode::Enforce, "/content/*/text", shown).await;
    let shown =
        r#"{"content":[{"type":"text","text":"s"}],"structuredContent":{"ssn":"***","n":2}}"#;
    check(Mode::Enforce, "/structuredContent/ssn", shown).await;
    check(Mode::Audit, "/structuredContent/ssn", result).await;
}

#[tokio::test]
async fn errors_of_the_server_are_answers_too() {
    let failing = |path: &str| {
        let setup = setup(Stage::Response, vec![redact(path)]);
        setup.server(|sent, _| {
            let body =
                r#"{"jsonrpc":"2.0","id":77,"error":{"code":5,"message":"m","data":{"k":1}}}"#;
            match sent.name() {
                Some(_) => now(domain::Answer::Message(message(body))),
                None => obliging(&sent),
            }
        })
    };
    let gateway = failing("/data/k").start();
    let session = gateway.session().await;
    let (_, answer) = gateway.say(&session, CALL).await;
    assert!(answer.contains(r#""error":{"code":5,"message":"m","data":{"k":"***"}}"#), "{answer}");
    // What is left would be no answer.
    let gateway = failing("/code").start();
    let session = gateway.session().await;
    let (_, answer) = gateway.say(&session, CALL).await;
    assert!(answer.contains(r#""code":-31001"#), "{answer}");
    assert_eq!(gateway.row().rsplit(' ').next(), Some("policy_error"));
}

#[tokio::test]
async fn an_answer_of_the_client_is_changed_on_its_way_up() {
    let gateway = Setup::default()
        .rules(|input| match (input.stage, input.method) {
            (Stage::Response, "elicitation/create") => asking([redact("/content/pin")]),
            _ => allow(),
        })
        .start();
    let session = gateway.session().await;
    let ask = r#"{"jsonrpc":"2.0","id":"s","method":"elicitation/create","params":{"m":1}}"#;
    gateway.server.deliver(ask).await;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"pin":7}}}"#;
    gateway.say(&session, answer).await;
    let sent = r#"{"jsonrpc":"2.0","id":"s","result":{"action":"accept","content":{"pin":"***"}}}"#;
    assert_eq!(gateway.server.state().sent, [sent]);
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_denied() {
    let check = async |stage: Stage, obligation: Obligation, error: &str| {
        for mode in [Mode::Enforce, Mode::Audit] {
            let gateway = Setup { mode, ..setup(stage, vec![obligation.clone()]) }.start();
            let session = gateway.session().await;
            let (_, answer) = gateway.say(&session, CALL).await;
            let event = gateway.log.take().remove(0);
            assert_eq!(event.decision, domain::Outcome::Error, "{mode:?}");
            assert!(event.error.as_deref().unwrap().contains(error), "{:?}", event.error);
            assert!(!answer.contains(error), "{answer}");
            let denied = answer.contains("the policy could not be evaluated");
            assert_eq!(denied, mode == Mode::Enforce, "{answer}");
        }
    };
    let header = Obligation::SetHeader { name: "x-team".into(), value: "a".into() };
    check(Stage::Request, header, "no headers over stdio").await;
    check(Stage::Request, redact(""), "must begin with `/`").await;
    check(Stage::Response, strip("content"), "must begin with `/`").await;
    check(Stage::Request, approval(), "keeps no approvals").await;
    let long = Obligation::Taint { label: "x".repeat(65).into() };
    check(Stage::Request, long, "the label of `taint`").await;
}

#[tokio::test]
async fn headers_go_with_the_message_where_there_are_any() {
    let header = Obligation::SetHeader { name: "x-team".into(), value: "a b".into() };
    let check = async |mode: Mode, expected: &str| {
        let setup = setup(Stage::Request, vec![header.clone()]);
        let gateway = Setup { mode, transport: "http", ..setup }.start();
        let session = gateway.session().await;
        gateway.say(&session, CALL).await;
        assert_eq!(gateway.server.state().headers, [expected]);
        assert_eq!(gateway.row(), "response allow forwarded -");
    };
    check(Mode::Enforce, "x-team: a b").await;
    check(Mode::Audit, "").await;
}

#[tokio::test]
async fn so_many_pass_and_the_rest_is_told_when_to_come_back() {
    let gateway = setup(Stage::Request, vec![limit(2)]).start();
    let session = gateway.session().await;
    for _ in 0..2 {
        gateway.say(&session, CALL).await;
        assert_eq!(gateway.row(), "response allow forwarded -");
    }
    gateway.clock.advance(Duration::from_secs(20));
    let (status, answer) = gateway.say(&session, CALL).await;
    assert_eq!(status, 200);
    let error = &serde_json::from_str::<Value>(&answer).unwrap()["error"];
    assert_eq!(
        (error["code"].clone(), &error["data"]["kind"]),
        ((-31003).into(), &"rate_limited".into())
    );
    let wait = error["data"]["retry_after_ms"].as_u64().unwrap();
    assert!((40_000..=42_000).contains(&wait), "{wait}");
    let event = gateway.log.take().remove(0);
    assert_eq!(short(&event), "request deny held rate_limited");
    assert_eq!(event.matched_rule.as_deref(), Some("rate_limit"));
    assert_eq!(gateway.server.state().sent.len(), 2);
    assert_eq!(gateway.metric("mcp_proxy_rate_limited_total"), 1);
    // Another tool is another count, and the window slides.
    gateway.say(&session, &CALL.replace("read_file", "list")).await;
    assert_eq!(gateway.row(), "response allow forwarded -");
    gateway.clock.advance(Duration::from_millis(wait));
    gateway.say(&session, CALL).await;
    assert_eq!(gateway.row(), "response allow forwarded -");
}

#[tokio::test]
async fn a_limit_holds_over_reconnects_and_only_records_in_audit_mode() {
    let gateway = setup(Stage::Request, vec![limit(1)]).start();
    let first = gateway.session().await;
    gateway.say(&first, CALL).await;
    gateway.router.close(&first).await;
    let second = gateway.session().await;
    let (_, answer) = gateway.say(&second, CALL).await;
    assert!(answer.contains("-31003"), "{answer}");

    let gateway = setup(Stage::Request, vec![limit(1)]).audit().start();
    let session = gateway.session().await;
    for row in ["response allow forwarded -", "request deny forwarded -"] {
        let (_, answer) = gateway.say(&session, CALL).await;
        assert!(answer.contains("result"), "{answer}");
        assert_eq!(gateway.row(), row);
    }
}

/// Calls what needs an approval that people answer so; gives the answer and the row.
async fn approved(mode: Mode, answer: Result<Approval, Failure>) -> (Value, domain::AuditEvent) {
    let people = People::answering(answer);
    let options = Options { approval_wait: Duration::from_secs(7), ..Options::default() };
    let setup = Setup {
        mode,
        approvals: Some(people.clone()),
        options,
        ..setup(Stage::Request, vec![approval()])
    };
    let gateway = setup.start();
    let session = gateway.session().await;
    let (_, answer) = gateway.say(&session, CALL).await;
    let event = gateway.log.take().remove(0);
    let [asked] = people.take().try_into().unwrap();
    assert_eq!(asked.decision_id, event.decision_id);
    assert_eq!(
        (&*asked.agent_id, &*asked.server, &*asked.method),
        ("anonymous", "files", "tools/call")
    );
    assert_eq!(asked.tool.as_deref(), Some("read_file"));
    assert_eq!(asked.arguments.as_deref(), Some(r#"{"path":"a.txt"}"#));
    assert_eq!(asked.message.as_deref(), Some("writes need a person"));
    let wait = if mode == Mode::Enforce { 7 } else { 0 };
    assert_eq!(asked.wait, Duration::from_secs(wait), "nothing is held in audit mode");
    assert_eq!(gateway.server.state().sent.len(), usize::from(event.forwarded));
    (serde_json::from_str(&answer).unwrap(), event)
}

#[tokio::test]
async fn a_call_that_needs_a_person_passes_when_one_has_granted_it() {
    let (answer, event) = approved(Mode::Enforce, Ok(Approval::Granted("g1".into()))).await;
    assert!(answer["result"].is_object());
    assert_eq!(short(&event), "response allow forwarded -");
    assert_eq!(event.evidence.approval.as_deref(), Some("g1"));

    let (answer, event) = approved(Mode::Enforce, Ok(Approval::Pending("q1".into()))).await;
    let error = &answer["error"];
    assert_eq!(
        (error["code"].as_i64(), error["message"].as_str()),
        (Some(-31007), Some("writes need a person"))
    );
    assert_eq!(error["data"]["approval"], "q1");
    assert_eq!(error["data"]["unlock"]["approval"], true);
    assert!(error["data"]["remedy"].as_str().unwrap().contains("approvals grant q1"));
    assert_eq!(short(&event), "request deny held approval_required");
    assert_eq!(event.evidence.approval.as_deref(), Some("q1"));

    let (answer, event) = approved(Mode::Enforce, Ok(Approval::Denied("q1".into()))).await;
    assert_eq!(answer["error"]["code"], -31001);
    assert_eq!(short(&event), "request deny held policy_denied");

    let broken = || Err(Failure::new(ErrorKind::Internal, "m").detail("disk full"));
    let (answer, event) = approved(Mode::Enforce, broken()).await;
    assert_eq!(answer["error"]["data"]["kind"], "policy_error");
    assert_eq!(short(&event), "request error held policy_error");

    for answer in [Ok(Approval::Pending("q1".into())), Ok(Approval::Denied("q1".into()))] {
        let (answer, event) = approved(Mode::Audit, answer).await;
        assert!(answer["result"].is_object());
        assert_eq!(short(&event), "request deny forwarded -");
    }
}

#[tokio::test]
async fn alerts_are_counted_whatever_becomes_of_the_message() {
    let alert = Obligation::Alert { channel: "log".into(), severity: "high".into() };
    let gateway = Setup::default()
        .rules(move |input| match input.tool {
            Some(_) => Decision { obligations: [alert.clone()].into(), ..deny("no") },
            None => allow(),
        })
        .start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    assert_eq!(gateway.metric(r#"mcp_proxy_alerts_total{severity="high"}"#), 1);
    assert_eq!(gateway.row(), "request deny held policy_denied");
}

#[tokio::test]
async fn on_a_denial_nothing_else_is_carried_out() {
    let people = People::answering(Ok(Approval::Granted("g".into())));
    let gateway = Setup {
        approvals: Some(people.clone()),
        ..Setup::default().rules(|input| match input.tool {
            Some(_) => Decision { obligations: [approval(), limit(1)].into(), ..deny("no") },
            None => allow(),
        })
    }
    .start();
    let session = gateway.session().await;
    for _ in 0..2 {
        let (_, answer) = gateway.say(&session, CALL).await;
        assert!(answer.contains("-31001"), "{answer}");
    }
    assert!(people.take().is_empty());
}

#[tokio::test]
async fn what_was_granted_while_the_policy_changed_is_decided_again() {
    // The policy asks for an approval first, and denies when it is asked again.
    let asked = AtomicUsize::new(0);
    let setup = Setup::default().rules(move |input| match input.tool {
        Some(_) if asked.fetch_add(1, Ordering::SeqCst) == 0 => asking([approval()]),
        Some(_) => Decision { revision: Revision("r2".into()), ..deny("locked down") },
        None => allow(),
    });
    let options = Options { approval_wait: Duration::from_secs(7), ..Options::default() };
    let people = People::answering(Ok(Approval::Granted("g".into())));
    let gateway = Setup { options, approvals: Some(people), ..setup }.start();
    let session = gateway.session().await;
    let (_, answer) = gateway.say(&session, CALL).await;
    assert!(answer.contains("locked down"), "{answer}");
    let event = gateway.log.take().remove(0);
    assert_eq!(short(&event), "request deny held policy_denied");
    assert_eq!(event.policy_revision.as_deref(), Some("r2"));
    assert!(gateway.server.state().sent.is_empty());
}

#[tokio::test]
async fn several_rules_that_want_an_approval_want_the_same_one() {
    let people = People::answering(Ok(Approval::Granted("g".into())));
    let silent = Obligation::RequireApproval { message: None };
    let new = Obligation::RequireApproval { message: Some("the tool is new".into()) };
    let setup = setup(Stage::Request, vec![silent, approval(), new]);
    let gateway = Setup { approvals: Some(people.clone()), ..setup }.start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    assert_eq!(gateway.row(), "response allow forwarded -");
    let [asked] = people.take().try_into().unwrap();
    assert_eq!(asked.message.as_deref(), Some("writes need a person; the tool is new"));
}

/// A grant for one message must not be good for another that the person did not see.
#[tokio::test]
async fn a_person_is_asked_about_all_that_is_sent() {
    let people = People::answering(Ok(Approval::Pending("q".into())));
    let rules = |input: &domain::PolicyInput<'_>| match input.method {
        "initialize" => allow(),
        _ => asking([approval()]),
    };
    let gateway =
        Setup { approvals: Some(people.clone()), ..Setup::default().rules(rules) }.start();
    let session = gateway.session().await;
    let asked = async |method: &str, params: &str| {
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        drop(gateway.say(&session, &message).await);
        people.take().remove(0).arguments.map(String::from)
    };
    let params = r#"{"name":"t","arguments":{"a":1},"_meta":{"progressToken":1}}"#;
    assert_eq!(asked("tools/call", params).await.as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(asked("prompts/get", r#"{"name":"p"}"#).await, None);
    let params = r#"{"command":"rm","arguments":{},"_meta":{}}"#;
    let seen = asked("vendor/run", params).await;
    assert_eq!(seen.as_deref(), Some(r#"{"command":"rm","arguments":{}}"#));
    let params = r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"n","value":"v"}}"#;
    assert_eq!(asked("completion/complete", params).await.as_deref(), Some(params));
}

#[tokio::test]
async fn a_grant_is_for_the_definition_that_was_listed() {
    let people = People::answering(Ok(Approval::Pending("q".into())));
    let rules = |input: &domain::PolicyInput<'_>| match (input.stage, input.method) {
        (Stage::Request, "tools/call") => asking([approval()]),
        _ => allow(),
    };
    let setup = Setup { approvals: Some(people.clone()), ..Setup::default().rules(rules) };
    let gateway = setup
        .answering(r#"{"tools":[{"name":"read_file","inputSchema":{"type":"object"}}]}"#)
        .start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    gateway.say(&session, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    gateway.say(&session, CALL).await;
    let known: Vec<_> =
        people.take().iter().map(|asked| asked.definition.as_ref().map(|it| it.len())).collect();
    assert_eq!(known, [None, Some(64)]);
}

#[tokio::test]
async fn answers_inside_a_stateless_request_are_changed_too() {
    let gateway = Setup::default()
        .rules(|input| match (input.stage, input.method) {
            (Stage::Response, "elicitation/create") => asking([redact("/content/pin")]),
            (Stage::Request, "tools/call") => asking([redact("/path")]),
            _ => allow(),
        })
        .start();
    let params = concat!(
        r#""name":"read_file","arguments":{"path":"a","n":1},"#,
        r#""inputResponses":{"q":{"action":"accept","content":{"pin":7}},"r":{"role":"user"}},"#
    );
    let headers = HttpTicket {
        params: [("Mcp-Param-Path", "a"), ("Mcp-Param-N", "1")]
            .map(|(name, value)| ParamHeader { name: name.into(), value: value.into() })
            .into(),
        ..stateless::headers("tools/call", Some("read_file"))
    };
    drop(read(gateway.ask(&stateless::request("tools/call", params), headers).await).await);
    let params = params.replace(r#""path":"a""#, r#""path":"***""#).replace("7", r#""***""#);
    assert_eq!(gateway.server.state().sent, [stateless::request("tools/call", &params)]);
    let repeated = gateway.server.state().repeated.clone();
    assert_eq!(repeated, ["Mcp-Param-N"], "what was taken out is not in a header either");
}
