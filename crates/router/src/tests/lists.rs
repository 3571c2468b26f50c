//! List answers are shown entry by entry.

use domain::{Answer, Mode};
use protocol::encode;

use super::fixture::*;

fn ask(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"q","method":"{method}"}}"#)
}

/// Hides whatever is called `secret`, however it would be used.
fn hiding() -> Setup {
    Setup::default().rules(|input| {
        let used = input.tool.or(input.resource).or(input.prompt);
        match used {
            Some(used) if used.contains("secret") => deny("hidden"),
            _ => allow(),
        }
    })
}

/// Asks for a list and compares the result that the client gets, and the question put to policy
/// about the entry that is called `secret`.
async fn check(method: &str, result: &'static str, shown: &str, question: &str) {
    for mode in [Mode::Enforce, Mode::Audit] {
        let gateway = Setup { mode, ..hiding().answering(result) }.start();
        let session = gateway.session().await;
        let (status, reply) = gateway.say(&session, &ask(method)).await;
        let shown = if mode == Mode::Enforce { shown } else { result };
        let expected = encode::result_reply(r#""q""#, shown);
        assert_eq!((status, reply.as_str()), (200, text(&expected).as_str()), "{mode:?}");
        assert_eq!(gateway.row(), "request allow forwarded -", "{mode:?}");
        let asked = gateway.policy.asked().clone();
        assert!(asked.iter().any(|asked| asked == question), "{mode:?}: {asked:?}");
        let denied = format!(
            r#"mcp_proxy_policy_decisions_total{{decision="deny",mode="{}",stage="list"}}"#,
            mode.as_str()
        );
        assert_eq!(gateway.metric(&denied), 1, "{mode:?}");
    }
}

#[tokio::test]
async fn each_kind_of_list_is_filtered_by_the_rule_that_forbids_the_use() {
    check(
        "tools/list",
        r#"{"tools":[ {"name":"read" , "x":1.50}, {"name":"secret"},{"name":"é\u0041"} ],"nextCursor":"c2"}"#,
        r#"{"tools":[ {"name":"read" , "x":1.50},{"name":"é\u0041"} ],"nextCursor":"c2"}"#,
        "list tools/call secret #2",
    )
    .await;
    check(
        "resources/list",
        r#"{"nextCursor":"é","resources":[{"uri":"file:///secret","name":"a"},{"uri":"file:///b"}]}"#,
        r#"{"nextCursor":"é","resources":[{"uri":"file:///b"}]}"#,
        "list resources/read file:///secret #2",
    )
    .await;
    check(
        "resources/templates/list",
        r#"{"resourceTemplates":[{"uriTemplate":"secret://{x}"}]}"#,
        r#"{"resourceTemplates":[]}"#,
        "list resources/read secret://{x} #2",
    )
    .await;
    check(
        "prompts/list",
        r#"{"prompts":[{"name":"hi"},{"name":"s\u0065cret"}],"_meta":{"k":[1]}}"#,
        r#"{"prompts":[{"name":"hi"}],"_meta":{"k":[1]}}"#,
        "list prompts/get secret #2",
    )
    .await;
}

/// Asks for a list with a secret and compares the account of it in the row.
async fn check_account(mode: Mode, method: &str, result: &'static str, expected: Option<&str>) {
    let gateway = Setup { mode, ..hiding().answering(result) }.start();
    let session = gateway.session().await;
    gateway.say(&session, &ask(method)).await;
    let events = gateway.log.take();
    let event = events.first().unwrap();
    assert_eq!(event.response_summary.as_deref(), expected, "{mode:?} {method}");
    assert_eq!(short(event), "request allow forwarded -", "{mode:?} {method}");
}

#[tokio::test]
async fn what_is_hidden_is_recorded_though_nobody_asked() {
    let tools = r#"{"tools":[{"name":"a"},{"name":"secret_1"},{"name":"secret_2"}]}"#;
    let hid = "hid 2 of 3 tools: secret_1, secret_2";
    check_account(Mode::Enforce, "tools/list", tools, Some(hid)).await;
    let would = "would hide 2 of 3 tools: secret_1, secret_2";
    check_account(Mode::Audit, "tools/list", tools, Some(would)).await;
    check_account(Mode::Enforce, "tools/list", r#"{"tools":[{"name":"a"}]}"#, None).await;
    let uris = r#"{"resources":[{"uri":"db://u:p@h/secret?k=v"},{"uri":"secret:x#f"}]}"#;
    let plain = "hid 2 of 2 resources: db://h/secret, secret:x";
    check_account(Mode::Enforce, "resources/list", uris, Some(plain)).await;
}

#[tokio::test]
async fn the_envelope_around_a_filtered_list_stays() {
    let body =
        r#"{ "result" : {"tools":[{"name":"secret"}]}, "extra":1, "id":77, "jsonrpc":"2.0" }"#;
    let gateway = hiding().server(move |_, _| now(Answer::Message(message(body)))).start();
    let session = gateway.session().await;
    let (_, reply) = gateway.say(&session, &ask("tools/list")).await;
    let expected = r#"{ "result" : {"tools":[]}, "extra":1, "id":"q", "jsonrpc":"2.0" }"#;
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn every_page_is_filtered() {
    let setup = hiding().server(|request, _| {
        let second = request.params().is_some_and(|params| params.contains("c2"));
        now(Answer::Message(response(if second {
            r#"{"tools":[{"name":"secret_2"},{"name":"b"}]}"#
        } else {
            r#"{"tools":[{"name":"a"},{"name":"secret_1"}],"nextCursor":"c2"}"#
        })))
    });
    let gateway = setup.start();
    let session = gateway.session().await;
    let check = async |request: &str, shown: &str| {
        let (_, reply) = gateway.say(&session, request).await;
        assert!(reply.contains(shown), "{reply}");
    };
    check(&ask("tools/list"), r#"{"tools":[{"name":"a"}],"nextCursor":"c2"}"#).await;
    let next = r#"{"jsonrpc":"2.0","id":4,"method":"tools/list","params":{"cursor":"c2"}}"#;
    check(next, r#"{"tools":[{"name":"b"}]}"#).await;
}

#[tokio::test]
async fn a_streamed_list_is_filtered() {
    let gateway = hiding()
        .streaming(&[
            r#"{"jsonrpc":"2.0","id":77,"result":{"tools":[{"name":"secret"},{"name":"a"}]}}"#,
        ])
        .start();
    let session = gateway.session().await;
    let (_, reply) = gateway.say(&session, &ask("tools/list")).await;
    assert_eq!(reply, r#"{"jsonrpc":"2.0","id":"q","result":{"tools":[{"name":"a"}]}}"#);
    assert_eq!(gateway.row(), "request allow forwarded -");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_shown() {
    for result in [
        r#"{"tools":{"name":"secret"}}"#,
        r#"{"tools":[{"name":7}]}"#,
        r#"{"tools":[{"Name":"secret","name":"a"}]}"#,
        r#"{"Tools":[{"name":"secret"}]}"#,
        "[]",
    ] {
        let gateway = hiding().answering(result).start();
        let session = gateway.session().await;
        let (_, reply) = gateway.say(&session, &ask("tools/list")).await;
        assert!(reply.contains(r#""id":"q","error":{"code":-31004"#), "{reply}");
        assert!(!reply.contains("secret"), "{reply}");
        assert_eq!(gateway.row(), "request allow forwarded upstream_error");
    }
}

#[tokio::test]
async fn doubt_about_an_entry_hides_it_and_is_noted() {
    let gateway = Setup::default()
        .rules(|input| if input.tool == Some("odd") { failed() } else { allow() })
        .answering(r#"{"tools":[{"name":"odd"},{"name":"even"}]}"#)
        .start();
    let session = gateway.session().await;
    let (_, reply) = gateway.say(&session, &ask("tools/list")).await;
    assert!(reply.contains(r#"{"tools":[{"name":"even"}]}"#), "{reply}");
    let events = gateway.log.take();
    let [event] = &*events else { panic!("{events:?}") };
    assert_eq!(short(event), "request allow forwarded -");
    assert_eq!(event.error.as_deref(), Some("rules.rego:3: secret detail"));
}

#[tokio::test]
async fn a_huge_list_lets_others_have_their_turn() {
    let entries: Vec<_> = (0..1000).map(|n| format!(r#"{{"name":"secret_{n}"}}"#)).collect();
    let result = format!(r#"{{"tools":[{}]}}"#, entries.join(","));
    let gateway =
        hiding().capturing().server(move |_, _| now(Answer::Message(response(&result)))).start();
    let session = gateway.session().await;
    let question = ask("tools/list");
    let mut listing = std::pin::pin!(gateway.say(&session, &question));
    let mut turns = 0;
    let (_, reply) = std::future::poll_fn(|context| {
        turns += 1;
        listing.as_mut().poll(context)
    })
    .await;
    assert!(turns > 10, "{turns}");
    assert!(reply.contains(r#""result":{"tools":[]}"#), "{reply}");
    let events = gateway.log.take();
    let summary = events.first().unwrap().response_summary.as_deref().unwrap();
    assert!(summary.starts_with("hid 1000 of 1000 tools: secret_0, secret_1,"), "{summary}");
    assert_eq!(summary.len(), 200);
}
