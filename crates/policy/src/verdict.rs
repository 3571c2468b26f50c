//! From the values of `decision`, `deny`, `violations` and `allow` to a verdict. Whatever has the wrong shape is a
//! denial with an error.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every kind of value but the expected ones is the wrong shape"
)]

use std::sync::Arc;
use std::time::Duration;

use domain::{Decision, Reason, Revision, Verdict};
use regorus::Value;

use crate::split::Declared;

/// The values of the rules that were evaluated. A list has no member when the rule is undefined, and several when the
/// definitions of a union were evaluated in groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) decision: Vec<Value>,
    pub(crate) deny: Vec<Value>,
    pub(crate) violations: Vec<Value>,
    pub(crate) allow: Vec<Value>,
    pub(crate) baseline: Vec<Value>,
}

impl Parts {
    /// Reads the object that the generated module collects.
    pub(crate) fn collected(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return Err("the rules of the verdict are undefined".to_owned());
        };
        let mut parts = Self::default();
        for (key, value) in members.iter() {
            let (Value::String(key), Value::Array(values)) = (key, value) else { continue };
            for value in values.iter() {
                parts.set(key, value.clone());
            }
        }
        Ok(parts)
    }

    /// The value of one rule.
    pub(crate) fn of(key: &str, value: Value) -> Self {
        let mut parts = Self::default();
        parts.set(key, value);
        parts
    }

    /// Adds the value of one rule; an undefined one is nothing.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        if value == Value::Undefined {
            return;
        }
        match key {
            "decision" => self.decision.push(value),
            "deny" => self.deny.push(value),
            "violations" => self.violations.push(value),
            "allow" => self.allow.push(value),
            _ => self.baseline.push(value),
        }
    }

    /// Adds the values of another group.
    pub(crate) fn extend(&mut self, other: Self) {
        self.decision.extend(other.decision);
        self.deny.extend(other.deny);
        self.violations.extend(other.violations);
        self.allow.extend(other.allow);
        self.baseline.extend(other.baseline);
    }

    /// Whether these values can deny nothing: every list is empty or holds empty collections and `false`.
    pub(crate) fn is_silent(&self) -> bool {
        let silent = |value: &Value| match value {
            Value::Set(set) => set.is_empty(),
            Value::Array(array) => array.is_empty(),
            Value::Object(object) => object.is_empty(),
            Value::Bool(denied) => !denied,
            _ => false,
        };
        self.decision.is_empty()
            && self.allow.is_empty()
            && self.baseline.is_empty()
            && self.deny.iter().all(silent)
            && self.violations.iter().all(|value| silent(value) && !matches!(value, Value::Bool(_)))
    }
}

/// What the rules say, without the circumstances of the evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conclusion {
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Arc<[Reason]>,
    pub(crate) matched_rule: Option<Arc<str>>,
    pub(crate) error: Option<Arc<str>>,
}

impl Conclusion {
    pub(crate) fn allowed(matched_rule: Option<&str>) -> Self {
        Self {
            verdict: Verdict::Allow,
            reasons: Arc::from([]),
            matched_rule: matched_rule.map(Arc::from),
            error: None,
        }
    }

    /// Policy could not be evaluated: a denial.
    pub(crate) fn failed(error: impl AsRef<str>) -> Self {
        Self {
            verdict: Verdict::Deny,
            reasons: Arc::from([Reason::from("policy could not be evaluated")]),
            matched_rule: None,
            error: Some(Arc::from(error.as_ref())),
        }
    }

    /// The decision of the set `revision`, with the circumstances of its evaluation.
    pub(crate) fn into_decision(
        self,
        revision: &Revision,
        cached: bool,
        elapsed: Duration,
    ) -> Decision {
        Decision {
            verdict: self.verdict,
            reasons: self.reasons,
            matched_rule: self.matched_rule,
            obligations: None,
            error: self.error,
            revision: revision.clone(),
            cached,
            elapsed,
        }
    }

    fn denied(mut reasons: Vec<Reason>, matched_rule: &str) -> Self {
        reasons.sort_by(|a, b| key_of(a).cmp(&key_of(b)));
        reasons.dedup();
        reasons.truncate(MAX_REASONS);
        let named = reasons.first().and_then(|reason| reason.rule.as_deref());
        Self {
            verdict: Verdict::Deny,
            matched_rule: Some(named.unwrap_or(matched_rule).into()),
            reasons: reasons.into(),
            error: None,
        }
    }
}

fn key_of(reason: &Reason) -> [Option<&str>; 5] {
    [
        Some(reason.message.as_str()),
        reason.rule.as_deref(),
        reason.severity.as_deref(),
        reason.owasp.as_deref(),
        reason.compliance.as_deref(),
    ]
}

/// Applies the verdict rules.
pub(crate) fn conclude(declared: Declared, parts: &Parts) -> Conclusion {
    let concluded = if declared.decision { by_decision(parts) } else { by_rules(declared, parts) };
    concluded.unwrap_or_else(Conclusion::failed)
}

fn by_decision(parts: &Parts) -> Result<Conclusion, String> {
    const RULE: &str = "data.mcp.policy.decision";
    let Some(decision) = parts.decision.first() else {
        return Err(format!("`{RULE}` is undefined; give it a default"));
    };
    let Value::Object(decision) = decision else {
        return Err(format!("`{RULE}` is {}, not an object with a member `allow`", kind(decision)));
    };
    let member = |name: &str| decision.get(&Value::from(name));
    if let Some(obligation) = member("obligations").and_then(first_obligation) {
        return Err(format!("obligation `{obligation}` is not supported by this version"));
    }
    let matched_rule = match member("matched_rule") {
        None | Some(Value::Null) => RULE,
        Some(Value::String(rule)) if rule.is_empty() => RULE,
        Some(Value::String(rule)) => rule,
        Some(other) => {
            return Err(format!("`{RULE}.matched_rule` is {}, not a string", kind(other)));
        }
    };
    let mut reasons = Vec::new();
    if let Some(violations) = member("violations") {
        collect(&format!("{RULE}.violations"), violations, &mut reasons)?;
    }
    match member("allow") {
        Some(Value::Bool(true)) => Ok(Conclusion::allowed(Some(matched_rule))),
        Some(Value::Bool(false)) => {
            if reasons.is_empty() {
                reasons.push(Reason::from(format!("denied by `{matched_rule}`").as_str()));
            }
            let mut conclusion = Conclusion::denied(reasons, matched_rule);
            conclusion.matched_rule = Some(matched_rule.into());
            Ok(conclusion)
        }
        Some(other) => Err(format!("`{RULE}.allow` is {}, not a boolean", kind(other))),
        None => Err(format!("`{RULE}` has no member `allow`")),
    }
}

fn by_rules(declared: Declared, parts: &Parts) -> Result<Conclusion, String> {
    const DENY: &str = "data.mcp.policy.deny";
    const VIOLATIONS: &str = "data.mcp.policy.violations";
    const ALLOW: &str = "data.mcp.policy.allow";
    const BASELINE: &str = "data.mcp.baseline.allow";
    let mut reasons = Vec::new();
    let mut bare = false;
    for value in &parts.deny {
        match value {
            Value::Bool(denied) => bare |= denied,
            value => collect(DENY, value, &mut reasons)?,
        }
    }
    let by_deny = bare || !reasons.is_empty();
    for value in &parts.violations {
        collect(VIOLATIONS, value, &mut reasons)?;
    }
    if bare && reasons.is_empty() {
        reasons.push(Reason::from("denied by `data.mcp.policy.deny`"));
    }
    if !reasons.is_empty() {
        return Ok(Conclusion::denied(reasons, if by_deny { DENY } else { VIOLATIONS }));
    }
    if !declared.allow {
        return Ok(Conclusion::allowed(None));
    }
    if granted(ALLOW, &parts.allow)? {
        return Ok(Conclusion::allowed(Some(ALLOW)));
    }
    if granted(BASELINE, &parts.baseline)? {
        return Ok(Conclusion::allowed(Some(BASELINE)));
    }
    Ok(Conclusion::denied(vec![Reason::from("`data.mcp.policy.allow` is not true")], ALLOW))
}

fn granted(rule: &str, values: &[Value]) -> Result<bool, String> {
    match values.first() {
        None => Ok(false),
        Some(Value::Bool(granted)) => Ok(*granted),
        Some(other) => Err(format!("`{rule}` is {}, not a boolean", kind(other))),
    }
}

/// The members of a set or array, or the keys of an object, as reasons.
fn collect(rule: &str, value: &Value, reasons: &mut Vec<Reason>) -> Result<(), String> {
    match value {
        Value::Set(members) => reasons.extend(members.iter_sorted().map(reason)),
        Value::Array(members) => reasons.extend(members.iter().map(reason)),
        Value::Object(members) => {
            reasons.extend(members.iter_sorted().map(|(key, value)| keyed(key, value)))
        }
        other => {
            return Err(format!("`{rule}` is {}, not a set, an array or an object", kind(other)));
        }
    }
    Ok(())
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

/// Most reasons of one denial.
const MAX_REASONS: usize = 32;
/// Longest text of a reason, in bytes: it goes into the reply and the row, and may hold what a client sent.
const MAX_TEXT: usize = 1024;

fn reason(value: &Value) -> Reason {
    let mut reason = whole_reason(value);
    let Reason { message, rule, severity, owasp, compliance } = &mut reason;
    for text in
        [Some(message), rule.as_mut(), severity.as_mut(), owasp.as_mut(), compliance.as_mut()]
    {
        let Some(text) = text.filter(|text| text.len() > MAX_TEXT) else { continue };
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
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

fn first_obligation(value: &Value) -> Option<String> {
    let first = match value {
        Value::Array(items) => items.first(),
        Value::Set(items) => items.first(),
        Value::Object(members) => members.keys_sorted().next(),
        Value::Null => None,
        other => Some(other),
    }?;
    Some(match first {
        Value::Object(members) => ["action", "type", "name"]
            .iter()
            .find_map(|name| members.get(&Value::from(*name)).map(plain))
            .or_else(|| members.keys_sorted().next().map(plain))
            .unwrap_or_default(),
        other => plain(other),
    })
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "undefined",
    }
}

#[cfg(test)]
mod tests;
