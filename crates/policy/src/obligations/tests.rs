use domain::{Obligation, RateKey, Stage};
use regorus::Value;

use super::*;

fn decoded(stage: Stage, json: &str) -> Result<Vec<Obligation>, String> {
    let mut found = Vec::new();
    decode(stage, &serde_json::from_str(json).unwrap(), &mut found).map(|()| found)
}

/// What one obligation comes to at stage request.
#[track_caller]
fn check(json: &str, expected: Result<Obligation, &str>) {
    let expected = expected.map(|it| vec![it]).map_err(str::to_owned);
    assert_eq!(decoded(Stage::Request, &format!("[{json}]")), expected, "{json}");
}

#[track_caller]
fn check_refused(json: &str, error: &str) {
    check(json, Err(error));
}

#[test]
fn every_action_is_read() {
    check(
        r#"{"action": "redact", "path": "/a/*/b~1c", "with": "-"}"#,
        Ok(Obligation::Redact { path: "/a/*/b~1c".into(), with: "-".into() }),
    );
    check(
        r#"{"action": "redact", "path": "/a"}"#,
        Ok(Obligation::Redact { path: "/a".into(), with: "***".into() }),
    );
    // The form of the ancestor.
    check(
        r#"{"action": "strip", "params": {"path": "/a"}}"#,
        Ok(Obligation::Strip { path: "/a".into() }),
    );
    check(r#"{"action": "require_approval"}"#, Ok(Obligation::RequireApproval { message: None }));
    check(
        r#"{"action": "require_approval", "message": "look"}"#,
        Ok(Obligation::RequireApproval { message: Some("look".into()) }),
    );
    check(
        r#"{"action": "alert", "channel": "log", "severity": "high"}"#,
        Ok(Obligation::Alert { channel: "log".into(), severity: "high".into() }),
    );
    check(
        r#"{"action": "alert", "severity": "low"}"#,
        Ok(Obligation::Alert { channel: "log".into(), severity: "low".into() }),
    );
    check(r#"{"action": "log", "level": "warn"}"#, Ok(Obligation::Log { level: "warn".into() }));
    check(r#"{"action": "taint", "label": "pii"}"#, Ok(Obligation::Taint { label: "pii".into() }));
    check(
        r#"{"action": "set_header", "name": "X-Tenant", "value": "a b"}"#,
        Ok(Obligation::SetHeader { name: "x-tenant".into(), value: "a b".into() }),
    );
    check(
        r#"{"action": "deny_as", "code": -31999, "message": "no"}"#,
        Ok(Obligation::DenyAs { code: -31999, message: "no".into() }),
    );
}

#[test]
fn rate_limits_are_read() {
    let limit = |key: &[RateKey], seconds: u64, limit: u64| {
        let per = Duration::from_secs(seconds);
        Ok(Obligation::RateLimit(RateLimit { key: key.to_vec(), per, limit }))
    };
    check(
        r#"{"action": "rate_limit", "key": "agent", "per": "1m", "limit": 5}"#,
        limit(&[RateKey::Agent], 60, 5),
    );
    check(
        r#"{"action": "rate_limit", "key": ["tool", "agent", "tool"], "per": 3600, "limit": 0}"#,
        limit(&[RateKey::Agent, RateKey::Tool], 3600, 0),
    );
    let refused = |rest: &str, error: &str| {
        let json = format!(r#"{{"action": "rate_limit", {rest}}}"#);
        check_refused(&json, &format!("obligation `rate_limit`: {error}"));
    };
    refused(r#""per": "1m", "limit": 5"#, "parameter `key` is missing");
    refused(
        r#""key": "user", "per": "1m", "limit": 5"#,
        "`key` names none of `session`, `agent`, `identity`, `tool`, `server`, `source_ip`",
    );
    refused(r#""key": [], "per": "1m", "limit": 5"#, "a `key` is an array, not a string");
    refused(r#""key": "agent", "per": 0, "limit": 5"#, "`per` is not between 1 ns and 31 days");
    refused(
        r#""key": "agent", "per": "32days", "limit": 5"#,
        "`per` is not between 1 ns and 31 days",
    );
    refused(r#""key": "agent", "per": "1m", "limit": 1.5"#, "`limit` is not a whole number");
    refused(r#""key": "agent", "per": "1m", "limit": -1"#, "`limit` is not a whole number");
}

#[test]
fn what_cannot_be_carried_out_is_an_error() {
    check_refused("1", "an obligation is a number, not an object with `action`");
    check_refused("{}", "an obligation has no member `action`");
    check_refused(r#"{"action": 1}"#, "`action` of an obligation is a number");
    check_refused(
        r#"{"action": "bless"}"#,
        "obligation `bless`: this version knows no such action",
    );
    let detectors = "it needs detectors, which this version does not have";
    check_refused(
        r#"{"action": "tokenize", "path": "/a"}"#,
        &format!("obligation `tokenize`: {detectors}"),
    );
    check_refused(
        r#"{"action": "redact", "kind": "email"}"#,
        &format!("obligation `redact`: {detectors}"),
    );
    check_refused(r#"{"action": "strip"}"#, "obligation `strip`: parameter `path` is missing");
    check_refused(
        r#"{"action": "strip", "path": 1}"#,
        "obligation `strip`: `path` is a number, not a string",
    );
    let pointer = "obligation `strip`: `path` is no JSON pointer such as `/customer/*/email`";
    check_refused(r#"{"action": "strip", "path": "a"}"#, pointer);
    check_refused(r#"{"action": "strip", "path": "/a~2"}"#, pointer);
    // A mistyped parameter would be without effect.
    check_refused(
        r#"{"action": "redact", "path": "/a", "wiht": "-"}"#,
        "obligation `redact`: it has no parameter `\"wiht\"`",
    );
    check_refused(
        r#"{"action": "strip", "path": "/a", "params": {"path": "/b"}}"#,
        "obligation `strip`: it has parameters both in `params` and beside it",
    );
    check_refused(
        r#"{"action": "log", "level": "loud"}"#,
        "obligation `log`: `level` is none of `debug`, `info`, `warn`, `error`",
    );
    check_refused(
        r#"{"action": "alert", "channel": "pager", "severity": "high"}"#,
        "obligation `alert`: `channel` is none of `log`",
    );
    let code =
        "obligation `deny_as`: `code` is not a whole number of 32 bits outside of -32768 to -32000";
    check_refused(r#"{"action": "deny_as", "code": -32001, "message": "no"}"#, code);
    check_refused(r#"{"action": "deny_as", "code": 4294967296, "message": "no"}"#, code);
}

#[test]
fn headers_cannot_break_out_of_the_message() {
    let refused = |name: &str, value: &str, error: &str| {
        let json = serde_json::json!({ "action": "set_header", "name": name, "value": value });
        check_refused(&json.to_string(), &format!("obligation `set_header`: {error}"));
    };
    refused("x y", "v", "`name` is no name of an HTTP header");
    refused("x:", "v", "`name` is no name of an HTTP header");
    refused("Content-Length", "0", "the header `content-length` is the gateway's own");
    refused("Mcp-Session-Id", "0", "the header `mcp-session-id` is the gateway's own");
    let value = "`value` is no value of an HTTP header: printable ASCII";
    refused("x-a", "v\r\nx-b: w", value);
    refused("x-a", " v", value);
    refused("x-a", "ü", value);
}

#[test]
fn each_stage_carries_out_its_own() {
    #[track_caller]
    fn check(json: &str, stages: &[Stage]) {
        for stage in Stage::ALL {
            let found = decoded(stage, &format!("[{json}]"));
            assert_eq!(found.is_ok(), stages.contains(&stage), "{json} at {stage:?}: {found:?}");
        }
    }
    let both = [Stage::Request, Stage::Response];
    let messages = [Stage::Request, Stage::Response, Stage::ServerRequest, Stage::List];
    check(r#"{"action": "redact", "path": "/a"}"#, &both);
    check(r#"{"action": "strip", "path": "/a"}"#, &both);
    check(r#"{"action": "require_approval"}"#, &both[..1]);
    check(r#"{"action": "rate_limit", "key": "agent", "per": 1, "limit": 1}"#, &both[..1]);
    check(r#"{"action": "set_header", "name": "a", "value": "b"}"#, &both[..1]);
    check(r#"{"action": "alert", "channel": "log", "severity": "low"}"#, &messages);
    check(r#"{"action": "log", "level": "info"}"#, &messages);
    check(r#"{"action": "taint", "label": "a"}"#, &messages);
    check(r#"{"action": "deny_as", "code": 1, "message": "m"}"#, &Stage::ALL);
}

#[test]
fn collections_of_every_shape_are_read_once_each() {
    let one = Obligation::Taint { label: "a".into() };
    assert_eq!(decoded(Stage::Request, "null"), Ok(Vec::new()));
    assert_eq!(decoded(Stage::Request, "{}"), Ok(Vec::new()));
    let twice = r#"[{"action": "taint", "label": "a"}, {"action": "taint", "label": "a"}]"#;
    assert_eq!(decoded(Stage::Request, twice), Ok(vec![one.clone()]));
    let member: Value = serde_json::from_str(r#"{"action": "taint", "label": "a"}"#).unwrap();
    let keyed = Value::from_json_str("{}").map(|mut object| {
        object.as_object_mut().unwrap().insert(member, Value::Bool(true));
        object
    });
    let mut found = Vec::new();
    decode(Stage::Request, &keyed.unwrap(), &mut found).unwrap();
    assert_eq!(found, [one]);
    let many: Vec<_> = (0..33)
        .map(|number| serde_json::json!({ "action": "taint", "label": number.to_string() }))
        .collect();
    let many = serde_json::Value::from(many).to_string();
    assert_eq!(
        decoded(Stage::Request, &many),
        Err("a decision has more than 32 obligations".to_owned())
    );
    assert_eq!(
        decoded(Stage::Request, "\"redact\""),
        Err("`obligations` is a string, not a set or an array".to_owned())
    );
}
