use serde_json::json;

use super::*;

fn left(text: &str, document: &Value) -> Option<Vec<Module>> {
    let file = SourceFile { name: "p.rego".to_owned(), text: text.into() };
    let modules = [syntax::parse(&file).unwrap()];
    awake(&modules, &Graph::new(&modules), document)
}

/// Whether `body` of a member of `violations` can hold while the data is `document`.
#[track_caller]
fn check(body: &str, document: &Value, holds: bool) {
    let text = format!(
        "package mcp.policy\n\nimport rego.v1\n\nviolations contains \"ü\" if {{ {body} }}\n\nrest := 1\n"
    );
    let left = left(&text, document);
    assert_eq!(left.is_none(), holds, "{body}");
    for left in left.iter().flatten() {
        assert_eq!(left.file.text.len(), text.len());
        assert_eq!(left.file.text.find("rest"), text.find("rest"));
        assert!(!left.file.text.contains("violations"), "{}", left.file.text);
    }
}

#[test]
fn what_the_data_does_not_have_cannot_hold() {
    let document = json!({"x": {"on": true, "off": false, "null": null, "list": []}});
    for body in [
        "data.x.off",
        "data.x.missing",
        "data.y",
        "data.x[\"missing\"]",
        "data.x.on.deeper",
        "input.tool == \"a\"; data.y.enabled",
        "data.y[input.tool]",
        "data.y.z[_] == input.tool",
        "v := data.y[input.tool]; v > 1",
        "input.tool in data.y",
        "count(data.y) > 0",
        "lower(data.y[_]) == lower(input.tool)",
        "input.arguments[data.y]",
        "data.mcp.other",
    ] {
        check(body, &document, false);
    }
}

#[test]
fn whatever_is_not_certain_is_awake() {
    let document = json!({"x": {"on": true, "null": null, "zero": 0, "list": []}});
    for body in [
        "data.x.on",
        "data.x.null == null",
        "data.x.zero",
        "data.x.list",
        "input.tool in data.x.list",
        "data.x[input.tool]",
        "data[input.tool]",
        "not data.y",
        "not data.y.enabled",
        "not input.tool in data.y",
        "print(data.y)",
        "count([1 | data.y]) == 0",
        "every p in data.y { p == 1 }",
        "data.mcp.policy.rest == 2",
        "data.mcp.policy.other",
        "data.mcp",
        "data.y with data.y as true",
        "input.data.y",
    ] {
        check(body, &document, true);
    }
}

#[test]
fn only_collections_of_the_gateway_may_lose_a_member() {
    for rule in [
        "allow if data.y",
        "deny if data.y",
        "default deny := false",
        "decision := {\"allow\": true} if data.y",
        "helper contains 1 if data.y",
        "deny contains \"always\"",
        "deny[x] := 1 if { data.y; x := \"a\" }",
        "violations contains 1 if data.y\n\nallow if count(violations) == 0",
        "obligations contains 1 if data.y\n\ndeny contains \"a\" if data.mcp.policy.obligations[_]",
    ] {
        let text = format!("package mcp.policy\n\nimport rego.v1\n\n{rule}\n");
        assert!(left(&text, &json!({})).is_none(), "{rule}");
    }
    let elsewhere = "package other\n\nimport rego.v1\n\ndeny contains 1 if data.y\n";
    assert!(left(elsewhere, &json!({})).is_none());
}

#[test]
fn a_rule_of_the_other_dialect_sleeps_too() {
    let text =
        "package mcp.policy\n\ndeny[msg] { data.y; msg := \"a\" }\n\ndeny[msg] { msg := \"b\" }\n";
    let left = left(text, &json!({})).unwrap();
    let left = left.first().unwrap();
    assert!(left.v0 && left.rules.len() == 1, "{}", left.file.text);
}

/// To the parser a string ends before its closing quote.
#[test]
fn nothing_of_a_definition_that_sleeps_is_left() {
    let text = "package mcp.policy\n\nimport rego.v1\n\ndeny contains \"m\" if data.y == \"a\"\n\ndeny contains \"n\" if data.y == `a`\n\nrest := 1\n";
    let left = left(text, &json!({})).expect("it is parsed again");
    assert!(!left[0].file.text.contains(['"', '`']), "{}", left[0].file.text);
}
