//! An input as a JSON document: for people, and for what asks policy about documents.

use domain::PolicyInput;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The whole document. Members that the message does not have are absent.
pub(crate) fn of(input: &PolicyInput<'_>) -> Value {
    let raw = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let time = |at| Timestamp::try_from(at).ok().map(|at| json!(at.to_string()));
    let text = |text: Option<&str>| text.map(Value::from);
    let PolicyInput { session, server, context, .. } = input;
    let message = || {
        [
            ("method", Some(json!(input.method))),
            ("tool", text(input.tool)),
            ("resource", text(input.resource)),
            ("prompt", text(input.prompt)),
            ("arguments", raw(input.arguments)),
        ]
    };
    let request = [("size", Some(json!(input.size)))].into_iter().chain(message());
    let client =
        object([("name", text(session.client_name)), ("version", text(session.client_version))]);
    let tool = server.tool.map(|tool| {
        object([
            ("description", text(tool.description.as_deref())),
            ("annotations", raw(tool.annotations.as_deref())),
            ("digest", Some(json!(tool.digest))),
            ("changed", Some(json!(tool.changed))),
        ])
    });
    let identity = json!({ "verified": input.identity.verified, "method": input.identity.method,
        "did": input.identity.did });
    let known = [
        ("id", text(session.id)),
        ("request_count", session.request_count.map(Value::from)),
        ("started_at", session.started_at.and_then(time)),
        ("protocol_version", text(session.protocol_version)),
        ("client", Some(client).filter(|client| *client != json!({}))),
    ];
    let mut session = object(known);
    if let (Value::Object(session), Value::Object(state)) =
        (&mut session, json!(&**input.session.state))
    {
        session.extend(state);
    }
    let members = [
        ("stage", Some(json!(input.stage.as_str()))),
        ("request", Some(object(request))),
        ("agent", Some(json!(&**input.agent))),
        ("identity", Some(identity)),
        ("session", Some(session)),
        (
            "server",
            Some(object([
                ("name", Some(json!(server.name))),
                ("transport", Some(json!(server.transport))),
                ("url", text(server.url)),
                ("tool", tool),
            ])),
        ),
        (
            "context",
            Some(object([
                ("timestamp", time(context.timestamp)),
                ("source_ip", context.source_ip.map(|ip| json!(ip.to_string()))),
                ("environment", Some(json!(context.environment))),
                ("transport", Some(json!(context.transport.as_str()))),
            ])),
        ),
        ("findings", Some(json!([]))),
    ];
    object(message().into_iter().chain(members))
}

/// The members that are there.
fn object<'a>(members: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    let there = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

/// Removes what is at `path`. In an array nothing is removed: what follows would move.
pub(crate) fn remove(value: &mut Value, path: &[String]) {
    let Some((last, above)) = path.split_last() else { return };
    let mut at = value;
    for step in above {
        let next = match at {
            Value::Object(members) => members.get_mut(step),
            Value::Array(items) => {
                step.parse::<usize>().ok().and_then(|index| items.get_mut(index))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        let Some(next) = next else { return };
        at = next;
    }
    if let Value::Object(members) = at {
        members.shift_remove(last);
    }
}

/// The parts of a document at which `wanted` says that all of it is read, and above them the objects in which they lie.
pub(crate) fn project(
    value: &Value,
    path: &mut Vec<String>,
    wanted: &impl Fn(&[String]) -> Wanted,
) -> Option<Value> {
    match (wanted(path), value) {
        (Wanted::Nothing, _) => None,
        (Wanted::Below, Value::Object(members)) => {
            let mut kept = Map::new();
            for (name, member) in members {
                path.push(name.clone());
                if let Some(member) = project(member, path, wanted) {
                    kept.insert(name.clone(), member);
                }
                path.pop();
            }
            Some(Value::Object(kept))
        }
        (Wanted::Below | Wanted::All, value) => Some(value.clone()),
    }
}

/// How much of a part of a document is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Nothing,
    Below,
    All,
}
