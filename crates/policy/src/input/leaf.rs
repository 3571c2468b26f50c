//! The leaves of `input`: which part of a message each field of the table is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use domain::{PolicyInput, Stage};
use jiff::Timestamp;
use rego::fields::Field;
use regorus::Value;
use regorus::value::Object;

use super::Key;

/// The value of one field, still in the message's own form.
#[derive(Clone, Copy)]
pub(super) enum Leaf<'a> {
    Text(&'a str),
    /// Raw JSON.
    Json(&'a str),
    Number(u64),
    Flag(bool),
    Time(SystemTime),
    Address(IpAddr),
    List(&'a [Arc<str>]),
    Set(&'a BTreeSet<Arc<str>>),
    Counts(&'a BTreeMap<Arc<str>, u64>),
    Headers(&'a [(Box<str>, Box<str>)]),
}

/// What `input` has at `field`; `None` when it has nothing there.
pub(super) fn leaf<'a>(field: Field, input: &PolicyInput<'a>) -> Option<Leaf<'a>> {
    let (session, server, context) = (&input.session, &input.server, &input.context);
    let (agent, identity, state) = (input.agent, input.identity, session.state);
    match field {
        Field::Stage => Some(Leaf::Text(input.stage.as_str())),
        // A client that opens a connection has not said anything yet.
        Field::Method | Field::RequestMethod => {
            (input.stage != Stage::Connect).then_some(Leaf::Text(input.method))
        }
        Field::Tool | Field::RequestTool => input.tool.map(Leaf::Text),
        Field::Resource | Field::RequestResource => input.resource.map(Leaf::Text),
        Field::Prompt | Field::RequestPrompt => input.prompt.map(Leaf::Text),
        Field::Arguments | Field::RequestArguments => input.arguments.map(Leaf::Json),
        Field::Findings => Some(Leaf::List(&[])),
        // The answer is part of the input at stage response only.
        Field::Result => input.result.filter(|_| input.stage == Stage::Response).map(Leaf::Json),
        Field::AgentId => Some(Leaf::Text(&agent.id)),
        Field::AgentName => Some(Leaf::Text(&agent.name)),
        Field::AgentCapabilities => Some(Leaf::List(&agent.capabilities)),
        Field::AgentModel => Some(Leaf::Text(&agent.model)),
        Field::AgentPublisher => Some(Leaf::Text(&agent.publisher)),
        Field::AgentTags => Some(Leaf::List(&agent.tags)),
        Field::AgentRoles => Some(Leaf::List(&agent.roles)),
        Field::IdentityVerified => Some(Leaf::Flag(identity.verified)),
        Field::IdentityMethod => Some(Leaf::Text(&identity.method)),
        Field::IdentityDid => Some(Leaf::Text(&identity.did)),
        Field::RequestId => input.id.map(Leaf::Json),
        Field::RequestParams => input.params.map(Leaf::Json),
        Field::RequestSize => Some(Leaf::Number(input.size as u64)),
        Field::SessionId => session.id.map(Leaf::Text),
        Field::SessionCount => session.request_count.map(Leaf::Number),
        Field::SessionStarted => session.started_at.map(Leaf::Time),
        Field::SessionVersion => session.protocol_version.map(Leaf::Text),
        Field::ClientName => session.client_name.map(Leaf::Text),
        Field::ClientVersion => session.client_version.map(Leaf::Text),
        Field::SessionReads => Some(Leaf::Number(state.cumulative_reads)),
        Field::SessionWrites => Some(Leaf::Number(state.cumulative_writes)),
        Field::SessionTools => Some(Leaf::Counts(&state.tools_used)),
        Field::SessionTaints => Some(Leaf::Set(&state.taints)),
        Field::SessionBytes => Some(Leaf::Number(state.bytes_out)),
        Field::ServerName => Some(Leaf::Text(server.name)),
        Field::ServerTransport => Some(Leaf::Text(server.transport)),
        Field::ServerUrl => server.url.map(Leaf::Text),
        Field::ToolDescription => server.tool?.description.as_deref().map(Leaf::Text),
        Field::ToolAnnotations => server.tool?.annotations.as_deref().map(Leaf::Json),
        Field::ToolDigest => Some(Leaf::Text(&server.tool?.digest)),
        Field::ToolChanged => Some(Leaf::Flag(server.tool?.changed)),
        Field::ContextTimestamp => Some(Leaf::Time(context.timestamp)),
        Field::ContextSourceIp => context.source_ip.map(Leaf::Address),
        Field::ContextEnvironment => Some(Leaf::Text(context.environment)),
        Field::ContextTransport => Some(Leaf::Text(context.transport.as_str())),
        Field::ContextHeaders => Some(Leaf::Headers(context.headers)),
    }
}

impl<'a> Leaf<'a> {
    /// As a Rego value; `None` for a time that no calendar has.
    ///
    /// # Errors
    ///
    /// When JSON cannot be read, with the reason.
    pub(super) fn value(self, field: Field) -> Result<Option<Value>, String> {
        let texts = |list: &mut dyn Iterator<Item = &Arc<str>>| {
            Value::from(list.map(|item| Value::from(&**item)).collect::<Vec<_>>())
        };
        Ok(Some(match self {
            Self::Text(text) => Value::from(text),
            Self::Json(raw) => {
                serde_json::from_str(raw).map_err(|error| unreadable(field, &error))?
            }
            Self::Number(number) => Value::from(number),
            Self::Flag(flag) => Value::from(flag),
            Self::Time(time) => return Ok(timestamp(time)),
            Self::Address(address) => Value::from(address.to_string()),
            Self::List(list) => texts(&mut list.iter()),
            Self::Set(set) => texts(&mut set.iter()),
            Self::Counts(counts) => {
                object(counts.iter().map(|(name, count)| (&**name, Value::from(*count))))
            }
            Self::Headers(headers) => {
                object(headers.iter().map(|(name, value)| (&**name, Value::from(&**value))))
            }
        }))
    }

    /// Appends what tells this value from others of its field.
    pub(super) fn key(self, key: &mut Key) {
        match self {
            Self::Text(text) | Self::Json(text) => key.text(Some(text)),
            Self::Number(number) => {
                key.push(&[1]);
                key.push(&number.to_le_bytes());
            }
            Self::Flag(flag) => key.push(&[1, u8::from(flag)]),
            Self::Time(time) => {
                let nanos = Timestamp::try_from(time).map_or(i128::MIN, Timestamp::as_nanosecond);
                key.push(&[1]);
                key.push(&nanos.to_le_bytes());
            }
            Self::Address(address) => key.text(Some(&address.to_string())),
            Self::List(list) => texts_key(key, list.len(), list.iter().map(|item| &**item)),
            Self::Set(set) => texts_key(key, set.len(), set.iter().map(|item| &**item)),
            Self::Counts(counts) => {
                texts_key(key, counts.len(), counts.keys().map(|name| &**name));
                counts.values().for_each(|count| key.push(&count.to_le_bytes()));
            }
            Self::Headers(headers) => {
                let texts = headers.iter().flat_map(|(name, value)| [&**name, &**value]);
                texts_key(key, headers.len(), texts);
            }
        }
    }

    /// The member `name` of a field with members of any name, other than JSON.
    pub(super) fn member(self, name: &str) -> Option<Leaf<'a>> {
        match self {
            Self::Counts(counts) => counts.get(name).copied().map(Leaf::Number),
            Self::Headers(headers) => headers
                .iter()
                .find(|(known, _)| **known == *name)
                .map(|(_, value)| Leaf::Text(value)),
            Self::Text(_)
            | Self::Json(_)
            | Self::Number(_)
            | Self::Flag(_)
            | Self::Time(_)
            | Self::Address(_)
            | Self::List(_)
            | Self::Set(_) => None,
        }
    }
}

fn texts_key<'a>(key: &mut Key, count: usize, texts: impl Iterator<Item = &'a str>) {
    key.push(&[1]);
    key.push(&count.to_le_bytes());
    texts.for_each(|text| key.text(Some(text)));
}

fn object<'a>(members: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let mut object = Object::new();
    for (name, value) in members {
        object.insert(Value::from(name), value);
    }
    object.into_value()
}

/// What the operator reads of JSON that cannot be read.
pub(super) fn unreadable(field: Field, error: &dyn std::fmt::Display) -> String {
    let path = Field::ALL.iter().find(|(known, _)| *known == field).map(|(_, path)| path.join("."));
    format!("`input.{}` cannot be read: {error}", path.unwrap_or_default())
}

/// RFC 3339, UTC; undefined for a time that no calendar has.
fn timestamp(time: SystemTime) -> Option<Value> {
    Timestamp::try_from(time).ok().map(|time| Value::from(time.to_string()))
}
