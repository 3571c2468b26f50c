//! What a row says.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use domain::{Answer, AuditEvent, Decision, ErrorKind, Obligation, Outcome};
use futures_util::{FutureExt, StreamExt, stream};
use testkit::clock::ManualClock;

use super::fixture::*;
use crate::ReplyBody;

fn only(gateway: &Gateway) -> AuditEvent {
    gateway.settled();
    let mut events = gateway.log.take();
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

const ANSWER: &str = r#"{"content":[{"type":"text","text":"hello"}]}"#;

#[tokio::test]
async fn a_row_names_the_message_its_sender_and_the_decision() {
    let setup = Setup::default().answering(ANSWER).rules(|_| Decision {
        matched_rule: Some("data.mcp.policy.allow".into()),
        obligations: [Obligation::Log { level: "debug".into() }].into(),
        ..allow()
    });
    let gateway = setup.start();
    let session = gateway.session().await;
    gateway.clock.advance(Duration::from_secs(5));
    let (_, reply) = gateway.say(&session, CALL).await;
    let event = only(&gateway);
    assert_eq!(event.received_at, SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    assert_eq!(event.session_id.as_ref(), Some(session.id()));
    assert_eq!((&*event.method, event.tool.as_deref()), ("tools/call", Some("read_file")));
    assert_eq!((event.prompt, event.resource_uri), (None, None));
    assert_eq!((&*event.server, &*event.environment), ("files", "test"));
    assert_eq!(event.user_agent.as_deref(), Some("probe/7"));
    assert_eq!(event.source_ip, caller().source_ip);
    assert_eq!(event.protocol_version, Some("2025-06-18"));
    assert_eq!(event.decision, Outcome::Allow);
    assert_eq!(event.matched_rule.as_deref(), Some("data.mcp.policy.allow"));
    assert_eq!(*event.obligations, [Obligation::Log { level: "debug".into() }]);
    assert_eq!(event.policy_revision.as_deref(), Some("r1"));
    assert_eq!(event.request_bytes, CALL.len() as u64);
    assert_eq!(event.response_bytes, reply.len() as u64);
    assert_eq!((event.error, event.error_kind), (None, None));
    assert_eq!((event.arguments, event.response_summary), (None, None), "nobody asked");
}

#[tokio::test]
async fn resources_and_prompts_have_columns_of_their_own() {
    let gateway = Setup::default().start();
    let session = gateway.session().await;
    let check = async |method: &str, params: &str, uri: Option<&str>, prompt: Option<&str>| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        gateway.say(&session, &body).await;
        let event = only(&gateway);
        assert_eq!((event.resource_uri.as_deref(), event.prompt.as_deref()), (uri, prompt));
        assert_eq!((&*event.method, event.tool), (method, None));
    };
    check("resources/read", r#"{"uri":"file:///a"}"#, Some("file:///a"), None).await;
    check("prompts/get", r#"{"name":"hi"}"#, None, Some("hi")).await;
    check("made/up", r#"{"name":"hi"}"#, None, None).await;
}

#[tokio::test]
async fn a_denial_in_the_row_and_in_the_reply_have_the_same_names() {
    let gateway = Setup::default().rules(|_| deny("not this")).start();
    let reply = gateway.post(INITIALIZE, None).await;
    let (_, reply) = read(reply).await;
    let event = only(&gateway);
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    let data = &reply["error"]["data"];
    assert_eq!(data["decision_id"], event.decision_id.to_string());
    assert_eq!(data["request_id"], event.request_id.to_string());
    assert_eq!(data["kind"], "policy_denied");
    assert_eq!(data["reasons"], serde_json::json!(["not this"]));
    assert_eq!(data["retryable"], false);
    assert_eq!(data["docs"], "mcp-proxy explain policy_denied");
    assert_eq!(event.reasons.first().unwrap().message, "not this");
    assert!(!event.forwarded);
}

#[tokio::test]
async fn contents_are_kept_only_when_asked_for() {
    let gateway = Setup::default().capturing().answering(ANSWER).start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    let event = only(&gateway);
    assert_eq!(event.arguments.as_deref(), Some(r#"{"path":"a.txt"}"#));
    assert_eq!(event.response_summary.as_deref(), Some(ANSWER));

    let long = format!(r#"{{"x":"{}"}}"#, "é".repeat(40_000));
    let setup = Setup::default().capturing();
    let gateway = setup.server(move |_, _| now(Answer::Message(response(&long)))).start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    let summary = only(&gateway).response_summary.unwrap();
    assert_eq!(&*summary, "80008 bytes", "of what is too large only the size is kept");
}

#[tokio::test]
async fn the_operator_reads_what_the_client_does_not() {
    let gateway = Setup::default().server(|_, _| failing(ErrorKind::UpstreamError)).start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    assert_eq!(only(&gateway).error.as_deref(), Some("at 10.0.0.7:99"));

    let broken = Setup::default()
        .audit()
        .server(|_, _| failing(ErrorKind::UpstreamError))
        .rules(|input| if input.tool.is_some() { failed() } else { allow() });
    let gateway = broken.start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    let error = only(&gateway).error;
    assert_eq!(error.as_deref(), Some("rules.rego:3: secret detail; at 10.0.0.7:99"));
}

const PROGRESS: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;

/// Milliseconds: total, policy, inspect, upstream.
fn split(event: &AuditEvent) -> [u128; 4] {
    let latency = event.latency;
    [latency.total, latency.policy, latency.inspect, latency.upstream].map(|it| it.as_millis())
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A gateway whose policy takes 2 ms a decision, of which it says 1 ms, and whose server takes 10 ms
/// an answer.
fn timed(answer: fn() -> Answer) -> Gateway {
    // The clock comes with the gateway, and what moves it goes into the gateway.
    let clock = Arc::new(OnceLock::<Arc<ManualClock>>::new());
    let advance = |by| {
        let clock = Arc::clone(&clock);
        move || clock.get().into_iter().for_each(|clock| clock.advance(by))
    };
    let (decide, serve) = (advance(ms(2)), advance(ms(10)));
    let gateway = Setup::default()
        .examining()
        .rules(move |_| {
            decide();
            Decision { elapsed: ms(1), ..allow() }
        })
        .server(move |_, _| {
            let serve = serve.clone();
            Box::pin(async move {
                serve();
                Ok(answer())
            })
        })
        .start();
    clock.set(Arc::clone(&gateway.clock)).unwrap();
    gateway
}

#[tokio::test]
async fn the_time_is_split() {
    let gateway = timed(|| Answer::Message(response(ANSWER)));
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    assert_eq!(split(&only(&gateway)), [14, 2, 1, 10]);

    // Decisions on entries are time of policy, not of looking into the answer.
    let gateway = timed(|| Answer::Message(response(r#"{"tools":[{"name":"a"},{"name":"b"}]}"#)));
    let session = gateway.session().await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    gateway.say(&session, list).await;
    assert_eq!(split(&only(&gateway)), [18, 4, 3, 10]);
    let seconds = r#"mcp_proxy_request_duration_seconds_count{method="tools/list"}"#;
    assert_eq!(gateway.metric(seconds), 1);
}

#[tokio::test]
async fn time_between_the_events_of_a_stream_is_the_servers() {
    let gateway = timed(|| Answer::Stream(stream::iter([Ok(response("{}"))]).boxed()));
    let session = gateway.session().await;
    let reply = gateway.post(CALL, Some(session.token().expose())).await;
    // The client takes its time to read: neither the server's nor ours.
    gateway.clock.advance(ms(100));
    read(reply).await;
    assert_eq!(split(&only(&gateway)), [114, 2, 1, 10]);
}

#[tokio::test]
async fn time_waited_in_vain_is_the_servers() {
    let gateway = Setup::default()
        .server(|message, _| match message.name() {
            Some(_) => Box::pin(std::future::pending()),
            None => obliging(&message),
        })
        .start();
    let session = gateway.session().await;
    let mut call = Box::pin(gateway.say(&session, CALL));
    assert!((&mut call).now_or_never().is_none());
    gateway.clock.advance(ms(30));
    drop(call);
    let event = only(&gateway);
    assert_eq!(split(&event), [30, 0, 0, 30]);
    assert_eq!(event.error.as_deref(), Some("the client went away before the answer"));
}

#[tokio::test]
async fn every_outcome_is_counted() {
    let gateway = Setup::default()
        .rules(|input| match input.tool {
            Some("write_file") => deny("read only"),
            _ => Decision { cached: true, ..allow() },
        })
        .start();
    let session = gateway.session().await;
    gateway.say(&session, CALL).await;
    gateway.say(&session, &CALL.replace("read_file", "write_file")).await;
    for (name, value) in [
        (r#"mcp_proxy_requests_total{method="tools/call",status="ok"}"#, 1),
        (r#"mcp_proxy_requests_total{method="tools/call",status="denied"}"#, 1),
        (r#"mcp_proxy_requests_total{method="initialize",status="ok"}"#, 1),
        (r#"mcp_proxy_policy_decisions_total{decision="allow",mode="enforce",stage="request"}"#, 2),
        (r#"mcp_proxy_policy_decisions_total{decision="deny",mode="enforce",stage="request"}"#, 1),
        ("mcp_proxy_policy_cache_hits_total", 2),
        ("mcp_proxy_policy_cache_misses_total", 1),
        (r#"mcp_proxy_upstream_requests_total{server="files",status="ok"}"#, 2),
        ("mcp_proxy_requests_in_flight", 0),
    ] {
        assert_eq!(gateway.metric(name), value, "{name}");
    }
}

#[tokio::test]
async fn time_in_which_the_client_reads_is_nobodys() {
    let gateway = Setup::default().streaming(&[PROGRESS, PROGRESS]).start();
    let session = gateway.session().await;
    let reply = gateway.post(CALL, Some(session.token().expose())).await;
    let ReplyBody::Events(mut events) = reply.body else { panic!("not a stream") };
    events.next().await.unwrap();
    gateway.clock.advance(ms(100));
    drop(events);
    let events = gateway.log.take();
    let event = events.last().unwrap();
    assert_eq!(split(event), [100, 0, 0, 0]);
    assert_eq!(event.response_bytes, PROGRESS.len() as u64, "what was sent so far");
}
