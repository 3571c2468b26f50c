use super::*;

fn listen(id: &str, filter: &str) -> String {
    modern(id, "subscriptions/listen", &format!(r#"{{"notifications":{filter}}}"#), "{}")
}

const TOOLS: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

fn updated(uri: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"{uri}","_meta":{{"x":1}}}}}}"#
    )
}

async fn params(stream: &mut MessageStream) -> String {
    stream.next().await.unwrap().unwrap().params().unwrap().to_owned()
}

#[tokio::test]
async fn listeners_get_what_they_asked_for_under_their_own_ids() {
    let rig = rig(true);
    let all = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":false,"resourceSubscriptions":["a:1","a:1","b:"]}"#;
    let mut first = rig.stream(&listen(r#""l""#, all)).await;
    // What the server does not declare is not granted.
    assert_eq!(
        params(&mut first).await,
        r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":"l"},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:1","b:"]}}"#
    );
    let mut second = rig.stream(&listen("3", r#"{"resourceSubscriptions":["a:1"]}"#)).await;
    assert_eq!(
        params(&mut second).await,
        r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":3},"notifications":{"resourceSubscriptions":["a:1"]}}"#
    );
    assert_eq!(rig.server.count("resources/subscribe"), 2, "each resource once");

    rig.server.push(0, TOOLS).await;
    rig.server.push(0, &updated("c:1")).await;
    rig.server.push(0, &updated("a:12")).await;
    rig.server
        .push(0, r#"{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}"#)
        .await;
    rig.server.push(0, &updated("a:1/part")).await;
    assert_eq!(
        params(&mut first).await,
        r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":"l"}}"#
    );
    assert_eq!(
        params(&mut first).await,
        r#"{"uri":"a:1/part","_meta":{"x":1,"io.modelcontextprotocol/subscriptionId":"l"}}"#
    );
    assert_eq!(
        params(&mut second).await,
        r#"{"uri":"a:1/part","_meta":{"x":1,"io.modelcontextprotocol/subscriptionId":3}}"#
    );

    drop(first);
    rig.server.until(r#""resources/unsubscribe","params":{"uri":"b:"}"#).await;
    assert_eq!(rig.server.count(r#""resources/unsubscribe","params":{"uri":"a:1"}"#), 0);
    drop(second);
    rig.server.until(r#""resources/unsubscribe","params":{"uri":"a:1"}"#).await;
}

#[tokio::test]
async fn what_the_server_refuses_is_not_granted() {
    let rig = rig(true);
    rig.server.answers(r#""error":{"code":-32602,"message":"no"}"#);
    let mut stream = rig.stream(&listen("1", r#"{"resourceSubscriptions":["a:1"]}"#)).await;
    assert_eq!(
        params(&mut stream).await,
        r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"notifications":{}}"#
    );
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_is_refused() {
    let rig = rig(true);
    let check = async |uris: &str| {
        let filter = format!(r#"{{"resourceSubscriptions":{uris}}}"#);
        let failure = rig.ask(&listen("1", &filter)).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidParams);
    };
    check(r#""a:1""#).await;
    check("[1]").await;
    check(r#"[""]"#).await;
    let many: Vec<String> = (0..1_001).map(|index| format!(r#""a:{index}""#)).collect();
    check(&format!("[{}]", many.join(","))).await;
}

#[tokio::test]
async fn who_does_not_read_loses_the_stream() {
    let rig = rig(true);
    let tools = r#"{"toolsListChanged":true}"#;
    let slow = rig.stream(&listen("1", tools)).await;
    let mut quick = rig.stream(&listen("2", tools)).await;
    params(&mut quick).await;
    for _ in 0..300 {
        rig.server.push(0, TOOLS).await;
        params(&mut quick).await;
    }
    let slow: Vec<_> = slow.collect().await;
    assert_eq!(slow.len(), 1 + 256 + 1);
    let end = slow.into_iter().next_back().unwrap().unwrap_err();
    assert_eq!(end.kind, ErrorKind::Overloaded);
}

#[tokio::test]
async fn streams_are_bounded_and_end_well_with_their_session() {
    let rig = rig(true);
    let mut streams = Vec::new();
    for id in 0..1_024 {
        streams.push(rig.stream(&listen(&id.to_string(), "{}")).await);
    }
    let more = rig.ask(&listen(r#""a""#, "{}")).await.unwrap_err();
    assert_eq!(more.kind, ErrorKind::Overloaded);
    drop(streams.pop());
    let mut stream = rig.stream(&listen("7", "{}")).await;
    params(&mut stream).await;
    let session = rig.client.kept.pool.lease("{}", false, &crate::fixture::permit()).unwrap();
    session.session().listeners().end();
    let end = stream.next().await.unwrap().unwrap();
    assert_eq!(
        end.result(),
        Some(r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":7}}"#)
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn what_a_restarted_server_has_forgotten_is_asked_for_again() {
    let rig = rig(true);
    let all = r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}"#;
    let mut stream = rig.stream(&listen("1", all)).await;
    params(&mut stream).await;
    rig.server.lose(0, true);
    // The lists may have changed meanwhile.
    let changed = stream.next().await.unwrap().unwrap();
    assert_eq!(changed.method(), Some(Method::ToolsListChanged));
    assert_eq!(rig.server.count("resources/subscribe"), 2);
    rig.server.push(0, &updated("a:1")).await;
    let updated = stream.next().await.unwrap().unwrap();
    assert_eq!(updated.method(), Some(Method::ResourceUpdated));

    rig.server.answers(r#""error":{"code":-32602,"message":"no"}"#);
    rig.server.lose(0, true);
    // What is not served any more is not kept open.
    assert_eq!(stream.next().await.unwrap().unwrap().kind(), Kind::Response);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn log_lines_are_asked_for_again_after_a_restart() {
    let rig = rig(true);
    let asking = with_meta(
        "1",
        "tools/list",
        "{}",
        r#""io.modelcontextprotocol/logLevel":"debug","io.modelcontextprotocol/clientCapabilities":{}"#,
    );
    let mut stream = rig.stream(&listen("1", r#"{"toolsListChanged":true}"#)).await;
    params(&mut stream).await;
    rig.ask(&asking).await.unwrap();
    rig.ask(&asking).await.unwrap();
    assert_eq!(rig.server.count("logging/setLevel"), 1);
    rig.server.lose(0, true);
    params(&mut stream).await;
    rig.ask(&asking).await.unwrap();
    assert_eq!(rig.server.count("logging/setLevel"), 2);
}

#[tokio::test]
async fn streams_of_a_session_that_cannot_be_opened_again_end() {
    let rig = rig(true);
    let mut stream = rig.stream(&listen("1", r#"{"toolsListChanged":true}"#)).await;
    params(&mut stream).await;
    rig.server.lose(0, false);
    assert_eq!(stream.next().await.unwrap().unwrap().kind(), Kind::Response);
    assert!(stream.next().await.is_none());
}
