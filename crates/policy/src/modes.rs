//! The modes of single rules: `policy.rules`.

use std::collections::{BTreeMap, BTreeSet};

use domain::RuleMode;
use rego::graph::Graph;
use serde_json::Value;

use crate::role::Role;
use crate::{Error, probe};

/// The modes by the names of rules: the `rule` of a reason, the path of a verdict rule, or the `matched_rule` of a
/// decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Modes(BTreeMap<String, RuleMode>);

impl Modes {
    /// The configured modes, when `graph` and the data can give every one of these names.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the first that they cannot, and the nearest that they can.
    pub(crate) fn new(
        configured: &BTreeMap<String, RuleMode>,
        graph: &Graph,
        document: &Value,
    ) -> Result<Self, Error> {
        if configured.is_empty() {
            return Ok(Self::default());
        }
        let declared = |role: &Role| !graph.named(&role.path()).is_empty();
        let mut known: BTreeSet<&str> =
            Role::DENYING.iter().filter(|role| declared(role)).map(|role| role.name()).collect();
        for definition in graph.definitions() {
            known.extend(definition.strings.iter().map(String::as_str));
        }
        // Names of rules may stand in data.
        probe::gather(document, &mut known);
        match configured.keys().find(|name| !known.contains(name.as_str())) {
            None => Ok(Self(configured.clone())),
            Some(stranger) => Err(Error::Setting {
                key: "rules",
                value: strange(stranger, &known),
                hint: "name the `rule` of a reason, the `matched_rule` of a decision, or a rule such as \
                       `data.mcp.policy.allow`",
            }),
        }
    }

    /// The rules with a mode of their own, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, RuleMode)> {
        self.0.iter().map(|(rule, mode)| (rule.as_str(), *mode))
    }

    /// The mode of a rule, where it has one.
    pub(crate) fn of(&self, name: &str) -> Option<RuleMode> {
        if self.0.is_empty() { None } else { self.0.get(name).copied() }
    }
}

fn strange(name: &str, known: &BTreeSet<&str>) -> String {
    const ALIKE: f64 = 0.7;
    let nearest = known
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), *other))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((_, nearest)) => {
            format!("`{name}`, a name that no policy gives (did you mean `{nearest}`?)")
        }
        None => format!("`{name}`, a name that no policy gives"),
    }
}

#[cfg(test)]
mod tests;
