//! What policy sees of a client before and beside its messages.

use std::sync::{Arc, Mutex};

use domain::{Decision, Fixed, Policy, PolicyInput, Stage};
use router::Options;
use testkit::ports::{LetNobodyIn, ScriptedUpstream, allowed};

use crate::Config;
use crate::fixture::{CALL, Gateway, INITIALIZE, USUAL, bare, in_session, post};

fn closed() -> Gateway {
    let server = (&Config::default(), ScriptedUpstream::obliging() as _, axum::Router::new());
    Gateway::under(Arc::new(LetNobodyIn), Options::default(), server)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_may_not_connect_is_told_so() {
    let gateway = closed();
    let answer = gateway.connect().ask(&post(USUAL, INITIALIZE)).await;
    assert_eq!((answer.status, answer.header("mcp-session-id")), (200, None));
    assert_eq!(answer.json()["error"]["code"], -31001);
    assert_eq!(answer.json()["error"]["message"], "nobody may connect");

    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mcp\r\n";
    let answer = gateway.connect().ask(&bare("GET /ws", upgrade)).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["error"]["data"]["kind"], "policy_denied");
    let rows = gateway.recorder.wait_for(2).await;
    for row in rows {
        let decided = (row.stage, row.decision.as_str(), row.forwarded);
        assert_eq!(decided, (Stage::Connect, "deny", false));
    }
    assert!(gateway.router.sessions().all().is_empty());
}

/// Keeps the headers that it is shown.
#[derive(Default)]
struct Shown(Mutex<Vec<String>>);

impl Policy for Shown {
    fn decide(&self, input: &PolicyInput<'_>) -> Decision {
        let headers = input.context.headers.iter().map(|(name, value)| format!("{name}={value}"));
        self.0.lock().unwrap().push(headers.collect::<Vec<_>>().join(" "));
        allowed()
    }

    fn examines(&self, _: Stage) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn policy_is_shown_the_headers_that_are_named_and_no_other() {
    let shown = Arc::new(Shown::default());
    let headers: Vec<Box<str>> = vec!["x-team".into(), "x-none".into(), "x-odd".into()];
    let options = Options { headers: headers.into(), ..Options::default() };
    let server = (&Config::default(), ScriptedUpstream::obliging() as _, axum::Router::new());
    let gateway = Gateway::under(Arc::new(Fixed(Arc::clone(&shown) as _)), options, server);
    let (mut client, id) = gateway.session().await;
    let with = "X-Team: a\r\nX-Other: c\r\nx-team: b\r\nX-Odd: \u{e9}\r\n";
    client.ask(&post(&format!("{}{with}", in_session(&id)), CALL)).await;
    assert_eq!(*shown.0.lock().unwrap(), ["", "x-team=a, b"]);
}
