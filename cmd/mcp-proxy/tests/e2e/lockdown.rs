//! `mcp-proxy lockdown`: at once nothing but ping, over restarts, and recorded.

use serde_json::json;

use crate::harness::gateway::{error_of, sample};
use crate::harness::{Config, Gateway, Upstream, until};

#[test]
fn a_lockdown_denies_everything_but_ping_until_it_is_over() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).operated());
    let mut client = gateway.client();
    assert_eq!(client.call_text("echo", json!({ "message": "before" })), "before");
    assert_eq!(gateway.operate(&["lockdown", "status"]), "lockdown off: policy decides\n");
    gateway.operate(&["lockdown", "on"]);
    until("it holds", || client.call("echo", json!({}))["error"].is_object());
    let reached = upstream.calls().len();
    let answer = client.call("echo", json!({}));
    assert_eq!(error_of(&answer), (-31001, "policy_denied".to_owned()));
    assert_eq!(answer["error"]["data"]["matched_rule"], "lockdown", "{answer}");
    assert!(client.request("tools/list", json!({}))["error"].is_object());
    assert!(client.request("ping", json!({}))["result"].is_object());
    assert_eq!(upstream.calls().len(), reached);
    assert_eq!(gateway.try_operate(&["lockdown", "status"]).code, 1);
    assert_eq!(gateway.ready(), Some(200));
    assert!(gateway.probe("/ready").text().contains("locked down"));
    assert_eq!(gateway.policy()["lockdown"], true);
    assert_eq!(sample(&gateway.scrape(), "mcp_proxy_lockdown", &[]), Some(1.0));

    let gateway = gateway.crash_and_restart();
    let mut client = crate::harness::Client::new(gateway.addr());
    let answer = client.request("initialize", crate::harness::initialize_params());
    assert_eq!(answer["error"]["data"]["matched_rule"], "lockdown", "over a restart: {answer}");
    gateway.operate(&["lockdown", "off"]);
    until("it is over", || sample(&gateway.scrape(), "mcp_proxy_lockdown", &[]) == Some(0.0));
    assert_eq!(gateway.client().call_text("echo", json!({ "message": "after" })), "after");
    let rows = gateway.finish();
    let acts = rows.iter().filter(|row| row.text("method") == "gateway/lockdown");
    assert!(acts.count() >= 2, "{rows:#?}");
    assert!(rows.iter().any(|row| row.text("matched_rule") == "lockdown"), "{rows:#?}");
}

#[test]
fn a_lockdown_holds_where_policy_does_not() {
    let upstream = Upstream::plain();
    for (key, value) in [("policy.enabled", json!(false)), ("policy.mode", json!("audit"))] {
        let gateway = Gateway::start(Config::new(upstream.addr).set(key, value));
        let mut client = gateway.client();
        assert_eq!(client.call_text("echo", json!({ "message": "x" })), "x", "{key}");
        gateway.operate(&["lockdown", "on"]);
        until("it holds", || client.call("echo", json!({}))["error"].is_object());
    }
}
