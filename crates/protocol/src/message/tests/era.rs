//! What makes a message one of the modern era, and what is then demanded of it.

use super::*;
use crate::Era;

const VERSION: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
const CAPABILITIES: &str = r#""io.modelcontextprotocol/clientCapabilities":{"roots":{}}"#;

/// A request whose `_meta` has the two members that the era demands, and these.
fn modern(method: &str, params: &str, meta: &str) -> Result<Message, ParseError> {
    request(method, &format!(r#"{{{params}"_meta":{{{VERSION},{CAPABILITIES}{meta}}}}}"#))
}

#[test]
fn an_envelope_says_who_asks_and_how() {
    let info = r#","io.modelcontextprotocol/clientInfo":{"name":"c"}"#;
    let level = r#","io.modelcontextprotocol/logLevel":"info","progressToken":4"#;
    let message = modern("tools/call", r#""name":"t","#, &[info, level].concat()).unwrap();
    assert_eq!(message.era(), Era::Modern);
    assert_eq!(message.envelope_version().as_deref(), Some("2026-07-28"));
    assert_eq!(message.client_capabilities(), Some(r#"{"roots":{}}"#));
    assert_eq!(message.client_info(), Some(r#"{"name":"c"}"#));
    assert_eq!(message.log_level().as_deref(), Some("info"));
    assert_eq!(message.progress_token(), Some("4"));
    assert_eq!(message.meta(), Some(&*format!("{{{VERSION},{CAPABILITIES}{info}{level}}}")));
    assert_eq!(message.protocol_version(), None);
    let bare = modern("tools/list", "", "").unwrap();
    assert_eq!((bare.client_info(), bare.log_level()), (None, None));
}

#[test]
fn without_a_version_nothing_is_demanded_and_nothing_means_anything() {
    let meta = r#"{"_meta":{"io.modelcontextprotocol/clientInfo":1,"io.modelcontextprotocol/clientCapabilities":[],
        "io.modelcontextprotocol/logLevel":{},"x":1},"inputResponses":1,"requestState":{}}"#;
    let message = request("tools/list", meta).unwrap();
    assert_eq!((message.era(), message.envelope_version()), (Era::Legacy, None));
    assert_eq!((message.client_info(), message.client_capabilities()), (None, None));
    assert_eq!(message.log_level(), None);
    assert!(message.meta().unwrap().starts_with("{\"io."));
    // Nor is a version elsewhere one.
    let elsewhere =
        request("x", &format!(r#"{{{VERSION},"arguments":{{"_meta":{{{VERSION}}}}}}}"#));
    assert_eq!(elsewhere.unwrap().era(), Era::Legacy);
}

#[test]
fn an_envelope_that_is_incomplete_or_of_other_types() {
    #[track_caller]
    fn check(params: &str, want: &str) {
        let error = request("tools/list", params).expect_err(params);
        assert_eq!((error.kind, error.id), (InvalidParams, Some(RequestId::from_token("7"))));
        assert!(error.what.starts_with(want), "{params}: {}", error.what);
    }
    let version = "`io.modelcontextprotocol/protocolVersion` in `params._meta` must be a string";
    let capabilities =
        "`io.modelcontextprotocol/clientCapabilities` in `params._meta` must be an object";
    for value in ["null", "20260728", "{}", "[\"2026-07-28\"]"] {
        let meta = format!(r#""io.modelcontextprotocol/protocolVersion":{value},{CAPABILITIES}"#);
        check(&format!(r#"{{"_meta":{{{meta}}}}}"#), version);
    }
    check(&format!(r#"{{"_meta":{{{VERSION}}}}}"#), capabilities);
    for (member, want) in [
        (r#""io.modelcontextprotocol/clientCapabilities":null"#, capabilities),
        (r#""io.modelcontextprotocol/clientCapabilities":[]"#, capabilities),
    ] {
        check(&format!(r#"{{"_meta":{{{member},{VERSION}}}}}"#), want);
    }
    for (meta, params, want) in [
        (
            r#","io.modelcontextprotocol/clientInfo":"c""#,
            "",
            "`io.modelcontextprotocol/clientInfo`",
        ),
        (r#","io.modelcontextprotocol/logLevel":1"#, "", "`io.modelcontextprotocol/logLevel`"),
        ("", r#""inputResponses":[],"#, "`params.inputResponses` must be an object"),
        ("", r#""requestState":{},"#, "`params.requestState` must be a string"),
    ] {
        let error = modern("tools/call", &format!(r#""name":"t",{params}"#), meta).unwrap_err();
        assert!(error.what.starts_with(want), "{}", error.what);
    }
}

#[test]
fn a_notification_need_not_say_what_the_client_can_do() {
    let body = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":1,"_meta":{{{VERSION}}}}}}}"#
    );
    let message = parse(body).unwrap();
    assert_eq!((message.era(), message.client_capabilities()), (Era::Modern, None));
}

#[test]
fn the_methods_of_the_legacy_era_say_it_elsewhere() {
    let params =
        r#"{"protocolVersion":"2025-11-25","capabilities":{"a":1},"clientInfo":{"name":"c"}}"#;
    let message = request("initialize", params).unwrap();
    assert_eq!((message.era(), message.client_capabilities()), (Era::Legacy, Some(r#"{"a":1}"#)));
    let other = request("tools/list", params).unwrap();
    assert_eq!((other.client_capabilities(), other.client_info()), (None, None));
    let level = request("logging/setLevel", r#"{"level":"war\u006eing"}"#).unwrap();
    assert_eq!(level.log_level().as_deref(), Some("warning"));
    assert_eq!(request("x", r#"{"level":"info"}"#).unwrap().log_level(), None);
}

#[test]
fn a_retry_brings_answers_and_state() {
    let params =
        r#""name":"t","inputResponses":{"a":{"action":"accept"}},"requestState":"s\u002f","#;
    let message = modern("tools/call", params, "").unwrap();
    assert_eq!(message.input_responses(), Some(r#"{"a":{"action":"accept"}}"#));
    assert_eq!(message.request_state(), Some(r#""s\u002f""#));
    assert_eq!((message.result_type(), message.input_requests()), (None, None));
}

#[test]
fn a_result_may_ask_for_input() {
    let result = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}},"requestState":"s"}"#;
    let message = parse(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)).unwrap();
    assert_eq!(message.result_type().as_deref(), Some("input_required"));
    assert_eq!(message.input_requests(), Some(r#"{"a":{"method":"roots/list"}}"#));
    assert_eq!((message.request_state(), message.input_responses()), (Some(r#""s""#), None));
    let plain = parse(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#).unwrap();
    assert_eq!((plain.result_type(), plain.input_requests()), (None, None));
    for result in [r#"{"resultType":1}"#, r#"{"resultType":null}"#] {
        let error = parse(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)).unwrap_err();
        assert!(error.what.contains("`result.resultType` must be a string"), "{}", error.what);
    }
}

#[test]
fn responses_have_no_era_whatever_else_they_hold() {
    let params = format!(r#"{{"requestState":"p","_meta":{{{VERSION}}}}}"#);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"requestState":"r"}},"params":{params}}}"#);
    let message = parse(body).unwrap();
    assert_eq!((message.era(), message.request_state()), (Era::Legacy, Some(r#""r""#)));
}

#[test]
fn subscriptions_and_tasks_have_names() {
    let filter = r#"{"toolsListChanged":true}"#;
    let listen =
        modern("subscriptions/listen", &format!(r#""notifications":{filter},"#), "").unwrap();
    assert_eq!((listen.notifications(), listen.subscription_id()), (Some(filter), None));
    let id = r#"{"io.modelcontextprotocol/subscriptionId":"l\u0031"}"#;
    let update = parse(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"_meta":{id},"uri":"u"}}}}"#
    ));
    assert_eq!(update.unwrap().subscription_id(), Some(r#""l\u0031""#));
    let end = parse(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"_meta":{id}}}}}"#)).unwrap();
    assert_eq!(end.subscription_id(), Some(r#""l\u0031""#));
    let call = request("tools/call", r#"{"name":"t","task":{"ttl":1}}"#).unwrap();
    assert_eq!((call.task(), call.task_id()), (Some(r#"{"ttl":1}"#), None));
    let get = request("tasks/get", r#"{"taskId":"a\u0062"}"#).unwrap();
    assert_eq!(get.task_id().as_deref(), Some("ab"));
}

#[test]
fn errors_have_a_code() {
    #[track_caller]
    fn check(code: &str, want: Option<i64>) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"message":"","code":{code}}}}}"#);
        assert_eq!(parse(body).unwrap().error_code(), want);
    }
    check("-32601", Some(-32601));
    check("0", Some(0));
    check("18446744073709551615", None);
    let answer = parse(r#"{"jsonrpc":"2.0","id":1,"result":{"code":1}}"#).unwrap();
    assert_eq!(answer.error_code(), None);
}

#[test]
fn headers_of_arguments_travel_with_the_message() {
    let message = request("tools/call", r#"{"name":"t"}"#).unwrap();
    assert_eq!(message.param_headers(), []);
    let header = ParamHeader { name: "Mcp-Param-A".into(), value: "1".into() };
    let message = message.with_param_headers(Arc::from([header.clone()]));
    assert_eq!(message.clone().param_headers(), [header]);
    assert_eq!(message.with_param_headers(Arc::from([])).param_headers(), []);
}
