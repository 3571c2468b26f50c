mod asking;
mod fixture;
mod listening;
mod sessions;

use domain::MessageStream;
use futures_util::StreamExt;

use self::fixture::{ALL, call, modern, rig, say, with_meta};
use super::*;

/// What a server with sessions gets of a request, after its opening, and what the client gets back.
async fn check(request: String, sent: &str, answer: &'static str, seen: &str) {
    let rig = rig(true);
    rig.server.answers(answer);
    let response = rig.ask(&request).await.unwrap();
    assert_eq!(rig.server.log().last().unwrap(), sent);
    let text = std::str::from_utf8(response.bytes()).unwrap();
    assert_eq!(text, format!(r#"{{"jsonrpc":"2.0","id":7,{seen}}}"#));
}

#[tokio::test]
async fn requests_lose_the_envelope_and_results_get_theirs() {
    check(
        modern("7", "tools/list", r#"{"cursor":"c"}"#, "{}"),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"cursor":"c"}}"#,
        r#""result":{"tools":[],"nextCursor":"d"}"#,
        r#""result":{"tools":[],"nextCursor":"d","resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old","version":"1"}}}"#,
    )
    .await;
    check(
        with_meta(
            "7",
            "prompts/get",
            r#"{"name":"p","inputResponses":{"a":{}},"task":{"ttl":1}}"#,
            r#""io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"traceparent":"00-1""#,
        ),
        r#"{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"p","_meta":{"traceparent":"00-1"}}}"#,
        r#""result":{"messages":[],"_meta":{"x":1}}"#,
        r#""result":{"messages":[],"_meta":{"x":1,"io.modelcontextprotocol/serverInfo":{"name":"old","version":"1"}},"resultType":"complete"}"#,
    )
    .await;
    check(
        modern("7", "resources/read", r#"{"uri":"a:b"}"#, "{}"),
        r#"{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"a:b"}}"#,
        r#""error":{"code":-32002,"message":"none","data":{"uri":"a:b"}}"#,
        r#""error":{"code":-32602,"message":"none","data":{"uri":"a:b"}}"#,
    )
    .await;
    check(
        modern("7", "custom/thing", "{}", "{}"),
        r#"{"jsonrpc":"2.0","id":7,"method":"custom/thing","params":{}}"#,
        r#""error":{"code":-32601,"message":"no"}"#,
        r#""error":{"code":-32601,"message":"no"}"#,
    )
    .await;
}

#[tokio::test]
async fn discovery_is_read_from_the_opening() {
    let rig = rig(true);
    let discover = with_meta(
        r#""d""#,
        "server/discover",
        "{}",
        r#""io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}"#,
    );
    let discovered = rig.ask(&discover).await.unwrap();
    assert_eq!(
        discovered.result(),
        Some(
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"logging":{}},"ttlMs":0,"cacheScope":"private","instructions":"be kind","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old","version":"1"}}}"#
        )
    );
    assert_eq!(discovered.id(), Some(r#""d""#));
    assert_eq!(
        rig.server.log(),
        [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}},"clientInfo":{"name":"c","version":"1"}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ]
    );
    assert_eq!(rig.client.version(), Some(ProtocolVersion::V2025_11_25));
}

#[tokio::test]
async fn what_has_no_counterpart_is_refused() {
    let rig = rig(true);
    let check = async |method: &str, params: &str, kind| {
        let answer = rig.ask(&modern("1", method, params, "{}")).await;
        assert_eq!(answer.unwrap_err().kind, kind, "{method}");
    };
    check("ping", "{}", ErrorKind::MethodNotFound).await;
    check("logging/setLevel", r#"{"level":"info"}"#, ErrorKind::MethodNotFound).await;
    check("resources/subscribe", r#"{"uri":"a:b"}"#, ErrorKind::MethodNotFound).await;
    check("resources/unsubscribe", r#"{"uri":"a:b"}"#, ErrorKind::MethodNotFound).await;
    check("tasks/list", "{}", ErrorKind::MethodNotFound).await;
    check("tasks/get", r#"{"taskId":"1"}"#, ErrorKind::NotBridged).await;
    check("tasks/update", r#"{"taskId":"1"}"#, ErrorKind::NotBridged).await;
    check("tasks/cancel", r#"{"taskId":"1"}"#, ErrorKind::NotBridged).await;
    assert!(rig.server.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_client_cancels_by_id_and_many_by_leaving() {
    let one = rig(false);
    let (asked, end) = one.start(call("5"), 0).await;
    let again = one.ask(&call("5")).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::InvalidRequest);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#;
    assert!(matches!(one.send(cancel).await, Ok(Answer::Accepted)));
    end.closed().await;
    assert_eq!(asked.await.unwrap().unwrap_err().kind, ErrorKind::Abandoned);

    let many = rig(true);
    let (first, end) = many.start(call("5"), 0).await;
    let (_second, other) = many.start(call("5"), 1).await;
    first.abort();
    end.closed().await;
    assert!(!other.is_closed());
    many.client.close().await;
    other.closed().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_log_lines_asked_for_arrive() {
    let line = |level: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":1}}}}"#
        )
    };
    let rig = rig(true);
    let asking = |level: &str| {
        let level = format!(r#""io.modelcontextprotocol/logLevel":"{level}""#);
        with_meta("1", "tools/call", r#"{"name":"t"}"#, &level)
    };
    let (_asked, end) = rig.start(asking("warning"), 0).await;
    drop(end);
    let wish = asking("error");
    let (mut stream, end) = tokio::join!(rig.stream(&wish), async {
        let end = rig.server.call(1).await;
        for level in ["debug", "warning", "error", "alert"] {
            say(&end, &line(level)).await;
        }
        end
    });
    let mut seen = Vec::new();
    for _ in 0..2 {
        let line = stream.next().await.unwrap().unwrap();
        seen.push(protocol::object::get(line.params().unwrap(), "level").unwrap().to_owned());
    }
    assert_eq!(seen, [r#""error""#, r#""alert""#]);
    // The lower one was set for the first, and serves the second too.
    assert_eq!(rig.server.count("logging/setLevel"), 1);
    say(&end, r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#).await;
    assert_eq!(stream.next().await.unwrap().unwrap().kind(), Kind::Response);
    let (_asked, _end) = rig.start(asking("debug"), 2).await;
    assert_eq!(rig.server.count(r#""level":"debug""#), 1);
    let loud = rig.ask(&asking("loud")).await.unwrap_err();
    assert_eq!(loud.kind, ErrorKind::InvalidParams);
    // Without the wish, none.
    let (quiet, end) = rig.start(call("9"), 3).await;
    say(&end, &line("emergency")).await;
    say(&end, r#"{"jsonrpc":"2.0","id":9,"result":{"content":[]}}"#).await;
    assert!(quiet.await.unwrap().is_ok());
}
