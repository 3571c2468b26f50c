//! What a denied client is told, and what not.

use std::sync::Arc;

use domain::{Decision, Obligation, Reason, RuleMode};
use serde_json::{Value, json};

use super::fixture::*;
use super::stateless;
use crate::Options;

fn reason() -> Reason {
    Reason {
        message: "`write_file` is not yours".to_owned(),
        rule: Some("writes".to_owned()),
        severity: Some("high".to_owned()),
        remedy: Some("read instead".to_owned()),
        scope: Some("write:files".to_owned()),
        at: Some("policies/secret.rego:7".into()),
        ..Reason::default()
    }
}

fn denying(decision: impl Fn() -> Decision + Send + Sync + 'static) -> Setup {
    Setup::default().rules(move |input| match (input.tool, input.resource, input.prompt) {
        (None, None, None) => allow(),
        _ => decision(),
    })
}

/// Asks, and compares the whole answer without what differs each time.
async fn check(setup: Setup, body: &str, expected: Value) {
    let gateway = setup.start();
    let session = gateway.session().await;
    let (_, answer) = gateway.say(&session, body).await;
    assert!(!answer.contains(".rego") && !answer.contains("watched"), "{answer}");
    let mut answer: Value = serde_json::from_str(&answer).unwrap();
    if let Some(data) = answer.pointer_mut("/error/data").and_then(Value::as_object_mut) {
        for id in ["request_id", "decision_id"] {
            assert!(data.remove(id).is_some_and(|id| id.as_str().is_some_and(|it| it.len() == 36)));
        }
    }
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_denial_says_what_an_agent_can_do() {
    let watched = Reason { mode: RuleMode::Observe, ..Reason::from("watched") };
    let reasons: Arc<[Reason]> = [watched, reason()].into();
    let denied = move || Decision {
        reasons: reasons.clone(),
        matched_rule: Some("writes".into()),
        rules: Some(r#"[{"rule":"writes","at":"policies/secret.rego:7"}]"#.into()),
        ..deny("")
    };
    check(
        denying(denied),
        CALL,
        json!({ "jsonrpc": "2.0", "id": 9_007_199_254_740_993_u64, "error": {
            "code": -31001, "message": "`write_file` is not yours",
            "data": {
                "kind": "policy_denied", "retryable": false, "docs": "mcp-proxy explain policy_denied",
                "reasons": ["`write_file` is not yours"], "matched_rule": "writes", "rule": "writes",
                "policy_mode": "enforce", "remedy": "read instead",
                "unlock": { "approval": false, "scopes": ["write:files"] },
            },
        }}),
    )
    .await;
}

#[tokio::test]
async fn what_policy_does_not_say_has_a_fixed_sentence() {
    let data = |kind: &str, rule: Value, reasons: Value, remedy: &str| {
        json!({
            "kind": kind, "retryable": false, "docs": format!("mcp-proxy explain {kind}"),
            "reasons": reasons, "matched_rule": rule, "rule": rule, "policy_mode": "enforce",
            "remedy": remedy, "unlock": { "approval": false, "scopes": [] },
        })
    };
    let remedy = "do not send it again: do without it, or ask the operator to allow it";
    let denied = data("policy_denied", "data.mcp.policy.deny".into(), json!(["no"]), remedy);
    let id = 9_007_199_254_740_993_u64;
    let error = json!({ "code": -31001, "message": "no", "data": denied });
    check(denying(|| deny("no")), CALL, json!({ "jsonrpc": "2.0", "id": id, "error": error }))
        .await;
    let remedy = "do not send it again: the operator finds the cause under the `decision_id`";
    let failed_data = data("policy_error", Value::Null, json!([]), remedy);
    let message = "denied: the policy could not be evaluated";
    let error = json!({ "code": -31001, "message": message, "data": failed_data });
    check(denying(failed), CALL, json!({ "jsonrpc": "2.0", "id": id, "error": error })).await;
}

#[tokio::test]
async fn policy_may_choose_the_error() {
    let obligation = Obligation::DenyAs { code: 42, message: "ask Ann".into() };
    let denied = move || Decision { obligations: [obligation.clone()].into(), ..deny("no") };
    let gateway = denying(denied).start();
    let session = gateway.session().await;
    let (_, answer) = gateway.say(&session, CALL).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["message"]),
        (&42.into(), &"ask Ann".into())
    );
    assert_eq!(answer["error"]["data"]["kind"], "policy_denied");
    assert_eq!(gateway.row(), "request deny held policy_denied");
}

#[tokio::test]
async fn a_denied_call_may_look_like_a_tool_that_failed() {
    let options = || Options { deny_as_tool_error: true, ..Options::default() };
    let setup = || Setup {
        options: options(),
        ..denying(|| Decision { reasons: [reason()].into(), ..deny("") })
    };
    let gateway = setup().start();
    let session = gateway.session().await;
    let (status, answer) = gateway.say(&session, CALL).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["result"]["isError"]), (200, &true.into()));
    let event = gateway.log.take().remove(0);
    let text =
        format!("`write_file` is not yours\nread instead\ndecision_id: {}", event.decision_id);
    assert_eq!(answer["result"]["content"], json!([{ "type": "text", "text": text }]));
    assert_eq!(answer["result"].get("resultType"), None);
    assert_eq!(short(&event), "request deny held policy_denied");
    // Only tools have such a result.
    let read = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b"}}"#;
    let (_, answer) = gateway.say(&session, read).await;
    assert!(answer.contains("-31001"), "{answer}");

    let gateway = setup().start();
    let headers = stateless::headers("tools/call", Some("read_file"));
    let (status, answer) = read_reply(gateway.ask(&stateless::call(), headers).await).await;
    assert_eq!((status, &answer["result"]["resultType"]), (200, &"complete".into()));
}

async fn read_reply(reply: crate::Reply) -> (u16, Value) {
    let (status, body) = read(reply).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn what_is_hidden_looks_like_what_is_not_there() {
    let hiding = || {
        let options = Options { hide_denied: true, deny_as_tool_error: true, ..Options::default() };
        Setup { options, ..denying(|| deny("no")) }
    };
    let unknown = |code: i32, message: &str| json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": code, "message": message } });
    let ask = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    };
    let tool = ask("tools/call", r#"{"name":"x"}"#);
    check(hiding(), &tool, unknown(-32602, "Unknown tool: x")).await;
    let prompt = ask("prompts/get", r#"{"name":"x"}"#);
    check(hiding(), &prompt, unknown(-32602, "Unknown prompt: x")).await;
    let resource = ask("resources/read", r#"{"uri":"a:b"}"#);
    check(hiding(), &resource, unknown(-32002, "Resource not found")).await;

    let gateway = hiding().start();
    let session = gateway.session().await;
    gateway.say(&session, &tool).await;
    assert_eq!(gateway.row(), "request deny held policy_denied");
    let headers = stateless::headers("tools/call", Some("read_file"));
    let (status, answer) = read_reply(gateway.ask(&stateless::call(), headers).await).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &(-32602).into()));
    assert_eq!(answer["error"].get("data"), None);
}

#[tokio::test]
async fn a_rule_that_is_watched_stops_nothing_and_is_in_the_row() {
    let watched = || {
        let reason = Reason { mode: RuleMode::Warn, ..reason() };
        Decision { reasons: [reason].into(), matched_rule: None, ..allow() }
    };
    let gateway = denying(watched).examining().start();
    let session = gateway.session().await;
    let (_, answer) = gateway.say(&session, CALL).await;
    assert!(answer.contains(r#""result":{}"#), "{answer}");
    let event = gateway.log.take().remove(0);
    assert_eq!(short(&event), "response would_deny forwarded -");
    assert_eq!(event.reasons[0].rule.as_deref(), Some("writes"));
    let metric =
        r#"mcp_proxy_policy_decisions_total{decision="would_deny",mode="enforce",stage="request"}"#;
    assert_eq!(gateway.metric(metric), 1);
    // A later allow does not undo it, but what that asks for is in the row as well.
    let once = Setup::default().examining().rules(move |input| match (input.tool, input.result) {
        (Some(_), None) => watched(),
        (Some(_), Some(_)) => {
            Decision { obligations: [Obligation::Log { level: "debug".into() }].into(), ..allow() }
        }
        _ => allow(),
    });
    let gateway = once.start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    let event = gateway.log.take().remove(0);
    assert_eq!(short(&event), "request would_deny forwarded -");
    assert_eq!(event.obligations.len(), 1);
    // A denial does.
    let late = Setup::default().examining().rules(move |input| match (input.tool, input.result) {
        (Some(_), None) => watched(),
        (Some(_), Some(_)) => deny("no"),
        _ => allow(),
    });
    let gateway = late.start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    assert_eq!(gateway.row(), "response deny forwarded policy_denied");
}
