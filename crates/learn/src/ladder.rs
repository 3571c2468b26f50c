//! The ladder: from the values that were seen at one place to the narrowest of the named rungs that holds them all.
//!
//! | rung | holds |
//! |---|---|
//! | `const`, `one_of` | the values that were seen: one, or at most eight |
//! | `prefix` | paths and addresses by their first components |
//! | `host_suffix` | addresses of one scheme below one domain |
//! | `range` | numbers from the least to the greatest that was seen |
//! | `format` | texts of one of a fixed list of formats |
//! | `type` | everything of the types that were seen; of an object by its members, of an array by its items |
//! | `any` | everything: what is secret, what lies too deep, what is now an array and now an object, and objects with names without end |
//!
//! Every value that was seen is on the rung, and on none below it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value, json};

use crate::pattern::{Form, Prefix};

/// Most values that are listed.
const ONE_OF: usize = 8;
/// Longest text in bytes that is listed.
const LISTED_BYTES: usize = 256;
/// Levels of members and items below the arguments that are looked at, here and by the module.
const LEVELS: usize = 4;
/// Most names of members of one object.
const MEMBERS: usize = 64;

/// What was seen at one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// How often something was there.
    count: u64,
    types: BTreeSet<&'static str>,
    /// Different values, as long as they may be listed.
    values: Option<Vec<Value>>,
    numbers: Option<Range>,
    texts: Option<Form>,
    /// How often an object was there, and what was in it.
    objects: u64,
    members: BTreeMap<String, Seen>,
    items: Option<Box<Seen>>,
    /// Nothing is told of what was there.
    any: bool,
}

/// Numbers between two.
#[derive(Clone, Debug)]
struct Range {
    min: Number,
    max: Number,
    whole: bool,
}

impl Seen {
    /// Adds a value; `secrets` are JSON pointers to what must not be kept of it.
    pub(crate) fn add(&mut self, value: &Value, secrets: &BTreeSet<String>) {
        self.add_at(value, secrets, &mut String::new(), LEVELS);
    }

    /// How often something was seen.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    fn add_at(
        &mut self,
        value: &Value,
        secrets: &BTreeSet<String>,
        pointer: &mut String,
        levels: usize,
    ) {
        let first = self.count == 0;
        self.count += 1;
        self.types.insert(type_name(value));
        let container = matches!(value, Value::Array(_) | Value::Object(_));
        let mixed = self.types.contains("array") && self.types.contains("object");
        if self.any || mixed || container && levels == 0 || is_secret(value, secrets, pointer) {
            *self = Self { count: self.count, any: true, ..Self::default() };
            return;
        }
        if !container {
            self.list(value, first);
        }
        match value {
            Value::Number(number) => self.numbers = Some(Range::with(self.numbers.take(), number)),
            Value::String(text) => match &mut self.texts {
                Some(form) => form.join(&Form::of(text)),
                None => self.texts = Some(Form::of(text)),
            },
            Value::Array(items) => {
                self.values = None;
                let below = self.items.get_or_insert_default();
                for (index, item) in items.iter().enumerate() {
                    step(pointer, &index.to_string(), |pointer| {
                        below.add_at(item, secrets, pointer, levels - 1);
                    });
                }
            }
            Value::Object(members) => self.add_members(members, secrets, pointer, levels - 1),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add_members(
        &mut self,
        members: &Map<String, Value>,
        secrets: &BTreeSet<String>,
        pointer: &mut String,
        levels: usize,
    ) {
        self.values = None;
        self.objects += 1;
        for (name, member) in members {
            let below = self.members.entry(name.clone()).or_default();
            step(pointer, name, |pointer| below.add_at(member, secrets, pointer, levels));
        }
        if self.members.len() > MEMBERS {
            *self = Self { count: self.count, any: true, ..Self::default() };
        }
    }

    fn list(&mut self, value: &Value, first: bool) {
        if first {
            self.values = Some(Vec::new());
        }
        let Some(values) = &mut self.values else { return };
        if !values.contains(value) {
            values.push(value.clone());
        }
        let long = value.as_str().is_some_and(|text| text.len() > LISTED_BYTES);
        if long || values.len() > ONE_OF {
            self.values = None;
        }
    }

    /// The rung, as the module reads it.
    pub(crate) fn rung(&self) -> Value {
        if self.any {
            return json!({ "rung": "any" });
        }
        if let Some(values) = &self.values {
            let rung = if values.len() == 1 { "const" } else { "one_of" };
            let mut values = values.clone();
            values.sort_by_key(Value::to_string);
            return json!({ "rung": rung, "values": values });
        }
        let types: Vec<&str> = self.types.iter().copied().collect();
        match types.as_slice() {
            ["string"] => self.texts.as_ref().and_then(of_texts),
            ["number"] => self.numbers.as_ref().map(|numbers| {
                let Range { min, max, whole } = numbers;
                json!({ "rung": "range", "min": min, "max": max, "whole": whole })
            }),
            _ => None,
        }
        .unwrap_or_else(|| self.of_types(&types))
    }

    fn of_types(&self, types: &[&str]) -> Value {
        let mut rung = Map::new();
        rung.insert("rung".to_owned(), json!("type"));
        rung.insert("types".to_owned(), json!(types));
        if self.objects > 0 {
            let member = |(name, seen): (&String, &Self)| {
                let mut rung = seen.rung();
                if let (Value::Object(rung), true) = (&mut rung, seen.count == self.objects) {
                    rung.insert("required".to_owned(), json!(true));
                }
                (name.clone(), rung)
            };
            let members: Map<String, Value> = self.members.iter().map(member).collect();
            rung.insert("members".to_owned(), Value::Object(members));
        }
        if let Some(items) = self.items.as_ref().filter(|items| items.count > 0) {
            rung.insert("items".to_owned(), items.rung());
        }
        Value::Object(rung)
    }
}

/// Texts that are more than eight.
fn of_texts(form: &Form) -> Option<Value> {
    let short = |prefix: &Prefix<'_>| {
        prefix.components.iter().map(|component| component.len() + 1).sum::<usize>() <= LISTED_BYTES
    };
    if let Some(prefix) = form.prefix().filter(short) {
        return Some(json!({
            "rung": "prefix", "format": prefix.format, "prefix": prefix.components,
        }));
    }
    if let Some(host) = form.host_suffix() {
        return Some(json!({ "rung": "host_suffix", "scheme": host.scheme, "host": host.labels }));
    }
    form.format().map(|format| json!({ "rung": "format", "format": format }))
}

impl Range {
    fn with(known: Option<Self>, number: &Number) -> Self {
        let whole = number.as_f64().is_some_and(|it| it.fract() == 0.0);
        let Some(Self { min, max, whole: before }) = known else {
            return Self { min: number.clone(), max: number.clone(), whole };
        };
        Self {
            min: if is_less(number, &min) { number.clone() } else { min },
            max: if is_less(&max, number) { number.clone() } else { max },
            whole: whole && before,
        }
    }
}

/// Whole numbers are compared as such: as floating-point numbers, large ones look alike.
fn is_less(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one < other,
        _ => one.as_f64() < other.as_f64(),
    }
}

/// The name that the module's engine has for the type.
const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether the place is one of the secret ones, or the value is an address with a password or a key in it.
fn is_secret(value: &Value, secrets: &BTreeSet<String>, pointer: &str) -> bool {
    secrets.contains(pointer) || value.as_str().is_some_and(|text| mask::uri(text) != text)
}

/// Goes one step down, and comes back.
fn step(pointer: &mut String, name: &str, below: impl FnOnce(&mut String)) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    below(pointer);
    pointer.truncate(length);
}

#[cfg(test)]
mod tests;
