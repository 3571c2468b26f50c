//! Whether the paths of `input` that rules read are there, and whether what they are compared with can be equal.

#![expect(clippy::wildcard_enum_match_arm, reason = "only what has a type that is known matters")]

use std::cmp::Reverse;
use std::fmt;

use serde_json::Value;

use super::Subject;
use crate::Diagnostic;
use crate::definition::{InputRef, Step, name_span};
use crate::schema;
use crate::syntax::{AssignOp, Expr, Module, Statement};
use crate::walk::{self, Names, Node};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for definition in subject.graph.definitions() {
        let Some(module) = subject.module(definition.module) else { continue };
        found.extend(definition.input_refs.iter().filter_map(|it| check_path(module, it)));
    }
    for module in &subject.modules {
        let names = Names::of(module);
        for rule in &module.rules {
            walk::each(rule, &mut |node| match node {
                Node::Expr(expr) => check_comparison(module, &names, expr, found),
                Node::Statement(statement) => check_with(module, &names, statement, found),
            });
        }
    }
}

/// What the schema says of a path.
enum Place<'s> {
    /// This schema.
    Known(&'s Value),
    /// Nothing: anything may be there.
    Open,
    /// That this step leads nowhere from the schema before it.
    Nowhere(usize, &'s Value),
}

/// Follows a path through the schema.
fn place(path: &[Step]) -> Place<'static> {
    let mut schema = schema::input();
    for (index, step) in path.iter().enumerate() {
        let kind = Kind::of(schema);
        let next = match (step, kind) {
            (_, None) => return Place::Open,
            (Step::Key(key), Some(Kind::Object)) => schema
                .get("properties")
                .and_then(|members| members.get(key))
                .or_else(|| schema.get("additionalProperties").filter(|it| it.is_object())),
            (Step::Dynamic, Some(Kind::Object)) => match schema.get("additionalProperties") {
                Some(values @ Value::Object(_)) => Some(values),
                _ => return Place::Open,
            },
            (Step::Dynamic, Some(Kind::Array)) => schema.get("items"),
            _ => None,
        };
        match next {
            Some(next) => schema = next,
            None => return Place::Nowhere(index, schema),
        }
    }
    Place::Known(schema)
}

fn check_path(module: &Module, read: &InputRef) -> Option<Diagnostic> {
    let Place::Nowhere(index, before) = place(&read.path) else { return None };
    let shown = |length: usize| written(read.path.get(..length).unwrap_or(&read.path));
    let parent = shown(index);
    let (code, message, hint) = match (Kind::of(before), read.path.get(index)) {
        (Some(Kind::Object), Some(Step::Key(key))) => {
            let message = format!("`{}` is no field of `{parent}`", shown(index + 1));
            ("unknown-field", message, suggestion(&parent, key, before))
        }
        (Some(Kind::Array), Some(Step::Key(key))) => {
            let message = format!("`{parent}` is an array, and `{key}` is no index of it");
            ("type-mismatch", message, format!("write `\"{key}\" in {parent}`, or `{parent}[_]`"))
        }
        (kind, _) => {
            let kind = kind.map(|it| it.to_string()).unwrap_or_default();
            let message = format!("`{parent}` is {kind} and has no members");
            ("type-mismatch", message, "correct the path".to_owned())
        }
    };
    Some(module.error(read.span, code, message, hint))
}

/// Warns of members that no input has in what stands for the input (`with input as {…}`): the rule that is asked does
/// not see them.
fn check_with(module: &Module, names: &Names, statement: &Statement, found: &mut Vec<Diagnostic>) {
    for with in &statement.with_mods {
        if let Some((path, true)) = names.input_path(&with.refr) {
            let path: Vec<Step> = path.into_iter().map(Step::Key).collect();
            check_members(module, &path, &with.r#as, found);
        }
    }
}

fn check_members(module: &Module, path: &[Step], value: &Expr, found: &mut Vec<Diagnostic>) {
    let Expr::Object { fields } = value else { return };
    for (span, key, value) in fields {
        let Expr::String { value: key } = key else { continue };
        let mut path = path.to_vec();
        path.push(Step::Key(key.clone()));
        match check_path(module, &InputRef { path: path.clone(), span: *span }) {
            Some(unknown) => found.push(unknown.warning()),
            None => check_members(module, &path, value, found),
        }
    }
}

/// A path as a policy writes it.
fn written(path: &[Step]) -> String {
    let mut text = "input".to_owned();
    for step in path {
        match step {
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Dynamic => text.push_str("[_]"),
        }
    }
    text
}

/// The field that was probably meant: one with a similar name beside it, or one of the same name elsewhere.
fn suggestion(parent: &str, key: &str, object: &Value) -> String {
    let beside: Vec<&str> = object
        .get("properties")
        .and_then(Value::as_object)
        .map(|members| members.keys().map(String::as_str).collect())
        .unwrap_or_default();
    if let Some(near) = nearest(key, beside.iter().copied()) {
        return format!("did you mean `{parent}.{near}`?");
    }
    let mut elsewhere = Vec::new();
    find("input", schema::input(), key, &mut elsewhere);
    match elsewhere.first() {
        Some(path) => format!("did you mean `{path}`?"),
        None => format!("there are {}", beside.join(", ")),
    }
}

/// The name that is near enough to be meant.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let close = |other: &&str| strsim::jaro_winkler(name, other) > 0.84;
    names.filter(close).min_by_key(|other| {
        // Among the close ones, the fewest edits; of those, the longest common beginning.
        let common = name.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
        (strsim::damerau_levenshtein(name, other), Reverse(common))
    })
}

fn find(path: &str, schema: &Value, name: &str, found: &mut Vec<String>) {
    for (member, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        let path = format!("{path}.{member}");
        if member == name {
            found.push(path.clone());
        }
        find(&path, inner, name, found);
    }
}

/// A type of Rego.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Set,
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Set => "a set",
            Self::Object => "an object",
        })
    }
}

impl Kind {
    /// The type that a schema demands.
    fn of(schema: &Value) -> Option<Self> {
        if schema.get("oneOf").is_some() {
            // An enumeration of names.
            return Some(Self::String);
        }
        match schema.get("type")?.as_str()? {
            "boolean" => Some(Self::Boolean),
            "integer" | "number" => Some(Self::Number),
            "string" => Some(Self::String),
            "array" => Some(Self::Array),
            "object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// A side of a comparison, as far as it is known.
struct Side {
    kind: Kind,
    /// What it is in `input`, with the names that it can have.
    field: Option<(String, &'static Value)>,
    constant: Option<String>,
}

fn side(names: &Names, expr: &Expr) -> Option<Side> {
    let plain = |kind| Some(Side { kind, field: None, constant: None });
    match expr {
        Expr::String { value } | Expr::RawString { value } => {
            Some(Side { kind: Kind::String, field: None, constant: Some(value.clone()) })
        }
        Expr::Number {} => plain(Kind::Number),
        Expr::Bool { .. } => plain(Kind::Boolean),
        Expr::Null {} => plain(Kind::Null),
        Expr::Array { .. } | Expr::ArrayCompr { .. } => plain(Kind::Array),
        Expr::Set { .. } | Expr::SetCompr { .. } => plain(Kind::Set),
        Expr::Object { .. } | Expr::ObjectCompr { .. } => plain(Kind::Object),
        Expr::Unary { expr } => side(names, expr),
        Expr::RefDot { .. } | Expr::RefBrack { .. } | Expr::Var { .. } => {
            let (path, whole) = names.input_path(expr)?;
            let steps: Vec<Step> = path.into_iter().map(Step::Key).collect();
            let Place::Known(schema) = place(&steps) else { return None };
            let field = Some((written(&steps), schema));
            Kind::of(schema).filter(|_| whole).map(|kind| Side { kind, field, constant: None })
        }
        Expr::Call { .. }
        | Expr::Union { .. }
        | Expr::Compare { .. }
        | Expr::Arith { .. }
        | Expr::Assign { .. }
        | Expr::Membership { .. } => None,
    }
}

fn check_comparison(module: &Module, names: &Names, expr: &Expr, found: &mut Vec<Diagnostic>) {
    let pairs: Vec<(&Expr, &Expr)> = match expr {
        Expr::Compare { lhs, rhs, .. } | Expr::Assign { lhs, rhs, op: AssignOp::Eq, .. } => {
            vec![(lhs, rhs), (rhs, lhs)]
        }
        Expr::Membership { key: None, value, collection } => match collection.as_ref() {
            Expr::Array { items } | Expr::Set { items } => {
                items.iter().map(|item| (value.as_ref(), item)).collect()
            }
            _ => return,
        },
        _ => return,
    };
    for (field, other) in pairs {
        let (Some(read), Some(other)) = (side(names, field), side(names, other)) else { continue };
        let (Some((path, schema)), Some(span)) = (&read.field, name_span(field)) else { continue };
        if read.kind != other.kind {
            let message = format!("`{path}` is {} and is compared with {}", read.kind, other.kind);
            let hint = format!("compare it with {}", read.kind);
            found.push(module.error(span, "type-mismatch", message, hint).warning());
            // The other way round it would be said again.
            return;
        }
        let listed: Vec<&str> = schema
            .get("oneOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|choice| choice.get("const").and_then(Value::as_str))
            .collect();
        if let Some(constant) = other.constant.filter(|it| !listed.contains(&it.as_str()))
            && !listed.is_empty()
        {
            let message = format!("`{path}` is never `{constant}`");
            let hint = match nearest(&constant, listed.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it is one of {}", listed.join(", ")),
            };
            found.push(module.error(span, "unknown-constant", message, hint).warning());
        }
    }
}
