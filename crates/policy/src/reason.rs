//! From the members of `deny` and `violations` to reasons.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every kind of value but the expected ones is the wrong shape"
)]

use std::sync::Arc;

use domain::Reason;
use regorus::Value;

use crate::role::Role;
use crate::verdict::kind;

/// Most reasons of one decision.
const MAX_REASONS: usize = 32;
/// Longest text of a reason, in bytes: it goes into the reply and the row, and may hold what a client sent.
const MAX_TEXT: usize = 1024;

/// A reason and the rule of the verdict that gave it.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) role: Role,
    pub(crate) reason: Reason,
    /// Whether the rule said no more than that it denies.
    pub(crate) bare: bool,
}

/// One member of a rule: the number of the definition that said it, where it is numbered, and the reason, unless the
/// definition said no more than that it denies.
pub(crate) type Member = (Option<usize>, Option<Reason>);

/// The members of a set or array, or the keys of an object.
///
/// # Errors
///
/// Text for the operator, when `value` is no collection.
pub(crate) fn members(rule: &str, numbered: bool, value: &Value) -> Result<Vec<Member>, String> {
    let read = |member: &Value| {
        if numbered { self::numbered(member) } else { (None, Some(reason(member))) }
    };
    Ok(match value {
        Value::Set(members) if members.is_empty() => Vec::new(),
        Value::Set(members) => members.iter_sorted().map(read).collect(),
        Value::Array(members) => members.iter().map(read).collect(),
        Value::Object(members) => {
            members.iter_sorted().map(|(key, value)| (None, Some(keyed(key, value)))).collect()
        }
        other => {
            return Err(format!("`{rule}` is {}, not a set, an array or an object", kind(other)));
        }
    })
}

/// `[number]` or `[number, member]`, as [`crate::numbering`] writes it.
fn numbered(member: &Value) -> Member {
    let Value::Array(pair) = member else { return (None, Some(reason(member))) };
    let origin = pair.first().and_then(|number| number.as_u64().ok());
    (origin.and_then(|number| usize::try_from(number).ok()), pair.get(1).map(reason))
}

/// `{message: true}` is how `violations[message] if` comes out; `{rule: message}` is what people write by hand.
fn keyed(key: &Value, value: &Value) -> Reason {
    match (key, value) {
        (Value::String(rule), Value::String(_) | Value::Object(_)) => {
            let mut reason = reason(value);
            reason.rule.get_or_insert_with(|| rule.to_string());
            reason
        }
        _ => reason(key),
    }
}

fn reason(value: &Value) -> Reason {
    let mut reason = whole_reason(value);
    let Reason { message, rule, severity, owasp, compliance, remedy, scope, at: _, mode: _ } =
        &mut reason;
    let optional = [rule, severity, owasp, compliance, remedy, scope];
    for text in optional.into_iter().filter_map(Option::as_mut).chain([message]) {
        if text.len() > MAX_TEXT {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            text.push('…');
        }
    }
    reason
}

fn whole_reason(value: &Value) -> Reason {
    match value {
        Value::String(message) => Reason::from(&**message),
        Value::Object(members) => {
            let text = |name: &str| members.get(&Value::from(name)).map(plain);
            match text("msg").or_else(|| text("message")) {
                Some(message) => Reason {
                    message,
                    rule: text("rule"),
                    severity: text("severity"),
                    owasp: text("owasp"),
                    compliance: text("compliance"),
                    remedy: text("remedy"),
                    scope: text("scope"),
                    ..Reason::default()
                },
                None => Reason::from(value.to_string().as_str()),
            }
        }
        other => Reason::from(other.to_string().as_str()),
    }
}

/// A string as it is, a list joined with commas, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What makes a reason, apart from its place and mode.
pub(crate) fn key_of(reason: &Reason) -> [Option<&str>; 7] {
    [
        Some(reason.message.as_str()),
        reason.rule.as_deref(),
        reason.severity.as_deref(),
        reason.owasp.as_deref(),
        reason.compliance.as_deref(),
        reason.remedy.as_deref(),
        reason.scope.as_deref(),
    ]
}

/// Sorts: those that deny come first, then by text, then by place.
pub(crate) fn arrange(said: &mut [Said]) {
    said.sort_by(|a, b| {
        let order = |said: &Said| !said.reason.denies();
        (order(a).cmp(&order(b)))
            .then_with(|| key_of(&a.reason).cmp(&key_of(&b.reason)))
            .then_with(|| a.reason.at.cmp(&b.reason.at))
    });
}

/// The reasons, each once, of what was arranged. A bare denial has nothing to add to a reason that denies as much.
pub(crate) fn distinct(said: Vec<Said>) -> Arc<[Reason]> {
    if said.is_empty() {
        return Arc::from([]);
    }
    let told = |denies: bool| said.iter().any(|said| !said.bare && said.reason.denies() >= denies);
    let told = [told(false), told(true)];
    let [watched, enforced] = told;
    let adds = |said: &Said| !(said.bare && if said.reason.denies() { enforced } else { watched });
    let mut reasons: Vec<Reason> = said.into_iter().filter(adds).map(|said| said.reason).collect();
    reasons.dedup_by(|next, kept| key_of(next) == key_of(kept) && next.mode == kept.mode);
    reasons.truncate(MAX_REASONS);
    reasons.into()
}
