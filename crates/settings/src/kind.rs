//! What a key can hold, as its schema says.

use domain::Span;
use serde_json::Value as Json;

/// The type of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag,
    Integer {
        min: i128,
        max: i128,
    },
    Span,
    Choice(Vec<String>),
    Text,
    List(Box<Kind>),
    /// Names of the user's choice to values of one kind.
    Map(Box<Kind>),
}

impl Kind {
    /// Reads a schema; `None` when it is of no kind that is known here.
    pub(crate) fn from_schema(schema: &Json) -> Option<Self> {
        if let Some(variants) = schema.get("oneOf").and_then(Json::as_array) {
            let name = |variant: &Json| variant.get("const")?.as_str().map(str::to_owned);
            return variants.iter().map(name).collect::<Option<_>>().map(Self::Choice);
        }
        let inner = |key| schema.get(key).and_then(Self::from_schema).map(Box::new);
        match type_of(schema)? {
            "boolean" => Some(Self::Flag),
            "integer" => Some(Self::integer(schema)),
            "string" if schema.get("format").and_then(Json::as_str) == Some("duration") => {
                Some(Self::Span)
            }
            "string" => Some(Self::Text),
            "array" => inner("items").map(Self::List),
            "object" => inner("additionalProperties").map(Self::Map),
            _ => None,
        }
    }

    fn integer(schema: &Json) -> Self {
        let bound = |key| schema.get(key).and_then(|it| it.as_i64().map(i128::from));
        Self::Integer {
            min: bound("minimum").unwrap_or(i64::MIN.into()),
            max: bound("maximum").unwrap_or(i64::MAX.into()),
        }
    }

    /// What to write, as in "expected …".
    pub(crate) fn expects(&self) -> String {
        match self {
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Integer { min, max } if *max == i128::from(i64::MAX) => {
                format!("a whole number, {min} or more")
            }
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Span => "a length of time such as `100ms`, `30s`, `5m` or `24h`".to_owned(),
            Self::Choice(names) => format!("one of {}", quoted(names)),
            Self::Text => "text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping of names to values".to_owned(),
        }
    }

    /// The type in documentation.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Flag => "`true` \\| `false`".to_owned(),
            Self::Integer { .. } => "integer".to_owned(),
            Self::Span => "duration".to_owned(),
            Self::Choice(names) => {
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" \\| ")
            }
            Self::Text => "text".to_owned(),
            Self::List(kind) => format!("list of {}", kind.name()),
            Self::Map(kind) => format!("mapping of names to {}", kind.name()),
        }
    }

    /// Reads the value of an environment variable or of a reference; `None` when it does not fit.
    pub(crate) fn parse(&self, text: &str) -> Option<Json> {
        let trimmed = text.trim();
        match self {
            Self::Flag => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(Json::Bool(true)),
                "false" | "0" | "no" | "off" => Some(Json::Bool(false)),
                _ => None,
            },
            Self::Integer { .. } => trimmed.parse().ok().and_then(|number| self.number(number)),
            Self::Span => trimmed.parse::<Span>().ok().map(|span| Json::String(span.to_string())),
            Self::Choice(names) => {
                names.iter().find(|name| *name == trimmed).cloned().map(Json::String)
            }
            Self::Text => Some(Json::String(text.to_owned())),
            Self::List(_) if trimmed.is_empty() => Some(Json::Array(Vec::new())),
            Self::List(kind) => {
                let item = |part: &str| {
                    let part = part.trim();
                    if part.is_empty() { None } else { kind.parse(part) }
                };
                text.split(',').map(item).collect::<Option<_>>().map(Json::Array)
            }
            Self::Map(_) => None,
        }
    }

    /// A number of this kind; `None` when it is out of range or not of this kind.
    pub(crate) fn number(&self, number: i128) -> Option<Json> {
        let Self::Integer { min, max } = self else { return None };
        let fits = (*min..=*max).contains(&number);
        fits.then(|| i64::try_from(number).ok().map(Json::from)).flatten()
    }
}

/// Whether the schema also takes `null`.
pub(crate) fn is_nullable(schema: &Json) -> bool {
    types(schema).any(|name| name == "null")
}

fn type_of(schema: &Json) -> Option<&str> {
    types(schema).find(|name| *name != "null")
}

fn types(schema: &Json) -> impl Iterator<Item = &str> {
    let declared = schema.get("type");
    let many = declared.and_then(Json::as_array).into_iter().flatten();
    declared.into_iter().chain(many).filter_map(Json::as_str)
}

pub(crate) fn quoted(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
