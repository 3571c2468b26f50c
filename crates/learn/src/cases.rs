//! Tests of a learned document, made from its entries: they hold no value that the document does not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::message::{Arguments, Subject};

/// The tests without their cases.
const TESTS: &str = include_str!("learned_test.rego");

/// The text of `learned_test.rego`: one case for each entry of `data.learned.agents`.
pub(crate) fn tests(agents: &Value) -> String {
    let mut cases = String::new();
    for (agent, servers) in members(Some(agents)) {
        for (server, groups) in members(Some(servers)) {
            for (method, subject) in subjects(groups) {
                let case = subject.document(agent, server, method);
                cases.push_str(&format!("\t{case},\n"));
            }
        }
    }
    format!("{TESTS}\ncases := [\n{cases}]\n")
}

/// What the entries of one server are about.
fn subjects(groups: &Value) -> Vec<(&'static str, Subject)> {
    let tools = members(groups.get("tools")).map(|(name, entry)| {
        let digest = members(entry.get("definitions")).next().map(|(digest, _)| digest.to_owned());
        let value = entry.get("arguments").map(sample).unwrap_or_default();
        let arguments = Some(Arguments { value, secrets: BTreeSet::new() });
        ("tools/call", Subject::Tool { name: name.to_owned(), digest, arguments })
    });
    let resources = members(groups.get("resources")).filter_map(|(scheme, entry)| {
        let uri = sample(entry.get("uri")?);
        // A text that stands for any other has no scheme.
        let uri = uri.as_str().filter(|uri| uri.split(':').next() == Some(scheme))?;
        Some(("resources/read", Subject::Resource(uri.to_owned())))
    });
    let prompts = members(groups.get("prompts"))
        .map(|(name, _)| ("prompts/get", Subject::Prompt(name.to_owned())));
    tools.chain(resources).chain(prompts).collect()
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}

/// A value on the rung that discloses nothing more than the rung does.
fn sample(rung: &Value) -> Value {
    let text = |name: &str| rung.get(name).and_then(Value::as_str).unwrap_or_default();
    let list = |name: &str| {
        let items = rung.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>()
    };
    match text("rung") {
        "const" | "one_of" => rung.pointer("/values/0").cloned().unwrap_or_default(),
        "prefix" => json!(list("prefix").join("/")),
        "host_suffix" => json!(format!("{}//{}", text("scheme"), list("host").join("."))),
        "range" => rung.get("min").cloned().unwrap_or_default(),
        "format" => json!(example(text("format"))),
        "type" => match list("types").first().copied() {
            Some("object") => {
                let members = members(rung.get("members"));
                members.map(|(name, rung)| (name.to_owned(), sample(rung))).collect()
            }
            Some("array") => Value::Array(rung.get("items").map(sample).into_iter().collect()),
            Some("boolean") => json!(true),
            Some("number") => json!(1),
            Some("string") => json!("text"),
            _ => Value::Null,
        },
        _ => json!({}),
    }
}

/// A text of the format.
fn example(format: &str) -> &'static str {
    match format {
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "date" => "2000-01-01",
        "date_time" => "2000-01-01T00:00:00Z",
        "time" => "00:00",
        "digits" => "0",
        "hex" => "00000000",
        "email" => "a@example.com",
        "url" => "https://example.com/",
        _ => "a",
    }
}

#[cfg(test)]
mod tests;
