//! `input`, projected on a read set: as a Rego value for the engines, and as bytes for the decision cache.
//!
//! Both are made from the same leaves in the same order, so equal bytes mean equal values. Text of JSON members enters
//! the bytes as it was sent, which is finer than the value and needs no parsing on a hit; members that no rule reads are
//! skipped in the text. What stays the same over many messages (agent, identity, member names) is built once a thread.

mod leaf;

use std::sync::Arc;

use domain::{Agent, Identity, PolicyInput};
use protocol::object::{self as raw, Member};
use rego::fields::Field;
use rego::{Extent, ReadSet};
use regorus::Value;
use regorus::value::Object;

use self::leaf::{Leaf, leaf};

/// How many agents and identities a projection remembers.
const REMEMBERED: usize = 32;
/// Longer keys are not kept: a cache of large arguments would hold more text than it saves time.
const MAX_KEY: usize = 4096;

/// What one group of rules sees of `input`. Belongs to one thread.
pub(crate) struct Projection {
    nodes: Vec<Node>,
}

/// One member of the projected input.
struct Node {
    name: Value,
    below: Below,
}

enum Below {
    Object(Vec<Node>),
    /// An object whose members come from one shared value: kept for as long as that is seen.
    Kept(Vec<Node>, Vec<Kept>),
    /// A field; of one with members of any name, only these unless there are none.
    Field(Field, Vec<Branch>),
}

/// A member of an open field, and which of its members are read; all of it when there are none.
struct Branch {
    key: Box<str>,
    name: Value,
    below: Vec<Branch>,
}

struct Kept {
    source: Source,
    value: Option<Value>,
    key: Key,
}

/// Holding the `Arc` keeps its address from being used again.
enum Source {
    Agent(Arc<Agent>),
    Identity(Arc<Identity>),
}

/// The bytes under which a decision is kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    bytes: Vec<u8>,
    too_long: bool,
    /// How many bytes there would be, were there no limit.
    whole: usize,
}

impl Key {
    /// The bytes, unless there are more than the cache takes.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        (!self.too_long).then_some(&self.bytes)
    }

    /// About how many bytes of the message are read, as they were sent.
    pub(crate) fn whole(&self) -> usize {
        self.whole
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.too_long = false;
        self.whole = 0;
    }

    fn push(&mut self, bytes: &[u8]) {
        self.whole += bytes.len();
        if self.bytes.len() + bytes.len() > MAX_KEY {
            self.too_long = true;
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn append(&mut self, other: &Self) {
        self.push(&other.bytes);
        self.too_long |= other.too_long;
        self.whole += other.whole - other.bytes.len();
    }

    /// Appends a text with a tag and its length, so that no two sequences of texts give the same bytes.
    fn text(&mut self, text: Option<&str>) {
        match text {
            None => self.push(&[0]),
            Some(text) => {
                self.push(&[1]);
                self.push(&text.len().to_le_bytes());
                self.push(text.as_bytes());
            }
        }
    }
}

impl Projection {
    pub(crate) fn new(reads: &ReadSet) -> Self {
        let mut nodes = Vec::new();
        for (field, path) in Field::ALL {
            let branches = match reads.extent(path) {
                Extent::Nothing => continue,
                Extent::Whole => Vec::new(),
                Extent::Below(paths) => branches(&paths),
            };
            place(&mut nodes, path, Below::Field(*field, branches));
        }
        Self { nodes }
    }

    /// The value of `input`.
    ///
    /// # Errors
    ///
    /// When a member that holds JSON cannot be read, with the reason.
    pub(crate) fn value(&mut self, input: &PolicyInput<'_>) -> Result<Value, String> {
        Ok(object(&mut self.nodes, input)?.unwrap_or_else(Value::new_object))
    }

    /// Makes the key of `input`: equal keys mean equal values.
    ///
    /// # Errors
    ///
    /// As [`Projection::value`].
    pub(crate) fn key(&mut self, input: &PolicyInput<'_>, key: &mut Key) -> Result<(), String> {
        key.clear();
        // Always there: what a policy asks for is judged by the stage, whether its rules read that or not.
        key.push(&[input.stage as u8]);
        keys(&mut self.nodes, input, key)
    }

    /// The projection of an input that is a document already.
    pub(crate) fn document(&self, document: &serde_json::Value) -> Value {
        cut(&self.nodes, document).unwrap_or_else(Value::new_object)
    }
}

/// Puts a field at its path, below the objects that lead there.
fn place(nodes: &mut Vec<Node>, path: &[&str], field: Below) {
    let Some((first, rest)) = path.split_first() else { return };
    let name = Value::from(*first);
    if rest.is_empty() {
        nodes.push(Node { name, below: field });
        return;
    }
    if !nodes.iter().any(|node| node.name == name) {
        let below = match *first {
            "agent" | "identity" => Below::Kept(Vec::new(), Vec::new()),
            _ => Below::Object(Vec::new()),
        };
        nodes.push(Node { name: name.clone(), below });
    }
    if let Some(node) = nodes.iter_mut().find(|node| node.name == name)
        && let Below::Object(members) | Below::Kept(members, _) = &mut node.below
    {
        place(members, rest, field);
    }
}

fn branches(paths: &[&[String]]) -> Vec<Branch> {
    let mut made: Vec<Branch> = Vec::new();
    for path in paths {
        let Some(first) = path.first() else { continue };
        if made.iter().any(|branch| *branch.key == **first) {
            continue;
        }
        let rest: Vec<&[String]> = paths
            .iter()
            .filter(|other| other.first() == Some(first))
            .filter_map(|other| other.get(1..).filter(|rest| !rest.is_empty()))
            .collect();
        made.push(Branch {
            key: first.as_str().into(),
            name: Value::from(first.as_str()),
            below: branches(&rest),
        });
    }
    made
}

/// An object of the members that are there; `None` when none is.
fn object(nodes: &mut [Node], input: &PolicyInput<'_>) -> Result<Option<Value>, String> {
    let mut object = Object::new();
    for node in nodes {
        let value = match &mut node.below {
            Below::Object(members) => self::object(members, input)?,
            Below::Kept(members, kept) => {
                self::kept(members, kept, &node.name, input)?.value.clone()
            }
            Below::Field(field, branches) => match leaf(*field, input) {
                None => None,
                Some(leaf) if branches.is_empty() => leaf.value(*field)?,
                Some(leaf) => picked(branches, leaf, *field)?,
            },
        };
        if let Some(value) = value {
            object.insert(node.name.clone(), value);
        }
    }
    Ok((!object.is_empty()).then(|| object.into_value()))
}

/// Appends the keys of what [`object`] puts into the value.
fn keys(nodes: &mut [Node], input: &PolicyInput<'_>, key: &mut Key) -> Result<(), String> {
    for node in nodes {
        match &mut node.below {
            Below::Object(members) => keys(members, input, key)?,
            Below::Kept(members, kept) => {
                key.append(&self::kept(members, kept, &node.name, input)?.key);
            }
            Below::Field(field, branches) => match leaf(*field, input) {
                Some(leaf) if branches.is_empty() => leaf.key(key),
                None if branches.is_empty() => key.text(None),
                leaf => picked_keys(branches, leaf, *field, key)?,
            },
        }
    }
    Ok(())
}

/// Of an open field, the members that are read; `None` when none is there.
fn picked(branches: &[Branch], leaf: Leaf<'_>, field: Field) -> Result<Option<Value>, String> {
    let mut object = Object::new();
    let members = members(leaf, field)?;
    for branch in branches {
        let value = match members.get(&branch.key) {
            None => None,
            Some(leaf) if branch.below.is_empty() => leaf.value(field)?,
            Some(leaf) => picked(&branch.below, leaf, field)?,
        };
        if let Some(value) = value {
            object.insert(branch.name.clone(), value);
        }
    }
    Ok((!object.is_empty()).then(|| object.into_value()))
}

/// The keys of the members that are read: as many whether the members are there or not, so that what follows stays at
/// its place.
fn picked_keys(
    branches: &[Branch],
    leaf: Option<Leaf<'_>>,
    field: Field,
    key: &mut Key,
) -> Result<(), String> {
    let members = leaf.map(|leaf| members(leaf, field)).transpose()?;
    for branch in branches {
        let member = members.as_ref().and_then(|members| members.get(&branch.key));
        match member {
            Some(leaf) if branch.below.is_empty() => leaf.key(key),
            None if branch.below.is_empty() => key.text(None),
            leaf => picked_keys(&branch.below, leaf, field, key)?,
        }
    }
    Ok(())
}

/// The members of an open field.
enum Members<'a> {
    Json(Vec<Member<'a>>),
    Typed(Leaf<'a>),
}

impl<'a> Members<'a> {
    fn get(&self, key: &str) -> Option<Leaf<'a>> {
        match self {
            Self::Json(members) => members
                .iter()
                .find(|member| member.key == key)
                .map(|member| Leaf::Json(member.value)),
            Self::Typed(leaf) => leaf.member(key),
        }
    }
}

/// The members of a value; none when it is no object.
fn members<'a>(leaf: Leaf<'a>, field: Field) -> Result<Members<'a>, String> {
    if let Leaf::Json(text) = leaf
        && text.trim_start().starts_with('{')
    {
        return raw::members(text)
            .map(Members::Json)
            .map_err(|error| leaf::unreadable(field, &error));
    }
    Ok(Members::Typed(leaf))
}

/// Finds what was built for the agent or identity of `input`, or builds it.
fn kept<'a>(
    members: &mut [Node],
    kept: &'a mut Vec<Kept>,
    name: &Value,
    input: &PolicyInput<'_>,
) -> Result<&'a Kept, String> {
    let place = match kept.iter().position(|known| known.source.is_of(input)) {
        Some(place) => place,
        None => {
            if kept.len() == REMEMBERED {
                kept.clear();
            }
            let source = if matches!(name, Value::String(name) if **name == *"agent") {
                Source::Agent(Arc::clone(input.agent))
            } else {
                Source::Identity(Arc::clone(input.identity))
            };
            let value = object(members, input)?;
            let mut key = Key::default();
            keys(members, input, &mut key)?;
            kept.push(Kept { source, value, key });
            kept.len() - 1
        }
    };
    #[expect(clippy::indexing_slicing, reason = "`place` was just found or pushed")]
    Ok(&kept[place])
}

impl Source {
    fn is_of(&self, input: &PolicyInput<'_>) -> bool {
        match self {
            Self::Agent(agent) => Arc::ptr_eq(agent, input.agent),
            Self::Identity(identity) => Arc::ptr_eq(identity, input.identity),
        }
    }
}

/// What [`object`] makes of a message, made of a document.
fn cut(nodes: &[Node], document: &serde_json::Value) -> Option<Value> {
    let mut object = Object::new();
    for node in nodes {
        let Some(member) = member(document, &node.name) else { continue };
        let value = match &node.below {
            Below::Object(members) | Below::Kept(members, _) => cut(members, member),
            Below::Field(_, branches) => cut_field(branches, member),
        };
        if let Some(value) = value {
            object.insert(node.name.clone(), value);
        }
    }
    (!object.is_empty()).then(|| object.into_value())
}

fn cut_field(branches: &[Branch], value: &serde_json::Value) -> Option<Value> {
    if branches.is_empty() {
        return Some(Value::from(value.clone()));
    }
    let mut object = Object::new();
    for branch in branches {
        let below = member(value, &branch.name).and_then(|member| cut_field(&branch.below, member));
        if let Some(below) = below {
            object.insert(branch.name.clone(), below);
        }
    }
    (!object.is_empty()).then(|| object.into_value())
}

fn member<'v>(value: &'v serde_json::Value, name: &Value) -> Option<&'v serde_json::Value> {
    if let Value::String(name) = name { value.as_object()?.get(&**name) } else { None }
}

#[cfg(test)]
mod tests;
