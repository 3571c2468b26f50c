//! From the values of the rules to a verdict, its reasons and its obligations. Whatever has the wrong shape is a
//! denial with an error.
//!
//! A conclusion is a function of the stage, the values and the set: it is cached with them. The modes of rules
//! (`policy.rules`) apply here and nowhere else.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every kind of value but the expected ones is the wrong shape"
)]

use std::sync::Arc;
use std::time::Duration;

use domain::{Decision, Obligation, Reason, Revision, RuleMode, Stage, Verdict};
use regorus::Value;

use crate::modes::Modes;
use crate::obligations;
use crate::places::Places;
use crate::reason::{self, Member, Said};
use crate::role::{Declared, Role};

/// How the value of a rule is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) role: Role,
    /// Whether each member stands in an array behind the number of the definition that said it (see
    /// [`crate::numbering`]).
    pub(crate) numbered: bool,
}

impl Key {
    pub(crate) const fn plain(role: Role) -> Self {
        Self { role, numbered: false }
    }

    /// The name in the object that the generated module collects.
    pub(crate) fn name(self) -> String {
        let suffix = if self.numbered { NUMBERED } else { "" };
        format!("{}{suffix}", self.role.key())
    }

    fn named(name: &str) -> Option<Self> {
        let plain = name.strip_suffix(NUMBERED);
        let role = Role::ALL.into_iter().find(|role| role.key() == plain.unwrap_or(name))?;
        Some(Self { role, numbered: plain.is_some() })
    }
}

/// What ends the name of a rule whose members are numbered.
const NUMBERED: &str = "#";

/// The values of the rules that were evaluated. A rule has none when it is undefined, and several when the
/// definitions of a union were evaluated in groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    said: Vec<(Key, Value)>,
}

impl Parts {
    /// Reads the object that the generated module collects.
    pub(crate) fn collected(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return Err("the rules of the verdict are undefined".to_owned());
        };
        let mut parts = Self::default();
        for (name, values) in members.iter() {
            let (Value::String(name), Value::Array(values)) = (name, values) else { continue };
            let Some(key) = Key::named(name) else { continue };
            values.iter().for_each(|value| parts.set(key, value.clone()));
        }
        Ok(parts)
    }

    /// The value of one rule.
    pub(crate) fn of(key: Key, value: Value) -> Self {
        let mut parts = Self::default();
        parts.set(key, value);
        parts
    }

    /// Adds the value of one rule; an undefined one is nothing.
    pub(crate) fn set(&mut self, key: Key, value: Value) {
        if value != Value::Undefined {
            self.said.push((key, value));
        }
    }

    /// Adds the values of another group.
    pub(crate) fn extend(&mut self, other: Self) {
        self.said.extend(other.said);
    }

    /// Whether these values change nothing: no rule that allows or decides, and of the others only empty collections
    /// and `deny` that is `false`.
    pub(crate) fn is_silent(&self) -> bool {
        self.said.iter().all(|(key, value)| match value {
            Value::Set(set) => key.role.is_collection() && set.is_empty(),
            Value::Array(array) => key.role.is_collection() && array.is_empty(),
            Value::Object(object) => key.role.is_collection() && object.is_empty(),
            Value::Bool(denied) => key.role == Role::Deny && !denied,
            _ => false,
        })
    }

    fn of_role(&self, role: Role) -> impl Iterator<Item = (bool, &Value)> {
        let own = self.said.iter().filter(move |(key, _)| key.role == role);
        own.map(|(key, value)| (key.numbered, value))
    }
}

/// What the rules say, without the circumstances of the evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conclusion {
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Arc<[Reason]>,
    pub(crate) matched_rule: Option<Arc<str>>,
    rules: Option<Arc<str>>,
    obligations: Arc<[Obligation]>,
    pub(crate) error: Option<Arc<str>>,
}

impl Conclusion {
    /// Policy could not be evaluated: a denial.
    pub(crate) fn failed(error: impl AsRef<str>) -> Self {
        Self {
            verdict: Verdict::Deny,
            reasons: Arc::from([Reason::from("policy could not be evaluated")]),
            matched_rule: None,
            rules: None,
            obligations: Arc::from([]),
            error: Some(Arc::from(error.as_ref())),
        }
    }

    /// Whether another engine came to the same conclusion. Only the serving one knows all places.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let same = |(own, its): (&Reason, &Reason)| {
            reason::key_of(own) == reason::key_of(its) && own.mode == its.mode
        };
        self.verdict == other.verdict
            && self.matched_rule == other.matched_rule
            && self.obligations == other.obligations
            && self.error == other.error
            && self.reasons.len() == other.reasons.len()
            && self.reasons.iter().zip(other.reasons.iter()).all(same)
    }

    /// Writes a line into the log for each rule in mode `warn` that would deny.
    pub(crate) fn warn(&self, revision: &Revision) {
        for reason in self.reasons.iter().filter(|reason| reason.mode == RuleMode::Warn) {
            let (rule, at) = (reason.rule.as_deref(), reason.at.as_deref());
            tracing::warn!(rule, at, reason = %reason.message, %revision, "a rule in mode `warn` would deny");
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
            rules: self.rules,
            obligations: self.obligations,
            error: self.error,
            revision: revision.clone(),
            cached,
            elapsed,
        }
    }
}

/// The rules of one set that a verdict is read from: which there are, in which mode, and where they stand.
#[derive(Debug)]
pub(crate) struct Rulebook {
    pub(crate) declared: Declared,
    pub(crate) modes: Modes,
    pub(crate) places: Places,
}

/// A verdict on its way to a conclusion.
struct Draft<'v> {
    said: Vec<Said>,
    /// The rule that grants, when nothing denies; none when nobody asked for a grant.
    granted: Option<Role>,
    /// What a decision document calls itself.
    matched_rule: Option<&'v str>,
}

impl Rulebook {
    /// What the values `parts` come to at `stage`.
    pub(crate) fn conclude(&self, stage: Stage, parts: &Parts) -> Conclusion {
        let draft = if self.declared.has(Role::Decision) {
            self.by_decision(parts)
        } else {
            self.by_rules(parts)
        };
        let obligations = obligations_of(stage, parts);
        match draft.and_then(|draft| Ok((draft, obligations?))) {
            Ok((draft, obligations)) => self.settle(draft, obligations),
            Err(error) => Conclusion::failed(error),
        }
    }

    fn settle(&self, mut draft: Draft<'_>, obligations: Vec<Obligation>) -> Conclusion {
        reason::arrange(&mut draft.said);
        let denying = draft.said.iter().filter(|said| said.reason.denies());
        let by = denying.map(|said| said.role).min();
        let rules = match by {
            Some(_) => self.places.of_denial(&draft.said),
            None => draft.granted.and_then(|role| self.places.of_grant(role, draft.matched_rule)),
        };
        let reasons = reason::distinct(draft.said);
        let named = by.and(reasons.first()).and_then(|reason| reason.rule.as_deref());
        let rule = by.or(draft.granted).map(Role::name);
        Conclusion {
            verdict: if by.is_some() { Verdict::Deny } else { Verdict::Allow },
            matched_rule: draft.matched_rule.or(named).or(rule).map(Arc::from),
            rules,
            reasons,
            obligations: obligations.into(),
            error: None,
        }
    }

    fn by_decision<'v>(&self, parts: &'v Parts) -> Result<Draft<'v>, String> {
        const RULE: &str = Role::Decision.name();
        let Some((_, decision)) = parts.of_role(Role::Decision).next() else {
            return Err(format!("`{RULE}` is undefined; give it a default"));
        };
        let Value::Object(decision) = decision else {
            return Err(format!(
                "`{RULE}` is {}, not an object with a member `allow`",
                kind(decision)
            ));
        };
        let member = |name: &str| decision.get(&Value::from(name));
        let matched_rule = match member("matched_rule") {
            None | Some(Value::Null) => RULE,
            Some(Value::String(rule)) if rule.is_empty() => RULE,
            Some(Value::String(rule)) => rule,
            Some(other) => {
                return Err(format!("`{RULE}.matched_rule` is {}, not a string", kind(other)));
            }
        };
        let mut reasons = match member("violations") {
            Some(violations) => {
                reason::members("data.mcp.policy.decision.violations", false, violations)?
            }
            None => Vec::new(),
        };
        let mut draft = Draft {
            said: Vec::new(),
            granted: Some(Role::Decision),
            matched_rule: Some(matched_rule),
        };
        match member("allow") {
            Some(Value::Bool(true)) => return Ok(draft),
            Some(Value::Bool(false)) => {}
            Some(other) => return Err(format!("`{RULE}.allow` is {}, not a boolean", kind(other))),
            None => return Err(format!("`{RULE}` has no member `allow`")),
        }
        if reasons.is_empty() {
            reasons
                .push((None, Some(Reason::from(format!("denied by `{matched_rule}`").as_str()))));
        }
        let whole = self.modes.of(matched_rule);
        for reason in reasons {
            draft.said.extend(self.said(Role::Decision, reason, whole));
        }
        Ok(draft)
    }

    fn by_rules<'v>(&self, parts: &'v Parts) -> Result<Draft<'v>, String> {
        let mut said = Vec::new();
        for role in [Role::Deny, Role::Violations] {
            for (numbered, value) in parts.of_role(role) {
                let members = match value {
                    Value::Bool(denied) if role == Role::Deny => {
                        if *denied {
                            vec![(None, None)]
                        } else {
                            Vec::new()
                        }
                    }
                    value => reason::members(role.name(), numbered, value)?,
                };
                said.extend(members.into_iter().filter_map(|member| self.said(role, member, None)));
            }
        }
        let mut draft = Draft { said, granted: None, matched_rule: None };
        let denied = draft.said.iter().any(|said| said.reason.denies());
        if !denied && self.declared.has(Role::Allow) {
            draft.granted = granted(parts)?;
            if draft.granted.is_none() {
                let reason = Reason::from("`data.mcp.policy.allow` is not true");
                draft.said.extend(self.said(Role::Allow, (None, Some(reason)), None));
            }
        }
        Ok(draft)
    }

    /// A member under the mode of its rule, that of the `whole` document or that of the verdict rule; none when the rule
    /// is off.
    fn said(&self, role: Role, (origin, reason): Member, whole: Option<RuleMode>) -> Option<Said> {
        let bare = reason.is_none();
        let mut reason =
            reason.unwrap_or_else(|| Reason::from(format!("denied by `{}`", role.name()).as_str()));
        let own = reason.rule.as_deref().and_then(|rule| self.modes.of(rule));
        reason.mode = own.or(whole).or_else(|| self.modes.of(role.name())).unwrap_or_default();
        reason.at = self.places.at(role, origin, reason.rule.as_deref());
        (reason.mode != RuleMode::Off).then_some(Said { role, reason, bare })
    }
}

/// The obligations of the rule of that name and of a decision document.
fn obligations_of(stage: Stage, parts: &Parts) -> Result<Vec<Obligation>, String> {
    let mut found = Vec::new();
    for (_, value) in parts.of_role(Role::Decision) {
        if let Value::Object(decision) = value
            && let Some(value) = decision.get(&Value::from("obligations"))
        {
            obligations::decode(stage, value, &mut found)?;
        }
    }
    for (_, value) in parts.of_role(Role::Obligations) {
        obligations::decode(stage, value, &mut found)?;
    }
    Ok(found)
}

/// Which of the rules that can allow does.
fn granted(parts: &Parts) -> Result<Option<Role>, String> {
    for role in [Role::Allow, Role::Baseline] {
        match parts.of_role(role).next() {
            None | Some((_, Value::Bool(false))) => {}
            Some((_, Value::Bool(true))) => return Ok(Some(role)),
            Some((_, other)) => {
                return Err(format!("`{}` is {}, not a boolean", role.name(), kind(other)));
            }
        }
    }
    Ok(None)
}

/// The kind of a value, with its article.
pub(crate) const fn kind(value: &Value) -> &'static str {
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
