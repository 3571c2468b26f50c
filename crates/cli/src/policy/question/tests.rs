use std::time::{Duration, Instant, SystemTime};

use super::*;

struct Fixed;

impl Clock for Fixed {
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn monotonic(&self) -> Instant {
        domain::SystemClock.monotonic()
    }
}

fn complete(input: &Value) -> Value {
    let mut settings = Settings::default();
    settings.policy.environment = "staging".to_owned();
    serde_json::from_str(&completed(input.to_string(), &settings, &Fixed)).unwrap()
}

#[test]
fn what_the_gateway_always_says_is_filled_in() {
    let expected = json!({
        "method": "tools/call",
        "tool": "read",
        "request": { "method": "tools/call", "tool": "read" },
        "stage": "request",
        "findings": [],
        "agent": {
            "id": "anonymous", "name": "", "capabilities": ["read:*"], "model": "", "publisher": "", "tags": [],
            "roles": [],
        },
        "identity": { "verified": false, "method": "configured", "did": "" },
        "session": { "id": "policy-eval", "request_count": 1, "started_at": "2023-11-14T22:13:20Z" },
        "server": { "name": "default", "transport": "stdio" },
        "context": { "timestamp": "2023-11-14T22:13:20Z", "environment": "staging", "transport": "http" },
    });
    assert_eq!(complete(&json!({ "method": "tools/call", "tool": "read" })), expected);
    assert_eq!(complete(&json!({ "request": expected["request"] })), expected);
    assert_eq!(complete(&expected), expected);
}

#[test]
fn what_is_given_wins() {
    let given = complete(&json!({
        "stage": "response",
        "method": "a",
        "request": { "method": "b" },
        "agent": { "id": "alice", "capabilities": [] },
        "session": { "request_count": 7 },
        "identity": null,
    }));
    assert_eq!(given["stage"], "response");
    assert_eq!((&given["method"], &given["request"]["method"]), (&json!("a"), &json!("b")));
    assert_eq!(given["agent"]["id"], "alice");
    assert_eq!(given["agent"]["capabilities"], json!([]));
    assert_eq!(given["agent"]["roles"], json!([]));
    assert_eq!(given["session"]["request_count"], 7);
    assert_eq!(given["session"]["id"], "policy-eval");
    assert_eq!(given["identity"], Value::Null);
}

#[test]
fn what_is_no_object_is_left_to_be_refused() {
    for text in ["", "no json", "[]", "1"] {
        assert_eq!(completed(text.to_owned(), &Settings::default(), &Fixed), text);
    }
}
