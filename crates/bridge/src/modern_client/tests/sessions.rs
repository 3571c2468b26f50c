use super::*;

fn list(declared: &str) -> String {
    modern("1", "tools/list", "{}", declared)
}

#[tokio::test]
async fn who_declares_the_same_shares_a_session_which_is_opened_once() {
    let rig = rig(true);
    let same = [
        r#"{"sampling":{},"roots":{"a":1,"b":{}}}"#,
        r#"{ "roots" : {"b":{}, "a":1}, "sampling":{} }"#,
        r#"{"sampling":{},"extensions":{"x/y":{}},"roots":{"a":1,"b":{}},"tasks":{}}"#,
    ];
    let requests = same.map(list);
    let [a, b, c] = &requests;
    let (a, b, c) = tokio::join!(rig.ask(a), rig.ask(b), rig.ask(c));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(rig.server.count("initialize\""), 1);
    rig.ask(&list("{}")).await.unwrap();
    assert_eq!(rig.server.count("initialize\""), 2);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_leave_a_session_half_open() {
    let rig = rig(true);
    let request = list("{}");
    let asked = rig.ask(&request);
    futures_util::pin_mut!(asked);
    // The first poll hands the opening to a task; then the client goes.
    assert!(futures_util::poll!(asked.as_mut()).is_pending());
    rig.server.until("notifications/initialized").await;
    rig.ask(&request).await.unwrap();
    assert_eq!(rig.server.count("initialize\""), 1);
}

#[tokio::test]
async fn a_server_that_refuses_is_asked_again_by_the_next_request() {
    let rig = rig(true);
    let check = async |opened: Result<&'static str, i32>| {
        rig.server.opens(opened);
        let failure = rig.ask(&list("{}")).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::UpstreamError);
        assert!(failure.unsent, "the client's own request went nowhere");
    };
    check(Err(-32000)).await;
    check(Ok(r#"{"protocolVersion":"2026-07-28","capabilities":{}}"#)).await;
    check(Ok(r#"{"protocolVersion":"1999-01-01","capabilities":{}}"#)).await;
    check(Ok("{}")).await;
    rig.server.opens(Ok(fixture::OPENED));
    assert!(rig.ask(&list("{}")).await.is_ok());
    assert_eq!(rig.server.until("closed").await, 4);
}

#[tokio::test]
async fn sessions_are_bounded_and_the_one_idle_longest_goes() {
    let rig = rig(true);
    let declared = |index: usize| format!(r#"{{"experimental":{{"n{index}":{{}}}}}}"#);
    for index in 0..64 {
        rig.ask(&list(&declared(index))).await.unwrap();
        rig.clock.advance(Duration::from_secs(1));
    }
    rig.ask(&list(&declared(0))).await.unwrap();
    assert_eq!(rig.server.count("closed"), 0);
    rig.ask(&list(&declared(64))).await.unwrap();
    assert_eq!(rig.server.until("closed").await, 1);
    rig.ask(&list(&declared(0))).await.unwrap();
    assert_eq!(rig.server.count("initialize\""), 65, "the second went, not the first");
    let huge = format!(r#"{{"experimental":{{"n":"{}"}}}}"#, "x".repeat(16 * 1024));
    assert_eq!(rig.ask(&list(&huge)).await.unwrap_err().kind, ErrorKind::InvalidParams);
}

#[tokio::test(start_paused = true)]
async fn sessions_in_use_stay_and_others_are_swept() {
    let rig = rig(true);
    for index in 0..64 {
        let declared = format!(r#"{{"experimental":{{"n{index}":{{}}}}}}"#);
        let call = modern("1", "tools/call", r#"{"name":"t"}"#, &declared);
        drop(rig.start(call, index).await);
    }
    assert_eq!(rig.ask(&list("{}")).await.unwrap_err().kind, ErrorKind::Overloaded);
    rig.clock.advance(Duration::from_secs(3_600));
    rig.client.kept.pool.sweep();
    assert_eq!(rig.ask(&list("{}")).await.unwrap_err().kind, ErrorKind::Overloaded);
    rig.server.forget_calls();
    // The calls end now that their streams have; the last request to end was just used.
    let freed = async {
        while rig.ask(&list("{}")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), freed).await.unwrap();
    rig.clock.advance(Duration::from_secs(599));
    rig.client.kept.pool.sweep();
    tokio::task::yield_now().await;
    let before = rig.server.count("closed");
    rig.clock.advance(Duration::from_secs(1));
    rig.client.kept.pool.sweep();
    rig.ask(&list("{}")).await.unwrap();
    assert!(rig.server.until("closed").await > before);
}

#[tokio::test]
async fn closing_ends_every_session() {
    let rig = rig(true);
    rig.ask(&list("{}")).await.unwrap();
    rig.ask(&list(ALL)).await.unwrap();
    rig.client.close().await;
    assert_eq!(rig.server.count("closed"), 2);
    assert_eq!(rig.ask(&list("{}")).await.unwrap_err().kind, ErrorKind::Abandoned);
}
