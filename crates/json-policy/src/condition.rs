//! The conditions of a custom rule: a tree of comparisons.

use serde_json::Value;

use crate::Error;
use crate::place::{Members, Place};

/// When a rule matches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// Every one of them holds.
    All(Vec<Condition>),
    /// At least one of them holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A field of the input compares so. A field that the message does not have compares false.
    Is { path: Vec<String>, test: Test },
}

/// How a field compares.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Equal(Value),
    NotEqual(Value),
    /// An ordering operator of Rego and the number or string at its right.
    Order(&'static str, Value),
    /// A string has a part, or a list an element.
    Contains(Value),
    StartsWith(String),
    EndsWith(String),
    Matches(String),
    In(Vec<Value>),
    NotIn(Vec<Value>),
}

/// The members of `input` that a path may begin with.
const ROOTS: [&str; 13] = [
    "agent",
    "arguments",
    "context",
    "findings",
    "identity",
    "method",
    "prompt",
    "request",
    "resource",
    "result",
    "server",
    "session",
    "tool",
];

/// Deepest nesting of conditions.
const MAX_DEPTH: usize = 32;

impl Condition {
    /// Reads an object of conditions: all of its members must hold.
    pub(crate) fn read(place: &Place<'_>) -> Result<Self, Error> {
        Self::nested(place, 0)
    }

    fn nested(place: &Place<'_>, depth: usize) -> Result<Self, Error> {
        if depth > MAX_DEPTH {
            return Err(place.invalid(format!("nests deeper than {MAX_DEPTH}")));
        }
        let mut members = place.members()?;
        let mut all = Vec::new();
        let list = |place: Place<'_>| -> Result<Vec<Self>, Error> {
            place.items()?.iter().map(|item| Self::nested(item, depth + 1)).collect()
        };
        if let Some(place) = members.get("all") {
            all.push(Self::All(list(place)?));
        }
        if let Some(place) = members.get("any") {
            all.push(Self::Any(list(place)?));
        }
        if let Some(place) = members.get("not") {
            all.push(Self::Not(Box::new(Self::nested(&place, depth + 1)?)));
        }
        if let Some(field) = members.get("field") {
            all.push(comparison(&field, &mut members)?);
        }
        for (key, table) in TABLES {
            let Some(place) = members.get(key) else { continue };
            for (path, value) in place.members()?.others() {
                all.push(Self::Is { path: fields(&value, path)?, test: table(&value)? });
            }
        }
        for (key, field) in [("tool_in", "tool"), ("agent_in", "agent.id")] {
            let Some(place) = members.get(key) else { continue };
            let test = Test::In(place.texts()?.into_iter().map(Value::from).collect());
            all.push(Self::Is { path: fields(&place, field)?, test });
        }
        for (path, place) in bare_paths(&members)? {
            all.push(Self::Is { path, test: Test::Equal(scalar(&place)?) });
        }
        match all.len() {
            0 => Err(place.invalid("has no condition; name a field, or `all`, `any` or `not`")),
            1 => Ok(all.remove(0)),
            _ => Ok(Self::All(all)),
        }
    }
}

type Table = (&'static str, fn(&Place<'_>) -> Result<Test, Error>);

/// Objects of path and value.
const TABLES: [Table; 3] = [
    ("field_equals", |place| Ok(Test::Equal(scalar(place)?))),
    ("field_in", |place| Ok(Test::In(scalars(place)?))),
    ("field_matches", |place| pattern(place).map(Test::Matches)),
];

/// `field`, `op` and `value`.
fn comparison(field: &Place<'_>, members: &mut Members<'_>) -> Result<Condition, Error> {
    let path = fields(field, field.text()?)?;
    let (op, value) = (members.need("op")?, members.need("value")?);
    let test = match op.value().as_str().unwrap_or_default() {
        "eq" => Test::Equal(scalar(&value)?),
        "ne" => Test::NotEqual(scalar(&value)?),
        "gt" => Test::Order(">", ordered(&value)?),
        "gte" => Test::Order(">=", ordered(&value)?),
        "lt" => Test::Order("<", ordered(&value)?),
        "lte" => Test::Order("<=", ordered(&value)?),
        "contains" => Test::Contains(scalar(&value)?),
        "startswith" => Test::StartsWith(value.text()?.to_owned()),
        "endswith" => Test::EndsWith(value.text()?.to_owned()),
        "matches" => Test::Matches(pattern(&value)?),
        "in" => Test::In(scalars(&value)?),
        "not_in" => Test::NotIn(scalars(&value)?),
        _ => {
            return Err(op.invalid(
                "must be one of `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `contains`, `startswith`, `endswith`, \
                 `matches`, `in`, `not_in`",
            ));
        }
    };
    Ok(Condition::Is { path, test })
}

/// Members whose key is itself a path. A key without a dot must be a known word.
fn bare_paths<'a>(members: &Members<'a>) -> Result<Vec<(Vec<String>, Place<'a>)>, Error> {
    let mut paths = Vec::new();
    for (key, place) in members.others() {
        if !key.contains('.') && !ROOTS.contains(&key) {
            return Err(place.invalid(
                "is not known; known are `all`, `any`, `not`, `field` with `op` and `value`, `field_equals`, \
                 `field_in`, `field_matches`, `tool_in`, `agent_in`, and paths such as `agent.id`",
            ));
        }
        paths.push((fields(&place, key)?, place));
    }
    Ok(paths)
}

/// A path such as `request.arguments.path`, part by part.
pub(crate) fn fields(place: &Place<'_>, path: &str) -> Result<Vec<String>, Error> {
    let path = path.strip_prefix("input.").unwrap_or(path);
    let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    if path.len() > 200 || parts.iter().any(String::is_empty) {
        return Err(
            place.invalid(format!("names no field by `{path}`; write names joined with dots"))
        );
    }
    if parts.first().is_some_and(|root| ROOTS.contains(&root.as_str())) {
        return Ok(parts);
    }
    Err(place.invalid(format!(
        "names `{path}`, which `input` does not have; paths begin with {}",
        ROOTS.join(", ")
    )))
}

/// A value that a field can be compared with: no list, no object.
fn scalar(place: &Place<'_>) -> Result<Value, Error> {
    match place.value() {
        Value::Array(_) | Value::Object(_) => {
            Err(place.invalid("must be a string, a number, a boolean or null"))
        }
        Value::String(text) if text.is_empty() => Ok(place.value().clone()),
        Value::String(_) => place.text().map(Value::from),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(place.value().clone()),
    }
}

fn scalars(place: &Place<'_>) -> Result<Vec<Value>, Error> {
    place.items()?.iter().map(scalar).collect()
}

fn ordered(place: &Place<'_>) -> Result<Value, Error> {
    let value = scalar(place)?;
    if matches!(value, Value::Number(_) | Value::String(_)) {
        return Ok(value);
    }
    Err(place.invalid("must be a number or a string"))
}

pub(crate) fn pattern(place: &Place<'_>) -> Result<String, Error> {
    let text = place.text()?;
    regex::Regex::new(text)
        .map_err(|error| place.invalid(format!("is no regular expression: {error}")))?;
    Ok(text.to_owned())
}
