//! List answers are filtered entry by entry, by the same policy.

use serde_json::{Value, json};

use crate::harness::{Config, Gateway, Kind, Upstream, until};

/// Hides what it also denies: entries of lists come with stage `list`.
const HIDE: &str = r#"package mcp.policy

default allow := true

deny contains "hidden" if input.tool == "delete_file"
deny contains "hidden" if contains(input.resource, "secret")
deny contains "hidden" if input.prompt == "secret"
"#;

fn names(list: &Value, member: &str) -> Vec<String> {
    let entries =
        list["result"][member].as_array().unwrap_or_else(|| panic!("no {member}: {list}"));
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn entries_that_policy_denies_are_not_shown() {
    for kind in [
        Kind { stateful: true, ..Kind::default() },
        Kind { stateful: true, sse: true, legacy: None },
    ] {
        let upstream = Upstream::start(kind);
        let gateway = Gateway::start(Config::new(upstream.addr).policy(HIDE));
        let mut client = gateway.client();
        let tools = client.request("tools/list", json!({}));
        assert_eq!(names(&tools, "tools"), ["echo", "read_file", "write_file", "hold"], "{tools}");
        for (method, member) in [
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
            ("prompts/list", "prompts"),
        ] {
            let list = client.request(method, json!({}));
            assert_eq!(names(&list, member), ["open"], "{list}");
        }
        let rows = gateway.finish();
        assert_eq!(
            rows.iter().filter(|row| row.text("method") == "tools/list").count(),
            1,
            "one row a message: {rows:#?}"
        );
    }
}

#[test]
fn lists_are_filtered_for_clients_and_servers_of_the_old_transport() {
    let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
    let config =
        Config::of(json!({ "url": format!("http://{}/sse", upstream.addr), "transport": "sse" }));
    let gateway = Gateway::start(config.policy(HIDE));
    let list = gateway.legacy_client().request("tools/list", json!({}));
    assert!(!names(&list, "tools").contains(&"delete_file".to_owned()), "{list}");
}

#[test]
fn a_rule_may_read_the_stage_and_the_description_of_an_entry() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\ndefault allow := true\n\ndeny contains \"described\" if {\n\tinput.stage == \"list\"\n\tcontains(input.server.tool.description, \"does write\")\n}\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let mut client = gateway.client();
    let list = client.request("tools/list", json!({}));
    assert_eq!(names(&list, "tools"), ["echo", "read_file", "delete_file", "hold"], "{list}");
    assert_eq!(
        client.call_text("write_file", json!({})),
        "ran write_file",
        "only stage `list` is denied"
    );
}

#[test]
fn in_audit_mode_nothing_is_hidden() {
    let upstream = Upstream::plain();
    let gateway =
        Gateway::start(Config::new(upstream.addr).policy(HIDE).set("policy.mode", "audit"));
    let list = gateway.client().request("tools/list", json!({}));
    assert_eq!(names(&list, "tools").len(), 5, "{list}");
}

#[test]
fn an_entry_on_which_policy_fails_is_not_shown() {
    let upstream = Upstream::plain();
    let policy = "package mcp.policy\n\nallow if input.stage != \"list\"\n\nallow := \"yes\" if input.tool == \"echo\"\n\nallow if input.tool == \"hold\"\n";
    let gateway = Gateway::start(Config::new(upstream.addr).policy(policy));
    let list = gateway.client().request("tools/list", json!({}));
    assert_eq!(names(&list, "tools"), ["hold"], "{list}");
}

#[test]
fn no_manner_of_answering_gets_a_list_past_the_filter() {
    let upstream = Upstream::plain();
    let gateway =
        Gateway::start(Config::new(upstream.addr).policy(HIDE).set("upstream.timeout", "1s"));
    for way in [
        "odd type",
        "no type",
        "created",
        "bad event first",
        "odd stream type",
        "split data",
        "carriage returns",
        "another event name",
        "other stream",
        "batch",
        "twice",
    ] {
        let mut client = gateway.client();
        let mut stream = client.listen();
        until("the gateway listens to the server", || upstream.open_streams() > 0);
        let list = client.request("tools/list", json!({ "cursor": way }));
        assert!(!list.to_string().contains("delete_file"), "{way}: {list}");
        assert!(list["error"].is_object() || names(&list, "tools").len() == 4, "{way}: {list}");
        client.delete();
        while let Some(event) = stream.next().unwrap() {
            assert!(!event.data.contains("delete_file"), "{way}: {}", event.data);
        }
    }
}
