//! `input`, projected on a read set: as a Rego value for the engines, and as bytes for the decision cache.
//!
//! Both are made from the same fields and nothing else, so equal bytes mean equal values. Text of JSON members enters
//! the bytes as it was sent, which is finer than the value and needs no parsing on a hit. What stays the same over
//! many messages (agent, identity, member names) is built once a thread.

use std::sync::Arc;
use std::time::SystemTime;

use domain::{Agent, Identity, PolicyInput, Stage};
use jiff::Timestamp;
use regorus::Value;
use regorus::value::Object;

use crate::fields::{Field, Fields};

/// How many agents and identities a thread remembers.
const REMEMBERED: usize = 32;

/// Builds inputs on one thread.
pub(crate) struct InputBuilder {
    /// Member names, in the order of [`Field::ALL`]: of the field, and of the object that it lies in.
    names: Vec<(Value, Option<Value>)>,
    stages: Vec<Value>,
    empty: Value,
    agents: Vec<Remembered<Agent>>,
    identities: Vec<Remembered<Identity>>,
}

struct Remembered<T> {
    source: Arc<T>,
    value: Value,
    bytes: Box<[u8]>,
}

impl InputBuilder {
    pub(crate) fn new() -> Self {
        let names = Field::ALL
            .iter()
            .map(|(_, path)| match path {
                [group, name] => (Value::from(*name), Some(Value::from(*group))),
                [name] => (Value::from(*name), None),
                _ => (Value::Undefined, None),
            })
            .collect();
        Self {
            names,
            stages: Stage::ALL.iter().map(|stage| Value::from(stage.as_str())).collect(),
            empty: Value::new_array(),
            agents: Vec::new(),
            identities: Vec::new(),
        }
    }

    /// The value of `input`.
    ///
    /// # Errors
    ///
    /// When a member that holds JSON cannot be read, with the reason.
    pub(crate) fn value(
        &mut self,
        fields: Fields,
        input: &PolicyInput<'_>,
    ) -> Result<Value, String> {
        let mut root = Object::new();
        let mut group: Option<(Value, Object)> = None;
        for (index, (field, _)) in Field::ALL.iter().enumerate() {
            if !fields.contains(*field) {
                continue;
            }
            let Some(value) = self.field(*field, input)? else { continue };
            let Some((name, parent)) = self.names.get(index) else { continue };
            match (parent, &mut group) {
                (None, _) => {
                    root.insert(name.clone(), value);
                }
                (Some(parent), Some((open, members))) if parent == open => {
                    members.insert(name.clone(), value);
                }
                (Some(parent), _) => {
                    let mut members = Object::new();
                    members.insert(name.clone(), value);
                    if let Some((name, members)) = group.replace((parent.clone(), members)) {
                        root.insert(name, members.into_value());
                    }
                }
            }
        }
        if let Some((name, members)) = group {
            root.insert(name, members.into_value());
        }
        Ok(root.into_value())
    }

    fn field(&mut self, field: Field, input: &PolicyInput<'_>) -> Result<Option<Value>, String> {
        let text = |text: Option<&str>| Ok(text.map(Value::from));
        match field {
            Field::Stage => Ok(self.stages.get(stage_index(input.stage)).cloned()),
            Field::Method | Field::RequestMethod => text(Some(input.method)),
            Field::Tool | Field::RequestTool => text(input.tool),
            Field::Resource | Field::RequestResource => text(input.resource),
            Field::Prompt | Field::RequestPrompt => text(input.prompt),
            Field::Arguments | Field::RequestArguments => json("arguments", input.arguments),
            Field::Findings => Ok(Some(self.empty.clone())),
            Field::Result => json("result", result(input)),
            Field::Agent => Ok(Some(self.agent(input.agent).value.clone())),
            Field::Identity => Ok(Some(self.identity(input.identity).value.clone())),
            Field::RequestId => json("id", input.id),
            Field::RequestParams => json("params", input.params),
            Field::RequestSize => Ok(Some(Value::from(input.size))),
            Field::SessionId => text(input.session.id),
            Field::SessionCount => Ok(input.session.request_count.map(Value::from)),
            Field::SessionStarted => Ok(input.session.started_at.and_then(timestamp)),
            Field::SessionVersion => text(input.session.protocol_version),
            Field::SessionClient => Ok(object(&[
                ("name", input.session.client_name.map(Value::from)),
                ("version", input.session.client_version.map(Value::from)),
            ])),
            Field::ServerName => text(Some(input.server.name)),
            Field::ServerTransport => text(Some(input.server.transport)),
            Field::ServerUrl => text(input.server.url),
            Field::ServerTool => Ok(object(&[
                ("description", input.server.tool_description.map(Value::from)),
                ("annotations", json("annotations", input.server.tool_annotations)?),
            ])),
            Field::ContextTimestamp => Ok(timestamp(input.context.timestamp)),
            Field::ContextSourceIp => {
                Ok(input.context.source_ip.map(|ip| Value::from(ip.to_string())))
            }
            Field::ContextEnvironment => text(Some(input.context.environment)),
            Field::ContextTransport => text(Some(input.context.transport.as_str())),
        }
    }

    /// Appends the key of `input` under `fields`: equal keys mean equal values.
    pub(crate) fn key(&mut self, fields: Fields, input: &PolicyInput<'_>, key: &mut Vec<u8>) {
        // Always there, so that a stage never meets another's decisions.
        key.push(stage_index(input.stage) as u8);
        for (field, _) in Field::ALL {
            if fields.contains(*field) {
                self.field_key(*field, input, key);
            }
        }
    }

    fn field_key(&mut self, field: Field, input: &PolicyInput<'_>, key: &mut Vec<u8>) {
        match field {
            Field::Stage | Field::Findings => {}
            Field::Method | Field::RequestMethod => part(key, Some(input.method)),
            Field::Tool | Field::RequestTool => part(key, input.tool),
            Field::Resource | Field::RequestResource => part(key, input.resource),
            Field::Prompt | Field::RequestPrompt => part(key, input.prompt),
            Field::Arguments | Field::RequestArguments => part(key, input.arguments),
            Field::Result => part(key, result(input)),
            Field::Agent => key.extend_from_slice(&self.agent(input.agent).bytes),
            Field::Identity => key.extend_from_slice(&self.identity(input.identity).bytes),
            Field::RequestId => part(key, input.id),
            Field::RequestParams => part(key, input.params),
            Field::RequestSize => key.extend_from_slice(&input.size.to_le_bytes()),
            Field::SessionId => part(key, input.session.id),
            Field::SessionCount => match input.session.request_count {
                Some(count) => {
                    key.push(1);
                    key.extend_from_slice(&count.to_le_bytes());
                }
                None => part(key, None),
            },
            Field::SessionStarted => match input.session.started_at {
                Some(time) => {
                    key.push(1);
                    time_key(key, time);
                }
                None => part(key, None),
            },
            Field::SessionVersion => part(key, input.session.protocol_version),
            Field::SessionClient => {
                part(key, input.session.client_name);
                part(key, input.session.client_version);
            }
            Field::ServerName => part(key, Some(input.server.name)),
            Field::ServerTransport => part(key, Some(input.server.transport)),
            Field::ServerUrl => part(key, input.server.url),
            Field::ServerTool => {
                part(key, input.server.tool_description);
                part(key, input.server.tool_annotations);
            }
            Field::ContextTimestamp => time_key(key, input.context.timestamp),
            Field::ContextSourceIp => match input.context.source_ip {
                Some(ip) => part(key, Some(&ip.to_string())),
                None => part(key, None),
            },
            Field::ContextEnvironment => part(key, Some(input.context.environment)),
            Field::ContextTransport => part(key, Some(input.context.transport.as_str())),
        }
    }

    fn agent(&mut self, agent: &Arc<Agent>) -> &Remembered<Agent> {
        remembered(&mut self.agents, agent, |agent| {
            let list = |items: &[Arc<str>]| {
                Some(items.iter().map(|item| Value::from(&**item)).collect::<Vec<_>>().into())
            };
            object(&[
                ("id", Some(Value::from(&*agent.id))),
                ("name", Some(Value::from(&*agent.name))),
                ("capabilities", list(&agent.capabilities)),
                ("model", Some(Value::from(&*agent.model))),
                ("publisher", Some(Value::from(&*agent.publisher))),
                ("tags", list(&agent.tags)),
                ("roles", list(&agent.roles)),
            ])
        })
    }

    fn identity(&mut self, identity: &Arc<Identity>) -> &Remembered<Identity> {
        remembered(&mut self.identities, identity, |identity| {
            object(&[
                ("verified", Some(Value::from(identity.verified))),
                ("method", Some(Value::from(&*identity.method))),
                ("did", Some(Value::from(&*identity.did))),
            ])
        })
    }
}

/// Finds what was built for `source`, or builds it. The list holds the `Arc`, so an address is never reused while it
/// is in the list.
fn remembered<'a, T>(
    list: &'a mut Vec<Remembered<T>>,
    source: &Arc<T>,
    build: impl FnOnce(&T) -> Option<Value>,
) -> &'a Remembered<T> {
    let place = match list.iter().position(|known| Arc::ptr_eq(&known.source, source)) {
        Some(place) => place,
        None => {
            if list.len() == REMEMBERED {
                list.clear();
            }
            let value = build(source).unwrap_or(Value::Undefined);
            let mut bytes = Vec::new();
            part(&mut bytes, Some(&value.to_string()));
            list.push(Remembered { source: Arc::clone(source), value, bytes: bytes.into() });
            list.len() - 1
        }
    };
    #[expect(clippy::indexing_slicing, reason = "`place` was just found or pushed")]
    &list[place]
}

/// Appends one text with a tag and its length, so that no two sequences of texts give the same bytes.
fn part(key: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => key.push(0),
        Some(text) => {
            key.push(1);
            key.extend_from_slice(&text.len().to_le_bytes());
            key.extend_from_slice(text.as_bytes());
        }
    }
}

fn time_key(key: &mut Vec<u8>, time: SystemTime) {
    let nanos = Timestamp::try_from(time).map_or(i128::MIN, Timestamp::as_nanosecond);
    key.extend_from_slice(&nanos.to_le_bytes());
}

/// An object of the members that are there; `None` when none is.
fn object(members: &[(&str, Option<Value>)]) -> Option<Value> {
    let mut object = Object::new();
    for (name, value) in members {
        if let Some(value) = value {
            object.insert(Value::from(*name), value.clone());
        }
    }
    (!object.is_empty()).then(|| object.into_value())
}

fn json(name: &str, text: Option<&str>) -> Result<Option<Value>, String> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|error| format!("`input.{name}` cannot be read: {error}"))
}

/// The answer is part of the input at stage response only.
fn result<'a>(input: &PolicyInput<'a>) -> Option<&'a str> {
    input.result.filter(|_| input.stage == Stage::Response)
}

/// RFC 3339, UTC; undefined for a time that no calendar has.
fn timestamp(time: SystemTime) -> Option<Value> {
    Timestamp::try_from(time).ok().map(|time| Value::from(time.to_string()))
}

const fn stage_index(stage: Stage) -> usize {
    match stage {
        Stage::Request => 0,
        Stage::Response => 1,
        Stage::List => 2,
        Stage::ServerRequest => 3,
    }
}

#[cfg(test)]
mod tests;
