//! A policy as its file says it, checked.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Error;
use crate::condition::{Condition, fields};
use crate::place::Place;

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) name: String,
    /// Whether a message is denied that no rule allows.
    pub(crate) denies_by_default: bool,
    /// Requests of a session, for agents that no rate limit of the file is about.
    pub(crate) default_limit: Option<i64>,
    /// Those that are enabled.
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) priority: i64,
    pub(crate) action: Action,
    pub(crate) message: Vec<Piece>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    Deny,
}

/// When a rule matches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A call of the tool: denied by an agent without the capability, allowed by one with it.
    Capability { tool: String, capability: String },
    /// A tool, an agent or an identity is listed.
    Listed { field: &'static str, values: Vec<String> },
    /// Somebody has sent more than so many requests.
    RateLimit { limit: i64, whose: Whose, window: Window },
    /// The condition holds.
    Custom(Condition),
}

/// Whose requests a rate limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Everybody,
    Agent(String),
    /// Agents whose id matches a regular expression.
    Pattern(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// Since the session began.
    Session,
    /// In any such span of time; as obligation `rate_limit` writes it.
    Sliding(&'static str),
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// `%{path}`: the value of a field.
    Field(Vec<String>),
}

const ACTIONS: [(&str, Action); 2] = [("allow", Action::Allow), ("deny", Action::Deny)];

impl Document {
    pub(crate) fn read(file: &str, value: &Value) -> Result<Self, Error> {
        let place = Place::root(file, value);
        let mut members = place.members()?;
        members.get("$schema");
        members.get("description");
        members.need("version")?;
        let name = identifier(&members.need("name")?)?;
        let (mut denies_by_default, mut default_limit) = (false, None);
        if let Some(place) = members.get("defaults") {
            let mut defaults = place.members()?;
            if let Some(action) = defaults.get("action") {
                denies_by_default = action.word(&ACTIONS)? == Action::Deny;
            }
            default_limit = defaults.get("rate_limit").map(|place| limit(&place)).transpose()?;
            defaults.finish()?;
        }
        let listed = members.need("rules")?;
        members.finish()?;
        let (mut rules, mut ids) = (Vec::new(), BTreeSet::new());
        for place in listed.items()? {
            let (rule, enabled) = Rule::read(&place)?;
            if !ids.insert(rule.id.clone()) {
                return Err(place.invalid(format!("has the id `{}` of an earlier rule", rule.id)));
            }
            rules.extend(enabled.then_some(rule));
        }
        let document = Self { name, denies_by_default, default_limit, rules };
        if !document.can_deny() {
            return Err(listed.invalid(
                "can deny nothing: add a rule with `action` `deny`, or `defaults.action` `deny`",
            ));
        }
        Ok(document)
    }

    fn can_deny(&self) -> bool {
        self.denies_by_default
            || self.default_limit.is_some()
            || self.rules.iter().any(|rule| rule.action == Action::Deny)
    }
}

impl Rule {
    /// The rule, and whether it is enabled.
    fn read(place: &Place<'_>) -> Result<(Self, bool), Error> {
        type Reader = fn(&Place<'_>) -> Result<(Kind, String), Error>;
        const TYPES: [(&str, Reader); 4] = [
            ("capability", capability),
            ("blocklist", listed),
            ("rate_limit", rate_limit),
            ("custom", custom),
        ];
        let mut members = place.members()?;
        let id = identifier(&members.need("id")?)?;
        members.get("description");
        let reader = members.need("type")?.word(&TYPES)?;
        let priority = members.get("priority").map(|place| place.whole()).transpose()?.unwrap_or(0);
        let enabled = members.get("enabled").map(|place| place.flag()).transpose()?.unwrap_or(true);
        let (kind, usual) = reader(&members.need("conditions")?)?;
        let action = match (members.get("action"), &kind) {
            (Some(place), kind) => {
                let action = place.word(&ACTIONS)?;
                if action == Action::Allow && matches!(kind, Kind::RateLimit { .. }) {
                    return Err(place.invalid("must be `deny`: a rate limit allows nothing"));
                }
                action
            }
            (None, Kind::Custom(_)) => {
                return Err(place.invalid("has no `action`; say `allow` or `deny`"));
            }
            (None, _) => Action::Deny,
        };
        let message = match members.get("message") {
            Some(place) => pieces(&place, place.message()?)?,
            None => pieces(place, &usual)?,
        };
        members.finish()?;
        Ok((Self { id, priority, action, message, kind }, enabled))
    }
}

fn capability(place: &Place<'_>) -> Result<(Kind, String), Error> {
    let mut members = place.members()?;
    let tool = members.need("tool")?.text()?.to_owned();
    let capability = members.need("requires_capability")?.text()?.to_owned();
    members.finish()?;
    let usual = "agent `%{agent.id}` lacks the capability for tool `%{tool}`".to_owned();
    Ok((Kind::Capability { tool, capability }, usual))
}

fn listed(place: &Place<'_>) -> Result<(Kind, String), Error> {
    const FIELDS: [(&str, &str); 3] =
        [("tool", "tool"), ("agent", "agent.id"), ("did", "identity.did")];
    let mut members = place.members()?;
    let field = members.need("match_type")?.word(&FIELDS)?;
    let values = members.need("values")?.texts()?.into_iter().map(str::to_owned).collect();
    members.finish()?;
    Ok((Kind::Listed { field, values }, format!("`%{{{field}}}` is blocked")))
}

fn rate_limit(place: &Place<'_>) -> Result<(Kind, String), Error> {
    const WINDOWS: [(&str, Window); 3] = [
        ("session", Window::Session),
        ("minute", Window::Sliding("1m")),
        ("hour", Window::Sliding("1h")),
    ];
    let mut members = place.members()?;
    let most = limit(&members.need("limit")?)?;
    let window = members.get("window").map(|place| place.word(&WINDOWS)).transpose()?;
    let whose = match (members.get("agent_id"), members.get("agent_pattern")) {
        (None, None) => Whose::Everybody,
        (Some(agent), None) => Whose::Agent(agent.text()?.to_owned()),
        (None, Some(pattern)) => Whose::Pattern(crate::condition::pattern(&pattern)?),
        (Some(_), Some(pattern)) => {
            return Err(pattern.invalid("stands beside `agent_id`; keep one of them"));
        }
    };
    members.finish()?;
    let window = window.unwrap_or(Window::Session);
    Ok((Kind::RateLimit { limit: most, whose, window }, format!("more than {most} requests")))
}

fn custom(place: &Place<'_>) -> Result<(Kind, String), Error> {
    Ok((Kind::Custom(Condition::read(place)?), "denied by a rule of the policy".to_owned()))
}

fn limit(place: &Place<'_>) -> Result<i64, Error> {
    let limit = place.whole()?;
    if limit < 1 {
        return Err(place.invalid("must be 1 or more"));
    }
    Ok(limit)
}

/// A letter, then letters, digits, `_` and `-`.
fn identifier(place: &Place<'_>) -> Result<String, Error> {
    let text = place.text()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(fits)
    {
        return Ok(text.to_owned());
    }
    Err(place
        .invalid("must be a letter followed by letters, digits, `_` and `-`, at most 64 in all"))
}

/// A message cut at its placeholders `%{path}`.
fn pieces(place: &Place<'_>, message: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut rest = message;
    while let Some((text, behind)) = rest.split_once("%{") {
        let Some((path, behind)) = behind.split_once('}') else {
            return Err(place.invalid("has a placeholder without its `}`"));
        };
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(Piece::Field(fields(place, path)?));
        rest = behind;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}
